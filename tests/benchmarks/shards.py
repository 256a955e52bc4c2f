"""Training and prediction from shards in an S3 store 30 ms away, against the same from a folder.

The store is moto in a process of its own on this machine: the time that it takes of the cores is
taken off. Epochs come in turns; the first of each, in which processes start, is left out.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from samples import make_model
from timing import show
from training import make_data

sys.path.insert(0, str(Path(__file__).parents[2]))
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.training import loop
from mlc_cli.core.training.build import prepare
from mlc_cli.core.training.events import EpochReport
from mlc_cli.jobs.convert import convert
from mlc_cli.jobs.predict import predict
from mlc_cli.jobs.predict import prepare as prepare_prediction
from mlc_cli.settings.convert import ConvertSettings
from mlc_cli.settings.predict import PredictSettings
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings
from tests import store


def epochs(data: str, arguments: argparse.Namespace, *more: str) -> Iterator[float]:
    """Seconds of each epoch."""
    assignments = [
        f"model.backbone={arguments.backbone}", "model.pretrained=false", "data.cache=none",
        f"data.workers={arguments.workers}", "epochs=99", "eval_every=99", "warm_start=null", *more,
    ]  # fmt: skip
    flags = {"data.root": data, "device": "cpu"}
    content = gather(
        TrainSettings, "train", preset="finetune", assignments=assignments, flags=flags
    )
    training = prepare(validate(TrainSettings, content), lambda _: None)
    try:
        for report in loop.train(training.plan, training.state, lambda _: None, lambda: False):
            if isinstance(report, EpochReport):
                yield report.seconds
    finally:
        training.close()


def predictions(source: str, model: Path) -> Iterator[float]:
    """Seconds of each prediction of all images."""
    while True:
        prepared = prepare_prediction(
            PredictSettings(sources=(source,), checkpoint=str(model), device="cpu")
        )
        started = time.perf_counter()
        predict(prepared, StringIO())
        yield time.perf_counter() - started


def alternate(
    ways: dict[str, Iterator[float]], served: store.Store, repeats: int
) -> list[list[str]]:
    """Rows of a table: seconds of each way, those of the server, and the ratio to the first."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            before = served.cpu_seconds()
            seconds = next(way)
            found[name].append((seconds, served.cpu_seconds() - before))
    rows: list[list[str]] = []
    for name, times in found.items():
        own = [seconds - cpu / usable_cores() for seconds, cpu in times[1:]]
        if not rows:
            first = min(own)
        each = " ".join(f"{seconds:.1f}" for seconds, _ in times[1:])
        cpu = statistics.median(cpu for _, cpu in times[1:])
        rows.append([name, each, f"{cpu:.2f}", f"{min(own):.2f}", f"{first / min(own):.3f}"])
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", default="auto")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0.in1k")
    parser.add_argument("--delay", type=float, default=0.03)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, store.serving(arguments.delay) as served:
        os.environ["XDG_CACHE_HOME"] = place
        folder = Path(place)
        make_data(folder / "data", arguments.images)
        wanted = {"source": str(folder / "data"), "dest": str(folder / "s"), "to": "shards"}
        convert(ConvertSettings.model_validate(wanted))
        url, files = served.put(folder / "s", "s"), served.put(folder / "data/images", "images")
        header = ("from", "seconds", "server's CPU", "least, without", "ratio")
        ways = {
            "folder": epochs(str(folder / "data"), arguments),
            "shards": epochs(url, arguments),
            "shards, blocks": epochs(url, arguments, "data.shuffle=blocks"),
        }
        show("an epoch of training", header, alternate(ways, served, arguments.repeats))
        for way in ways.values():
            way.close()
        make_model(folder / "model.xml", arguments.backbone, 448)
        sources = {
            "folder": str(folder / "data/images"), "files": files, "shards": f"{url}/train.parquet",
        }  # fmt: skip
        ways = {name: predictions(source, folder / "model.xml") for name, source in sources.items()}
        show("a prediction", header, alternate(ways, served, arguments.repeats))


if __name__ == "__main__":
    main()
