"""Images a second of `mlc predict` on an IR from JPEG files to JSON lines, against its parts alone.

Decoding alone (in as many threads, at the part of the size that the model's geometry asks for),
resizing alone and inference alone are measured in the same process, on the same files and in turns
with the whole. One after the other decoding and inference would reach 1 / (1/decoding +
1/inference): the first ratio; the second counts resizing as a part too.
"""

import argparse
import io
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from samples import make_images, make_model
from timing import alternate, show

from mlc_cli.core.images.decode import look, read_image
from mlc_cli.core.images.scaled import RGB_FLAGS
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.jobs.predict import predict, prepare
from mlc_cli.settings.predict import PredictSettings

T = TypeVar("T")
_HELD = 64  # decoded images in memory, of which resizing is measured
SIZES = {0.1: (366, 274), 0.3: (640, 480), 2: (1632, 1224), 12: (4000, 3000)}


def in_all_cores(work: Callable[[T], object], items: list[T]) -> None:
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(work, items):
            pass


def decode_all(paths: list[Path], part: int) -> None:
    """Read and decode, nothing else."""

    def decode(path: Path) -> None:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        assert cv2.imdecode(content, RGB_FLAGS[part]) is not None

    in_all_cores(decode, paths)


def measure(
    megapixels: float, geometry: dict[str, str], arguments: argparse.Namespace
) -> list[str]:
    """One row of the table."""
    count = max(32, int(arguments.images / max(1, 4 * megapixels)))
    with tempfile.TemporaryDirectory() as folder:
        images, model_file = Path(folder) / "images", Path(folder) / "model.xml"
        images.mkdir()
        paths = make_images(images, count, SIZES[megapixels])
        make_model(model_file, arguments.backbone, arguments.size, **geometry)
        prepared = prepare(
            PredictSettings(sources=(str(images),), checkpoint=str(model_file), device="cpu")
        )
        fit = prepared.model.geometry
        part = look(paths[0]).header.part(fit.part)
        pixels = [read_image(path, part=fit.part) for path in paths[:_HELD]]
        ready = np.stack([fit.fit(one) for one in pixels])
        ready = np.resize(ready, (count, *ready.shape[1:]))
        size = prepared.settings.batch_size
        batches = [ready[row : row + size] for row in range(0, count, size)]
        decoding, resizing, inference, whole = alternate(
            [
                lambda: decode_all(paths, part),
                lambda: in_all_cores(fit.fit, pixels),
                lambda: [prepared.model.opened.engine(batch) for batch in batches],
                lambda: predict(prepared, io.StringIO()),
            ],
            arguments.repeats,
        )
    resizing *= count / len(pixels)
    return [
        f"{megapixels:g} MP, {fit.interpolation}, 1/{part}",
        *(f"{count / seconds:.1f}" for seconds in (decoding, resizing, inference, whole)),
        f"{(decoding + inference) / whole:.3f}",
        f"{(decoding + resizing + inference) / whole:.3f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    area = {"interpolation": "area", "decode": "scaled"}
    rows = [measure(size, how, arguments) for size in SIZES for how in ({}, area)]
    show(
        f"predict {arguments.backbone} at {arguments.size}, {usable_cores()} cores"
        " (images a second)",
        ("images", "decoding", "resizing", "inference", "mlc predict", "ratio", "with resizing"),
        rows,
    )


if __name__ == "__main__":
    main()
