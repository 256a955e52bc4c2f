"""Time to find images by name, by the tail of their path and by names that differ, beside os.walk.

Run it by hand, with the number of images:

    python tests/benchmarks/finding.py 1000000
"""

import gc
import os
import sys
import tempfile
from pathlib import Path

from timing import alternate, show

from mlc_cli.core.datasets.formats.shared.images import ImageIndex

FOLDERS = 100


def make(root: Path, count: int) -> list[str]:
    """Empty images in folders; their paths below the root."""
    paths = [f"images_{n % FOLDERS:03d}/images/{n:08d}_{n % 7}.jpg" for n in range(count)]
    for folder in range(FOLDERS):
        (root / f"images_{folder:03d}" / "images").mkdir(parents=True)
    for path in paths:
        (root / path).touch()
    return paths


def find(root: Path, references: list[str]) -> None:
    """Find all in a new index."""
    found = ImageIndex(root).find_all(references)
    assert not found.others
    assert len(found.moves) == FOLDERS


def main() -> None:
    """Print a table of seconds and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        paths = make(root, int(sys.argv[1]) if sys.argv[1:] else 100_000)
        references = {
            "exact": paths,
            "tail": [path.replace("images_", "img/") for path in paths],
            "backslashes": ["C:\\data\\" + path.replace("/", "\\") for path in paths],
            "address": [f"https://host/b/{path}?a=1" for path in paths],
            "suffix": [path.replace(".jpg", ".JPG") for path in paths],
            "no suffix": [path.removesuffix(".jpg") for path in paths],
        }
        gc.collect()
        works = [lambda: [*os.walk(root)]]
        works += [lambda own=own: find(root, own) for own in references.values()]  # type: ignore[misc]
        walk, *others = alternate(works, 3)
    rows = [
        [name, f"{seconds:.2f}", f"{seconds / walk:.2f}"]
        for name, seconds in zip(references, others, strict=True)
    ]
    show(f"{len(paths)} images, os.walk {walk:.2f} s", ["names", "s", "times os.walk"], rows)


if __name__ == "__main__":
    main()
