"""The training loop: a generator that yields a report after each epoch.

It steps and evaluates; saving, printing and stopping are its callers' affair. Between two steps,
and between two batches of an evaluation, it calls `on_tick`, which may raise to stop: the state
is then complete, and the training can go on from it.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from mlc_cli.core.inference.scoring import Scorer
from mlc_cli.core.loading.dataset import Batch
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.loading.readers import Request
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.system.distributed import Group
from mlc_cli.core.training.events import EpochReport, OnTick, Tick, Validation
from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.state import Best, Position, TrainState
from mlc_cli.core.training.step import Step
from mlc_cli.core.training.warm_start import WarmStart
from mlc_cli.errors import Interrupted


@dataclass(frozen=True)
class Plan:
    """Everything about a training that does not change.

    Attributes:
        train: Shuffled, augmented batches.
        val: Validation images in the order of the file.
        step: How a step is made.
        scorer: How a model is run over the validation images.
        accumulate: Batches of a step.
        epochs: Passes over the training images.
        eval_every: Epochs between evaluations.
        warm_start: Training of the head before the first epoch, if any.
        best: What is known beforehand to be the best: nothing is evaluated then.
    """

    train: Batches
    val: Batches
    step: Step
    scorer: Scorer
    accumulate: int
    epochs: int
    eval_every: int
    warm_start: WarmStart | None
    best: Best | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch."""
        return -(-len(self.train) // self.accumulate)

    def evaluates(self, epoch: int) -> bool:
        """Whether there is an evaluation after so many epochs."""
        return not self.best and (epoch % self.eval_every == 0 or epoch == self.epochs)

    def begins(self, state: TrainState) -> bool:
        """Whether the first evaluation, or what comes in its place, is still to be made."""
        return state.best.mean_ap == -math.inf and not (self.best and state.position.warm)


@dataclass(frozen=True)
class _Control:
    """What processes say to each other after each batch, in one message.

    Attributes:
        group: The processes.
        on_tick: Hears how far a phase is.
        stop: Whether this process was asked to stop.
    """

    group: Group
    on_tick: OnTick
    stop: Callable[[], bool]

    def __call__(self, tick: Tick, images: int = 0) -> int:
        """Go on with the next batch: the images that all processes together have for it."""
        stop, total = self.group.totals(self.stop(), images)
        if stop:  # first: a lost terminal shows no progress
            raise Interrupted("interrupted")
        self.on_tick(tick)
        return int(total)


def train(
    plan: Plan, state: TrainState, on_tick: OnTick, stop: Callable[[], bool] = lambda: False
) -> Iterator[EpochReport]:
    """Train from the position of `state` to the end, yielding a report after each epoch.

    Args:
        plan: What does not change.
        state: What does.
        on_tick: Called after each batch; may raise to stop.
        stop: Asked after each batch; where any process is to stop, all do.

    Raises:
        Interrupted: By `stop`.
        TrainingError: A loss or an output is not finite.
        BadImageError: An image cannot be read, where that is an error.
    """
    control = _Control(plan.train.group, on_tick, stop)
    plan.train.readers.follow(_requests(plan, state, state.position.epoch, state.position.batch))
    if plan.begins(state):  # an evaluation before the first epoch is the first of all
        if plan.warm_start:
            yield _warm_start(plan, plan.warm_start, state, control)
        elif not plan.epochs:
            yield _before_training(plan, state, None, time.perf_counter(), control)
    while state.position.epoch < plan.epochs and not state.position.stopped:
        started = time.perf_counter()
        images = _run_epoch(plan, state, control)
        speed = images / (time.perf_counter() - started)
        validation = _validate_if_due(plan, state, state.position.epoch + 1, control)
        yield _finish_epoch(plan, state, validation, speed, started)


def _requests(plan: Plan, state: TrainState, first: int, batch: int) -> Iterator[Request]:
    """All that is read from a batch of an epoch on, the evaluation of the best weights included."""
    if plan.begins(state):
        if plan.warm_start and not state.position.warm:
            yield from plan.warm_start.batches.requests()
        if not plan.best and (plan.warm_start or not plan.epochs):
            yield from plan.val.requests()
    for epoch in range(first, plan.epochs):
        yield from plan.train.requests(epoch, batch if epoch == first else 0)
        for _ in range(plan.evaluates(epoch + 1) * (2 if state.ema else 1)):
            yield from plan.val.requests()
    if not plan.best:
        yield from plan.val.requests()


def _warm_start(
    plan: Plan, warm_start: WarmStart, state: TrainState, control: _Control
) -> EpochReport:
    started = time.perf_counter()

    def tick(done: int, total: int) -> None:
        control(Tick("warm start", 0, done, total))

    assert isinstance(state.model, Classifier)
    step = plan.step
    if not state.position.warm:
        warm_start.run(state.model, step.loss, step.normalise, step.precision, tick)
        if state.ema:
            state.ema = Ema(state.model, state.ema.decay, state.ema.warmup)
        state.position.warm = True
    return _before_training(plan, state, warm_start.lr, started, control)


def _before_training(
    plan: Plan, state: TrainState, lr: float | None, started: float, control: _Control
) -> EpochReport:
    validation = _validate_if_due(plan, state, 0, control)
    return _report(plan, state, started, epoch=0, lr=lr, validation=validation)


def _report(plan: Plan, state: TrainState, started: float, **own: Any) -> EpochReport:
    """A report with what all have in common."""
    warm = plan.warm_start.batches.bad_images if plan.warm_start else {}
    unreadable = len(warm | plan.train.bad_images | plan.val.bad_images)
    seconds = time.perf_counter() - started
    return EpochReport(
        epochs=plan.epochs, best=state.best, seconds=seconds, unreadable=unreadable, **own
    )


def _run_epoch(plan: Plan, state: TrainState, control: _Control) -> int:
    """Train the rest of the epoch; the number of images."""
    state.model.train()
    position = state.position
    first_step = position.epoch * plan.steps_per_epoch
    images = 0
    batches = plan.train.epoch(position.epoch, position.batch)

    def read() -> list[Batch]:
        left = len(plan.train) - position.batch  # behind the last batch all wait for all
        return list(itertools.islice(batches, min(plan.accumulate, left)))

    chunk = read()
    ahead = control.group.total(_images(chunk))
    while chunk:
        if ahead:
            step = first_step + position.batch // plan.accumulate
            loss = plan.step(state, chunk, step, ahead)
            state.losses.add(loss, _where(plan, position, len(chunk)))
        images += ahead
        position.batch += len(chunk)
        seen = state.losses.mean_so_far()
        best = state.best.mean_ap if math.isfinite(state.best.mean_ap) else None
        tick = Tick("train", position.epoch + 1, position.batch, len(plan.train), seen, best)
        chunk = [] if control.stop() else read()  # a signal may have ended the readers, too
        ahead = control(tick, _images(chunk))
    next(batches, None)
    state.losses.mean()  # waits for the device and looks at all losses before any evaluation
    return images


def _images(chunk: Sequence[Batch]) -> int:
    return sum(len(batch.indices_N) for batch in chunk)


def _where(plan: Plan, position: Position, batches: int) -> str:
    first = position.batch
    images = plan.train.images_of(position.epoch, range(first, first + batches))
    shown = ", ".join(map(str, images[:5])) + (", ..." if len(images) > 5 else "")
    return (
        f"epoch {position.epoch + 1}, batch {first + 1} (images {shown} of the training annotation)"
    )


def _validate_if_due(
    plan: Plan, state: TrainState, epoch: int, control: _Control
) -> Validation | None:
    if plan.best and plan.best.epoch == epoch:
        state.best = plan.best
    return _validate(plan, state, epoch, control) if plan.evaluates(epoch) else None


def _validate(plan: Plan, state: TrainState, epoch: int, control: _Control) -> Validation:
    """Evaluate raw and averaged weights; note the better one if it is the best so far."""

    def tick(done: int, total: int) -> None:
        control(Tick("validate", epoch, done, total))

    def evaluate(model: nn.Module) -> float:
        scores = plan.scorer(model, plan.val, tick)
        # once for all: what is decided by it must not hang on the last bit of a machine
        value = plan.val.group.broadcast(scores.mean_average_precision)
        return 0.0 if math.isnan(value) else value

    map_raw = evaluate(state.model)
    map_ema = evaluate(state.ema.model) if state.ema and epoch else None
    averaged = map_ema is not None and map_ema > map_raw
    found = Validation(map_raw, map_ema, max(map_raw, map_ema or 0.0) > state.best.mean_ap)
    if found.improved:
        state.best = Best(found.reached, epoch, averaged)
    return found


def _finish_epoch(
    plan: Plan, state: TrainState, validation: Validation | None, speed: float, started: float
) -> EpochReport:
    """Move on to the next epoch; let the schedule and early stopping take note."""
    epoch = state.position.epoch + 1
    last_step = epoch * plan.steps_per_epoch - 1
    lr = plan.step.lr * state.schedule.factor(last_step)
    stopped = False
    if validation:
        state.schedule.observe(validation.reached)
        if state.early_stop:
            stopped = state.early_stop.observe(
                validation.reached,
                warm=state.schedule.warm(last_step),
                annealed=state.schedule.annealed(last_step),
            )
    loss = state.losses.mean()
    state.losses.load((0.0, 0))
    state.position = replace(state.position, epoch=epoch, batch=0, stopped=stopped)
    return _report(
        plan,
        state,
        started,
        epoch=epoch,
        loss=loss,
        lr=lr,
        validation=validation,
        stopped=stopped,
        images_per_second=speed,
    )
