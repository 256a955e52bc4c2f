"""Images a second of `mlc predict` from JPEG files to JSON lines, against its two parts alone.

Reading alone and inference alone are measured in the same process, on the same files and in turns
with the whole; one after the other they would reach 1 / (1/reading + 1/inference).
"""

import argparse
import io
import tempfile
from dataclasses import replace
from pathlib import Path

from samples import make_checkpoint, make_images
from timing import alternate, show

from mlc_cli.core.loading.stream import PictureReader, read_batches
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.jobs.predict import Prepared, predict, prepare
from mlc_cli.settings.predict import PredictSettings


def read_all(prepared: Prepared) -> list[list]:
    """All batches as `predict` reads them."""
    batches = read_batches(
        iter(prepared.sources),
        PictureReader(prepared.model.geometry),
        batch_size=prepared.settings.batch_size,
        threads=usable_cores(),
    )
    return list(batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images, checkpoint = Path(folder) / "images", Path(folder) / "best.safetensors"
        images.mkdir()
        make_images(images, arguments.images)
        make_checkpoint(checkpoint, arguments.backbone, arguments.size)
        prepared = prepare(
            PredictSettings(sources=(str(images),), checkpoint=str(checkpoint), device="cpu")
        )
        ready = read_all(prepared)
        reading, inference, whole = alternate(
            [
                lambda: read_all(prepared),
                lambda: [prepared.model.predictor()(batch) for batch in ready],
                lambda: predict(replace(prepared), io.StringIO()),
            ],
            arguments.repeats,
        )
    rates = [arguments.images / seconds for seconds in (reading, inference, whole)]
    summed = 1 / (1 / rates[0] + 1 / rates[1])
    show(
        f"predict {arguments.backbone} at {arguments.size}, {usable_cores()} cores"
        " (images a second)",
        ("reading", "inference", "one after the other", "mlc predict", "ratio"),
        [[*(f"{rate:.0f}" for rate in (*rates[:2], summed, rates[2])), f"{rates[2] / summed:.3f}"]],
    )


if __name__ == "__main__":
    main()
