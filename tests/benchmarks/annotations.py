"""Memory of a loaded annotation of a million images, beside the paths themselves."""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
from timing import show

from mlc_cli.core.datasets.annotations import read_annotation

IMAGES = 1_000_000
CLASSES = 80


def main() -> None:
    rng = np.random.default_rng(0)
    names = [f"class {c}" for c in range(CLASSES)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.json"
        counts = rng.poisson(2.9, IMAGES)
        images = [
            [f"images/{i:012d}.jpg", [names[c] for c in rng.integers(0, CLASSES, count)]]
            for i, count in enumerate(counts)
        ]
        path.write_text(json.dumps({"classes": names, "images": images}))
        del images
        started = time.perf_counter()
        annotation = read_annotation(path)
        took = time.perf_counter() - started
    sets = (annotation.positives, annotation.others)
    labels = sum(s.indices.nbytes + s.starts.nbytes for s in sets)
    rest = (labels + annotation.paths.offsets.nbytes) / IMAGES
    text = len(annotation.paths.blob) / IMAGES
    show(
        f"annotation of {IMAGES:,} images, {CLASSES} classes",
        ("bytes an image beside the path", "path", "seconds to read"),
        [(f"{rest:.1f}", f"{text:.1f}", f"{took:.1f}")],
    )


if __name__ == "__main__":
    main()
