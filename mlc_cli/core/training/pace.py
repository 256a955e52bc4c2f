"""How many epochs fit a time: what a training takes, measured on its first steps."""

import itertools
import tempfile
import time
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mlc_cli.core.runs.checkpoint import save_checkpoint
from mlc_cli.errors import SettingsError

if TYPE_CHECKING:
    from mlc_cli.core.training.build import Training

READ, WARM, STEPS = 16, 2, 6
"""Batches that are read, and steps that are made before and while time is taken."""
RESERVE = 0.95
"""Part of the time that is planned: no machine is as fast all the time."""
MOST = 5
"""Times the epochs of the settings."""
SAVES = 4
"""Checkpoints that what an epoch writes is worth: its own, the best, the state of the optimiser."""
SHORT = 5
"""Below so many epochs, parts of epochs use up the rest."""


@dataclass(frozen=True)
class Pace:
    """Seconds that an image takes, all processes together.

    Attributes:
        read: To be read for the first time.
        step: In an optimiser step.
        forward: In a forward pass.
        save: For a checkpoint, in seconds.
        on_host: Whether the model takes the cores that images are read with.
        cached: Whether images are read once.
    """

    read: float
    step: float
    forward: float
    save: float
    on_host: bool
    cached: bool

    def reading(self, work: float) -> float:
        """Seconds of an image that is read and worked on."""
        return self.read + work if self.on_host else max(self.read, work)


@dataclass(frozen=True)
class Demand:
    """What a training shows its model.

    Attributes:
        train: Images of a whole epoch.
        val: Images of an evaluation.
        features: Images and mirror images of the warm start.
        models: Models of an evaluation: raw weights, and averaged ones.
        eval_every: Epochs between evaluations.
        sam_epochs: Last epochs that take SAM's steps, the others half as long ones; `None`: all.
        pixels: Of a training image, on average, as a part of those of the last size.
    """

    train: int
    val: int
    features: int
    models: int
    eval_every: int
    sam_epochs: int | None
    pixels: float = 1.0

    def seconds(self, pace: Pace, epochs: int, part: float = 1.0) -> float:
        """Time of a training of so many epochs that show a part of the images."""
        first = self.val * pace.reading(pace.forward)
        warm = self.train * pace.read * bool(self.features) + 1.1 * self.features * pace.forward
        evals = (-(-epochs // self.eval_every) * self.models + 1) * self.val * pace.forward
        light = max(0, epochs - self.sam_epochs) if self.sam_epochs else 0
        steps = (epochs - light / 2) * part * self.train * pace.step * self.pixels
        reads = min(part * epochs, 1.0) if pace.cached else part * epochs
        extra = reads * self.train * (pace.reading(pace.step) - pace.step)
        return first + warm + evals + steps + extra + epochs * SAVES * pace.save


def demand_of(training: "Training") -> Demand:
    """What a training shows its model."""
    settings, warm = training.settings, training.settings.warm_start
    views = (2 if warm.flip else 1) if warm else 0
    return Demand(
        train=training.plan.train.drawn,
        val=len(training.splits.val),
        features=views * len(training.plan.train.dataset),
        models=2 if settings.ema else 1,
        eval_every=settings.eval_every,
        sam_epochs=settings.optim.sam.last_epochs if settings.optim.sam else None,
        pixels=training.plan.step.pixels,
    )


def fit(demand: Demand, pace: Pace, seconds: float, most: int) -> tuple[int, float]:
    """Epochs that fit a time, at most so many, and the part of the images that each shows.

    Raises:
        SettingsError: Not even a part of an epoch fits.
    """
    epochs = 0
    while epochs < most and demand.seconds(pace, epochs + 1) <= seconds:
        epochs += 1
    if epochs >= min(SHORT, most):
        return epochs, 1.0
    more = epochs + 1
    part = (
        bisect(range(1, 1000), seconds, key=lambda p: demand.seconds(pace, more, p / 1000)) / 1000
    )
    if part * more > epochs:
        return more, part
    if not epochs:
        raise SettingsError(
            f"the time does not suffice: {seconds / 60:.1f} minutes are left, and a warm start,"
            f" evaluations and a part of an epoch take more than"
            f" {demand.seconds(pace, 1, 0.001) / 60:.1f}",
            "Give more of it, smaller images (`--set data.input_size=N`) or a smaller backbone.",
        )
    return epochs, 1.0


def measure(training: "Training") -> Pace:
    """Make the first steps of a training, which is of no use afterwards."""
    plan, group = training.plan, training.group
    batches, step = plan.train.epoch(0), replace(plan.step, sizes=())
    device = step.normalise.device
    read = [next(batches)]
    started = time.perf_counter()
    read += itertools.islice(batches, READ - 1)
    reading = time.perf_counter() - started
    images = sum(group.total(len(batch.indices_N)) for batch in read[1:])

    def timed(work: Callable[[int], int]) -> float:
        """Seconds of an image."""
        done, begun = 0, 0.0
        for number in range(WARM + STEPS):
            if number == WARM:
                _wait(device)
                begun = time.perf_counter()
            done += work(number) * (number >= WARM)
        _wait(device)
        return (time.perf_counter() - begun) / max(1, done)

    def make_step(number: int) -> int:
        chunk = [read[(number * plan.accumulate + k) % len(read)] for k in range(plan.accumulate)]
        count = group.total(sum(len(batch.indices_N) for batch in chunk))
        step(training.state, chunk, step.sam_from + number, count)
        return count

    def look(number: int) -> int:
        batch = read[number % len(read)]
        step.engine(training.state.model).logits(batch.images_NHWC)
        if step.teach:  # the warm start asks them, too
            step.teach(step.normalise(batch.images_NHWC))
        return group.total(len(batch.indices_N))

    training.state.model.train()
    step_seconds = timed(make_step)
    pace = Pace(
        read=reading / max(1, images),
        step=step_seconds,
        forward=timed(look),
        save=_save(training),
        on_host=device.type == "cpu",
        cached=plan.train.dataset.cache is not None,
    )
    return group.broadcast(lambda: pace)


def _save(training: "Training") -> float:
    """Seconds of a checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        save_checkpoint(Path(folder, "one"), training.state.model.state_dict(), training.card)
        return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
