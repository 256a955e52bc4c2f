"""Speed and memory of `mlc dataset-convert` on generated files of the size of real ones.

    COCO         83,000 images, 600,000 objects, as instances_train2014.json
    Open Images  2,000,000 images, 9,000,000 rows of verified labels, 9,605 classes

Images are not there and are not looked for. Each conversion runs in a process of its own, whose
peak of memory, libraries included, is what Linux has seen. With DATUM=/path/to/datum in the
environment the same COCO file is also converted by datumaro's command line, from the same folder.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from timing import show

RUN = """
import re, sys
from mlc_cli.main import main
try:
    sys.argv[0] = "mlc"
    main()
finally:
    peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]  # KiB
    print(peak, file=open(sys.argv[4] + ".peak", "w"))
"""


def write_coco(folder: Path, images: int, objects: int) -> None:
    """A file with the fields and the spread of the official one, masks left out."""
    rng = np.random.default_rng(0)
    numbers = np.sort(rng.integers(0, images, objects)).tolist()
    classes = np.minimum(rng.geometric(0.05, objects), 80).tolist()
    boxes = rng.integers(1, 300, (objects, 4)).tolist()
    names = [f"COCO_train2014_{number:012}.jpg" for number in range(images)]
    content = {
        "images": [
            {"license": 1, "file_name": name, "coco_url": f"http://images.cocodataset.org/{name}",
             "height": 480, "width": 640, "date_captured": "2013-11-14 16:28:13", "id": number + 1}
            for number, name in enumerate(names)
        ],
        "annotations": [
            {"segmentation": [], "area": float(box[2] * box[3]), "iscrowd": 0,
             "image_id": image + 1, "bbox": box, "category_id": label, "id": number + 1}
            for number, (image, label, box) in enumerate(zip(numbers, classes, boxes, strict=True))
        ],
        "categories": [
            {"supercategory": "thing", "id": c, "name": f"class {c}"} for c in range(1, 81)
        ],
    }  # fmt: skip
    (folder / "annotations").mkdir(parents=True)
    (folder / "images" / "train2014").mkdir(parents=True)  # datumaro asks for it
    (folder / "annotations" / "instances_train2014.json").write_text(json.dumps(content))


def write_open_images(folder: Path, images: int, rows: int) -> None:
    """Verified labels of a split, rows of an image together as in the official files."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    names = [f"/m/{c:05x}" for c in range(9605)]
    (folder / "class-descriptions.csv").write_text("".join(f"{n},class {n}\n" for n in names))
    owners = np.sort(rng.integers(0, images, rows))
    labels, present = rng.integers(0, 9605, rows), rng.integers(0, 2, rows)
    with (folder / "train-annotations-human-imagelabels.csv").open("w") as file:
        file.write("ImageID,Source,LabelName,Confidence\n")
        for start in range(0, rows, 100_000):
            part = (
                column[start : start + 100_000].tolist() for column in (owners, labels, present)
            )
            file.writelines(
                f"{owner:016x},verification,{names[label]},{state}\n"
                for owner, label, state in zip(*part, strict=True)
            )


def convert(form: str, source: Path, dest: Path) -> tuple[float, float]:
    """Seconds, and KiB of memory at the peak."""
    command = ["dataset-convert", form, str(source), str(dest), "--split", "keep", "--json"]
    seconds = timed([sys.executable, "-c", RUN, *command, "--set", "images.check=false"])
    return seconds, float(Path(f"{dest}.peak").read_text())


def timed(command: Sequence[str | Path]) -> float:
    """Seconds that a command takes."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def measure_coco(folder: Path, repeats: int) -> None:
    """Half the size, the whole, and datumaro in turns."""
    rows = []
    datum = os.environ.get("DATUM")
    for part in (2, 1):
        source = folder / f"coco-{part}"
        write_coco(source, 83_000 // part, 600_000 // part)
        own, other, peak = [], [], 0.0
        for turn in range(repeats):
            seconds, peak = convert("coco", source, folder / f"coco-{part}-{turn}")
            own.append(seconds)
            if datum:
                target = folder / f"datum-{part}-{turn}"
                form = ("-if", "coco_instances", "-f", "datumaro")
                other.append(timed([datum, "convert", *form, "-i", source, "-o", target]))
        mine, theirs = float(np.median(own)), float(np.median(other)) if other else None
        ratio = "-" if theirs is None else f"{theirs / mine:.1f}"
        size = f"{83_000 // part:,} images"
        named = "DATUM is not set" if theirs is None else f"{theirs:.1f}"
        rows.append((size, f"{mine:.1f}", f"{peak / 2**10:.0f}", named, ratio))
    show("COCO", ("size", "seconds", "peak MiB", "datumaro, seconds", "ratio"), rows)


def measure_open_images(folder: Path, images: int) -> None:
    """Half the size and the whole."""
    rows = []
    for part in (2, 1):
        source = folder / f"open-images-{part}"
        write_open_images(source, images // part, images * 9 // 2 // part)
        seconds, peak = convert("open-images", source, folder / f"out-{part}")
        rate = images * 9 / 2 / part / seconds
        size = f"{images * 9 // 2 // part:,} rows"
        rows.append((size, f"{seconds:.1f}", f"{peak / 2**10:.0f}", f"{rate / 1e3:.0f}"))
    show("Open Images", ("size", "seconds", "peak MiB", "thousand rows a second"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, default=2_000_000, help="of Open Images")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure_coco(Path(folder), arguments.repeats)
        measure_open_images(Path(folder), arguments.images)


if __name__ == "__main__":
    main()
