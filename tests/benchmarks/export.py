"""Images a second of `mlc eval` on an OpenVINO IR, from JPEG files on.

Against a loop of single-image calls of the stock client, and against reading alone and OpenVINO's
own `benchmark_app` alone, one after the other: 1 / (1/reading + 1/inference).
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
from model_api.models import Model
from samples import make_annotation, make_images, make_model
from timing import alternate, show

from mlc_cli.core.inference.build import data_settings, host_device, read_checked_split
from mlc_cli.core.inference.engines import OpenedModel
from mlc_cli.core.inference.open import open_model
from mlc_cli.core.inference.scoring import score
from mlc_cli.core.loading.build import build_eval_batches
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.jobs.export import export
from mlc_cli.settings.export import ExportSettings
from mlc_cli.settings.scoring import SplitChoiceSettings


def make_batches(opened: OpenedModel, data: Path):
    """Batches of the validation split as `mlc eval` reads them."""
    settings = data_settings(SplitChoiceSettings(data=str(data)), opened.card, opened.path)
    split = read_checked_split(settings, "val", opened.card.classes)
    device = host_device(opened.engine)
    return build_eval_batches(settings, split, batch_size=64, device=device)


def benchmark_app(model: Path, size: int) -> float:
    """Throughput that OpenVINO's own tool reports."""
    tool = Path(sys.executable).with_name("benchmark_app")
    command = [tool, "-m", model, "-hint", "throughput", "-infer_precision", "f32", "-t", "10"]
    command += ["-shape", f"[1,3,{size},{size}]"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(re.search(r"Throughput:\s+([0-9.]+)", said)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=768)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        images = make_images(folder, arguments.images)
        make_annotation(folder, images)
        make_model(folder / "best.safetensors", arguments.backbone, arguments.size)
        export(ExportSettings(checkpoint=str(folder / "best.safetensors"), ir=True, check=False))
        model = folder / "export" / "model.xml"
        opened = open_model(model, "cpu", "fp32")
        client = Model.create_model(str(model))
        reading, ours, calls = alternate(
            [
                lambda: list(make_batches(opened, folder).epoch()),
                lambda: score(opened.engine, make_batches(opened, folder)),
                lambda: [client(cv2.imread(str(path))) for path in images],
            ],
            arguments.repeats,
        )
        inference = benchmark_app(model, arguments.size)
    rates = [arguments.images / seconds for seconds in (reading, ours, calls)]
    summed = 1 / (1 / rates[0] + 1 / inference)
    show(
        f"mlc eval on an IR, {arguments.backbone} at {arguments.size}, {usable_cores()} cores"
        " (images a second)",
        (
            "reading",
            "benchmark_app",
            "one after the other",
            "client",
            "mlc eval",
            "/ sum",
            "/ client",
        ),
        [
            [
                *(f"{rate:.0f}" for rate in (rates[0], inference, summed, rates[2], rates[1])),
                f"{rates[1] / summed:.3f}",
                f"{rates[1] / rates[2]:.2f}",
            ]
        ],
    )


if __name__ == "__main__":
    main()
