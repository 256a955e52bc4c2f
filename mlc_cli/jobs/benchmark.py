"""`mlc benchmark`: how fast model files run on this machine."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.inference.engines import Engine, is_exported, model_bytes
from mlc_cli.core.inference.open import open_model
from mlc_cli.core.inference.runtime.ir_file import cpu_name
from mlc_cli.core.runs.folder import find_checkpoint
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.files import write_json
from mlc_cli.errors import UsageError
from mlc_cli.settings.benchmark import BenchmarkSettings

OnRound = Callable[[int, int], object]


@dataclass(frozen=True)
class Speed:
    """How fast a model file runs.

    Attributes:
        model: The file.
        bytes: Of the file, or both files of an IR.
        latency_ms: Of one image handed over alone, median.
        latency_p95_ms: The same, 95th percentile.
        rate: Images a second when many are handed over, median of the rounds.
        ratio: This rate over that of the first model.
    """

    model: str
    bytes: int
    latency_ms: float
    latency_p95_ms: float
    rate: float
    ratio: float


@dataclass(frozen=True)
class Benchmark:
    """Speeds that were measured in one run."""

    machine: str
    device: str
    precision: str
    speeds: tuple[Speed, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Candidate:
    """A model with its engines for either measure, and what was measured so far."""

    path: Path
    warning: str
    alone: Engine
    many: Engine
    images: NDArray[np.uint8]
    latencies: list[float]
    rates: list[float]

    def measure(self, seconds: float) -> None:
        """One round."""
        first = self.images[:1]
        self.latencies.extend(_times(lambda: self.alone(first), seconds))
        times = _times(lambda: self.many(self.images), seconds)
        self.rates.append(len(self.images) / statistics.median(times))


def benchmark(
    settings: BenchmarkSettings, on_round: OnRound = lambda _done, _of: None
) -> Benchmark:
    """Measure model files in turns.

    Pixels are random: the time of a network does not depend on them. Reading is not counted.

    Raises:
        MlcError: A model cannot be opened.
    """
    candidates = [_open(path, settings) for path in _paths(settings)]
    seconds = settings.seconds / settings.rounds
    for done in range(settings.rounds):
        on_round(done, settings.rounds)
        for candidate in candidates:
            candidate.measure(seconds)
    speeds = tuple(_speed(candidate, candidates[0]) for candidate in candidates)
    machine = f"{cpu_name()}, {usable_cores()} cores"
    warnings = tuple(candidate.warning for candidate in candidates if candidate.warning)
    result = Benchmark(machine, settings.device, settings.precision, speeds, warnings)
    if settings.output:
        write_json(Path(settings.output), asdict(result))
    return result


def _paths(settings: BenchmarkSettings) -> list[Path]:
    if settings.models:
        return [Path(model) for model in settings.models]
    checkpoint = find_checkpoint(settings.run, settings.checkpoint)
    folder = checkpoint.parent / "export"
    exported = sorted(path for path in folder.glob("*") if is_exported(path))
    if not exported:
        raise UsageError(
            f"{folder}: holds no exported models to compare with",
            "Export first (`mlc export --ir`), or name the files: mlc benchmark FILE...",
        )
    return [checkpoint, *exported]


def _open(path: Path, settings: BenchmarkSettings) -> _Candidate:
    precision = "fp32" if path.suffix.lower() == ".onnx" else settings.precision
    own = not is_exported(path)
    many = open_model(
        path, settings.device, precision,
        like=settings.like if own else None,
        weight_classes=settings.weight_classes if own else None,
    )  # fmt: skip
    alone = many
    if path.suffix.lower() == ".xml":
        alone = open_model(path, settings.device, precision, latency=True)
    rng = np.random.default_rng(0)
    shape = (settings.batch_size, *many.card.input_size, 3)
    images = rng.integers(0, 256, shape, np.uint8)
    for engine in (alone.engine, many.engine):
        engine(images)  # the first run allocates
    return _Candidate(path, many.warning, alone.engine, many.engine, images, [], [])


def _times(work: Callable[[], object], seconds: float) -> list[float]:
    """Seconds of each repetition, for so long and at least twice."""
    times: list[float] = []
    while len(times) < 2 or sum(times) < seconds:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return times


def _speed(candidate: _Candidate, first: _Candidate) -> Speed:
    ordered = sorted(candidate.latencies)
    rate = statistics.median(candidate.rates)
    return Speed(
        model=str(candidate.path),
        bytes=model_bytes(candidate.path),
        latency_ms=1e3 * statistics.median(ordered),
        latency_p95_ms=1e3 * ordered[math.ceil(0.95 * len(ordered)) - 1],
        rate=rate,
        ratio=rate / statistics.median(first.rates),
    )
