"""The training loop: a generator that yields a report after each epoch.

It steps and evaluates; saving, printing and stopping are its callers' affair. Between two steps,
and between two batches of an evaluation, it calls `on_tick`, which may raise to stop: the state
is then complete, and the training can go on from it.
"""

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import nn

from mlc_cli.core.inference.scoring import Scorer
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.training.events import EpochReport, OnTick, Tick, Validation
from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.state import Best, Position, TrainState
from mlc_cli.core.training.step import Step
from mlc_cli.core.training.warm_start import WarmStart


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
    """

    train: Batches
    val: Batches
    step: Step
    scorer: Scorer
    accumulate: int
    epochs: int
    eval_every: int
    warm_start: WarmStart | None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch."""
        return -(-len(self.train) // self.accumulate)


def train(plan: Plan, state: TrainState, on_tick: OnTick) -> Iterator[EpochReport]:
    """Train from the position of `state` to the end, yielding a report after each epoch.

    Raises:
        TrainingError: A loss or an output is not finite.
        BadImageError: An image cannot be read, where that is an error.
    """
    if state.best.mean_ap == -math.inf:  # an evaluation before the first epoch is the first of all
        if plan.warm_start:
            yield _warm_start(plan, plan.warm_start, state, on_tick)
        elif not plan.epochs:
            yield _before_training(plan, state, None, time.perf_counter(), on_tick)
    while state.position.epoch < plan.epochs and not state.position.stopped:
        started = time.perf_counter()
        images = _run_epoch(plan, state, on_tick)
        speed = images / (time.perf_counter() - started)
        validation = _validate_if_due(plan, state, on_tick)
        yield _finish_epoch(plan, state, validation, speed, started)


def _warm_start(
    plan: Plan, warm_start: WarmStart, state: TrainState, on_tick: OnTick
) -> EpochReport:
    started = time.perf_counter()

    def tick(done: int, total: int) -> None:
        on_tick(Tick("warm start", 0, done, total))

    assert isinstance(state.model, Classifier)
    step = plan.step
    if not state.position.warm:
        warm_start.run(state.model, step.loss, step.normalise, step.precision, tick)
        if state.ema:
            state.ema = Ema(state.model, state.ema.decay, state.ema.warmup)
        state.position.warm = True
    return _before_training(plan, state, warm_start.lr, started, on_tick)


def _before_training(
    plan: Plan, state: TrainState, lr: float | None, started: float, on_tick: OnTick
) -> EpochReport:
    validation = _validate(plan, state, 0, on_tick)
    return EpochReport(
        epoch=0,
        epochs=plan.epochs,
        loss=None,
        lr=lr,
        validation=validation,
        best=state.best,
        stopped=False,
        images_per_second=0.0,
        seconds=time.perf_counter() - started,
        unreadable=_unreadable(plan),
    )


def _run_epoch(plan: Plan, state: TrainState, on_tick: OnTick) -> int:
    """Train the rest of the epoch; the number of images."""
    state.model.train()
    position = state.position
    first_step = position.epoch * plan.steps_per_epoch
    images = 0
    batches = plan.train.epoch(position.epoch, position.batch)
    while chunk := list(itertools.islice(batches, plan.accumulate)):
        read = plan.train.group.total(sum(len(batch.indices_N) for batch in chunk))
        if read:
            loss = plan.step(state, chunk, first_step + position.batch // plan.accumulate)
            state.losses.add(loss, _where(plan, position, len(chunk)))
        images += read
        position.batch += len(chunk)
        seen = state.losses.mean_so_far()
        best = state.best.mean_ap if math.isfinite(state.best.mean_ap) else None
        on_tick(Tick("train", position.epoch + 1, position.batch, len(plan.train), seen, best))
    state.losses.mean()  # waits for the device and looks at all losses before any evaluation
    return images


def _where(plan: Plan, position: Position, batches: int) -> str:
    first = position.batch
    images = plan.train.images_of(position.epoch, range(first, first + batches))
    shown = ", ".join(map(str, images[:5])) + (", ..." if len(images) > 5 else "")
    return (
        f"epoch {position.epoch + 1}, batch {first + 1} (images {shown} of the training annotation)"
    )


def _validate_if_due(plan: Plan, state: TrainState, on_tick: OnTick) -> Validation | None:
    epoch = state.position.epoch + 1
    if epoch % plan.eval_every and epoch != plan.epochs:
        return None
    return _validate(plan, state, epoch, on_tick)


def _validate(plan: Plan, state: TrainState, epoch: int, on_tick: OnTick) -> Validation:
    """Evaluate raw and averaged weights; note the better one if it is the best so far."""

    def tick(done: int, total: int) -> None:
        on_tick(Tick("validate", epoch, done, total))

    def evaluate(model: nn.Module) -> float:
        scores = plan.scorer(model, plan.val, tick)
        # once for all: what is decided by it must not hang on the last bit of a machine
        value = plan.val.group.broadcast(scores.mean_average_precision)
        return 0.0 if math.isnan(value) else value

    map_raw = evaluate(state.model)
    map_ema = evaluate(state.ema.model) if state.ema and epoch else None
    averaged = map_ema is not None and map_ema > map_raw
    reached = max(map_raw, map_ema or 0.0)
    improved = reached > state.best.mean_ap
    if improved:
        state.best = Best(reached, epoch, averaged)
    return Validation(map_raw, map_ema, improved)


def _finish_epoch(
    plan: Plan, state: TrainState, validation: Validation | None, speed: float, started: float
) -> EpochReport:
    """Move on to the next epoch; let the schedule and early stopping take note."""
    epoch = state.position.epoch + 1
    last_step = epoch * plan.steps_per_epoch - 1
    lr = plan.step.lr * state.schedule.factor(last_step)
    stopped = False
    if validation:
        reached = max(validation.map_raw, validation.map_ema or 0.0)
        state.schedule.observe(reached)
        if state.early_stop:
            stopped = state.early_stop.observe(
                reached,
                warm=state.schedule.warm(last_step),
                annealed=state.schedule.annealed(last_step),
            )
    loss = state.losses.mean()
    state.losses.load((0.0, 0))
    state.position = replace(state.position, epoch=epoch, batch=0, stopped=stopped)
    return EpochReport(
        epoch=epoch,
        epochs=plan.epochs,
        loss=loss,
        lr=lr,
        validation=validation,
        best=state.best,
        stopped=stopped,
        images_per_second=speed,
        seconds=time.perf_counter() - started,
        unreadable=_unreadable(plan),
    )


def _unreadable(plan: Plan) -> int:
    warm = plan.warm_start.batches.bad_images if plan.warm_start else {}
    return len(warm | plan.train.bad_images | plan.val.bad_images)
