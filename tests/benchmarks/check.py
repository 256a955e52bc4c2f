"""Images a second of `mlc dataset-check`, against a bare loop that reads and decodes the same
files at the same reduced size in as many threads; and the search for nearly equal pictures.
"""

import argparse
import tempfile
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from timing import alternate, show

from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.datasets.inspection.collection import Collection
from mlc_cli.core.datasets.inspection.near import near_pairs
from mlc_cli.core.datasets.inspection.scan import scan_files
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.files import write_json


def make_images(folder: Path, images: int) -> Collection:
    """JPEG files of the size of small photographs, listed in an annotation."""
    rng = np.random.default_rng(0)
    for number in range(images):
        small = rng.integers(0, 256, (48, 64, 3), np.uint8)
        photo = cv2.resize(small, (640, 480)).astype(np.int16) + rng.integers(-9, 9, (480, 640, 1))
        cv2.imwrite(str(folder / f"{number:05}.jpg"), photo.clip(0, 255).astype(np.uint8))
    entries = [[f"{number:05}.jpg", []] for number in range(images)]
    write_json(folder / "train.json", {"classes": ["a"], "images": entries})
    return Collection(folder, {"train": read_annotation(folder / "train.json")}, {})


def read_bare(paths: list[Path]) -> None:
    """Read and decode, nothing else; 4 is the part at which the check decodes this size."""

    def read(path: Path) -> None:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        assert cv2.imdecode(content, cv2.IMREAD_REDUCED_GRAYSCALE_4) is not None

    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(read, paths):
            pass


def measure_files(images: int, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        collection = make_images(Path(folder), images)
        paths = [collection.file(row) for row in range(images)]
        bare, whole = alternate(
            [
                lambda: read_bare(paths),
                lambda: scan_files(collection, threads=usable_cores()),
            ],
            repeats,
        )
    show(
        f"{images} JPEG files of 640x480, {usable_cores()} cores (images a second)",
        ("bare loop", "dataset-check", "ratio"),
        [[f"{images / bare:.0f}", f"{images / whole:.0f}", f"{bare / whole:.3f}"]],
    )


def measure_search(count: int) -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    rows = []
    for distance in (2, 4, 6, 8, 10, 12):
        started = time.perf_counter()
        near = near_pairs(hashes, distance, 100_000)
        seconds = time.perf_counter() - started
        tracemalloc.start()
        near_pairs(hashes, distance, 100_000)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        rows.append([distance, f"{seconds:.2f}", f"{peak:.0f}", len(near.first_P)])
    show(
        f"nearly equal pictures among {count:,} random hashes",
        ("--near", "seconds", "MB", "pairs"),
        rows,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--hashes", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    measure_files(arguments.images, arguments.repeats)
    measure_search(arguments.hashes)


if __name__ == "__main__":
    main()
