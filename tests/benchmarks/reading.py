"""Time of reading large JPEG files for a model at 224, and memory of reading eight of them at once.

Compared with decoding in full and resizing a copy of the whole image in floating point; memory
with eight such copies.
"""

import resource
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from samples import make_images
from timing import alternate, show

from mlc_cli.core.images.decode import read_image
from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.system.cores import usable_cores

SIZE = (224, 224)
WAYS = {
    "linear": Geometry(SIZE),
    "area": Geometry(SIZE, interpolation="area"),
    "area, scaled": Geometry(SIZE, interpolation="area", decode="scaled"),
}
THREADS, MEGAPIXELS_50 = 8, (8160, 6120)


def whole_copy(path: Path) -> None:
    """Decode in full, and resize a copy of the image in floating point."""
    cv2.convertScaleAbs(cv2.resize(read_image(path).astype(np.float32), SIZE))


def measure_time(size: tuple[int, int], images: int) -> list[str]:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(usable_cores()) as pool:
        paths = make_images(Path(folder), images, size)
        works = [lambda: [*pool.map(whole_copy, paths)]] + [
            lambda way=way: [
                *pool.map(lambda path: way.fit(read_image(path, part=way.part)), paths)
            ]  # type: ignore[misc]
            for way in WAYS.values()
        ]
        whole, *others = alternate(works, 3)
    return [f"{size[0]}x{size[1]}", f"{1e3 * whole / images:.1f}"] + [
        f"{1e3 * seconds / images:.1f} ({whole / seconds:.2f})" for seconds in others
    ]


def peak(path: str, name: str) -> None:
    """Print the memory, in bytes, that reading in threads takes beyond that of the start."""
    way, kilo = WAYS[name], 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ThreadPoolExecutor(THREADS) as pool:
        list(
            pool.map(lambda _: way.fit(read_image(Path(path), part=way.part)).shape, range(THREADS))
        )
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * kilo)


def main() -> None:
    cv2.setNumThreads(1)
    show(
        "reading for 224x224, milliseconds an image (times as fast)",
        ("JPEG", "whole copy", *WAYS),
        [measure_time((1632, 1224), 24), measure_time((4000, 3000), 8)],
    )
    copies = THREADS * MEGAPIXELS_50[0] * MEGAPIXELS_50[1] * 3 * 4
    with tempfile.TemporaryDirectory() as folder:
        (path,) = make_images(Path(folder), 1, MEGAPIXELS_50)
        rows = []
        for name in WAYS:
            command = [sys.executable, __file__, str(path), name]
            taken = int(subprocess.check_output(command))
            rows.append([name, f"{taken / 1e6:.0f}", f"{taken / copies:.3f}"])
    show(
        f"reading 50 megapixels in {THREADS} threads (MB)",
        ("", "taken", f"of {THREADS} copies in floating point"),
        rows,
    )


if __name__ == "__main__":
    peak(*sys.argv[1:]) if len(sys.argv) > 1 else main()
