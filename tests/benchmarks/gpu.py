"""A table of trainings on a GPU: `mlc train` against its bare steps, and what feeds it.

Each row is a model at a size, with SAM or without, compiled or not. The bare steps, over batches
that are in memory already, are measured before the epochs and behind them; epochs that read files,
or for which batches were read while bare steps were made, are left out. Peak memory is the GPU's;
on a CPU the process's. The model's FLOP utilisation takes a backward pass for two forward ones and
the dense bf16 rate of the card.

Rows that would begin after --minutes are left out, and named. `--device cpu --small` shows that it
runs.
"""

import argparse
import math
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from timing import show
from training import BareLoop, make_data

from mlc_cli.core.models.complexity import complexity
from mlc_cli.core.system.device import pick_workers
from mlc_cli.core.training import loop
from mlc_cli.core.training.build import Training, prepare
from mlc_cli.core.training.events import Tick
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings

MODELS = {"lite0": "tf_efficientnet_lite0", "V2-S": "tf_efficientnetv2_s", "TResNet-L": "tresnet_l"}
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
"""Operations a second of cards in bf16, dense, by a part of their names."""
HEADER = ("model", "size", "SAM", "compiled", "img/s", "bare", "share", "MFU", "first step s",
          "peak GB", "decode img/s/worker", "workers to feed")  # fmt: skip
Row = tuple[str, int, bool, bool]


def rows(sizes: tuple[int, ...], compiled: list[str]) -> Iterator[Row]:
    """Models, sizes, SAM, compiled."""
    for name in MODELS:
        for size in sizes:
            yield name, size, False, False
            yield name, size, True, False
    for name in compiled:
        yield name, sizes[0], False, True


def settings_of(row: Row, root: Path, arguments: argparse.Namespace) -> TrainSettings:
    name, size, sam, compiled = row
    flags = {
        "data.root": str(root),
        "data.input_size": size,
        "data.cache": "ram",
        "model.backbone": MODELS[name],
        "model.pretrained": False,
        "batch_size": arguments.batch,
        "epochs": arguments.epochs,
        "eval_every": 99,
        "device": arguments.device,
        "compile": compiled,
        **({"optim.sam.rho": 0.05} if sam else {}),
    }
    return validate(TrainSettings, gather(TrainSettings, "train", flags=flags))


def decode_rate(training: Training) -> float:
    """Images a second that one core reads and augments, without a cache."""
    dataset = training.plan.train.dataset
    cache, dataset.cache = dataset.cache, None
    count, started = min(len(dataset), 64), time.perf_counter()
    for index in range(count):
        dataset[0, index]
    dataset.cache = cache
    return count / (time.perf_counter() - started)


def measure(row: Row, root: Path, arguments: argparse.Namespace) -> tuple[object, ...]:
    """The cells of a row."""
    cuda = arguments.device.startswith("cuda")
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    began, first = time.perf_counter(), []
    training = prepare(settings_of(row, root, arguments))

    def tick(tick: Tick) -> None:
        if not first and tick.phase == "train":
            first.append(time.perf_counter() - began)

    size = training.settings.data.input_size
    gmacs = complexity(training.built.classifier, size).gmacs
    core_rate = decode_rate(training)
    reports = loop.train(training.plan, training.state, tick)
    next(reports)  # reads the files, and chooses algorithms or compiles
    bare = BareLoop(training, 4)
    bare.rate(arguments.steps)
    before = bare.rate(arguments.steps)
    later = list(reports)[2:]  # some batches of the first two were read meanwhile
    steps = (before + bare.rate(arguments.steps)) / 2
    training.close()
    rate = statistics.median(report.images_per_second for report in later)
    name = torch.cuda.get_device_name() if cuda else ""
    peak = next((rate for part, rate in PEAK.items() if part in name), math.nan)
    used = rate * gmacs * 1e9 * 2 * 3 * (2 if row[2] else 1)
    memory = torch.cuda.max_memory_allocated() if cuda else 1024 * _resident()
    return (
        row[0], row[1], "yes" if row[2] else "no", "yes" if row[3] else "no", f"{rate:.0f}",
        f"{steps:.0f}", f"{rate / steps:.3f}", f"{used / peak:.1%}",
        f"{first[0]:.1f}", f"{memory / 1e9:.1f}", f"{core_rate:.0f}", f"{rate / core_rate:.1f}",
    )  # fmt: skip


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    started = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="few and small images")
    parser.add_argument("--minutes", type=float, default=9.0)
    arguments = parser.parse_args()
    arguments.batch = 4 if arguments.small else 64
    arguments.epochs = 4 if arguments.small else 6
    arguments.steps = 2 if arguments.small else 20
    images, sizes = (16, (32, 64)) if arguments.small else (2048, (224, 448))
    table, late = [], []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        make_data(root, images)
        for row in rows(sizes, [] if arguments.small else [*MODELS]):
            if time.monotonic() - started > 60 * arguments.minutes:
                late.append(row)
                continue
            table.append(measure(row, root, arguments))
            print(*table[-1], flush=True)
    device = torch.device(arguments.device)
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    precision = "bf16 where the card has it" if device.type == "cuda" else "fp32"
    workers = pick_workers("auto", device)
    show(f"{card}, {precision}, batch {arguments.batch}, {workers} workers", HEADER, table)
    for row in late:
        print(f"left out, for lack of time: {row}")
    print(f"took {(time.monotonic() - started) / 60:.1f} min")


if __name__ == "__main__":
    main()
