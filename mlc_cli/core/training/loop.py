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
from functools import partial
from typing import Any

from torch import nn

from mlc_cli.core.inference.scoring import score
from mlc_cli.core.loading.dataset import Batch
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.loading.readers import Request
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.training.events import EpochReport, OnTick, Phase, Tick, Validation
from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.state import Best, LossMeter, TrainState
from mlc_cli.core.training.step import Step
from mlc_cli.core.training.warm_start import WarmStart
from mlc_cli.errors import Interrupted


@dataclass(frozen=True)
class Plan:
    """Everything about a training that does not change.

    Attributes:
        train: Shuffled, augmented batches.
        val: Validation images in the order of the file.
        accumulate: Batches of a step.
        eval_every: Epochs between evaluations.
        best: What is known beforehand to be the best: nothing is evaluated then.
    """

    train: Batches
    val: Batches
    step: Step
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
class _Run:
    """A plan at work on a state."""

    plan: Plan
    state: TrainState
    on_tick: OnTick
    stop: Callable[[], bool]

    def go_on(self, tick: Tick, images: int = 0) -> int:
        """Go on with the next batch, for which all processes together have so many images.

        It takes one message, in which each says how many it has itself, and whether it is to stop.
        """
        stop, total = self.plan.train.group.totals(self.stop(), images)
        if stop:  # first: a lost terminal shows no progress
            raise Interrupted("interrupted")
        self.on_tick(tick)
        return int(total)

    def phase(self, name: Phase, epoch: int) -> Callable[[int, int], object]:
        """What a phase without steps calls after each batch, with batches done and in total."""
        return lambda done, total: self.go_on(Tick(name, epoch, done, total))

    def warm_start(self, warm_start: WarmStart) -> EpochReport:
        """Train the head, if that is not done, and evaluate."""
        started, state = time.perf_counter(), self.state
        assert isinstance(state.model, Classifier)
        if not state.position.warm:
            warm_start.run(state.model, self.plan.step, self.phase("warm start", 0))
            if state.ema:
                state.ema = Ema(state.model, state.ema.decay, state.ema.warmup)
            state.position.warm = True
        return self.report(started, 0, self.validate(0), lr=warm_start.lr)

    def epoch(self) -> EpochReport:
        """Train the rest of an epoch, evaluate, and move on to the next one."""
        plan, state, started, stopped = self.plan, self.state, time.perf_counter(), False
        images = self.steps()
        speed = images / (time.perf_counter() - started)
        epoch = state.position.epoch + 1
        last_step = epoch * plan.steps_per_epoch - 1
        lr = plan.step.lr * state.schedule.factor(last_step)
        if validation := self.validate(epoch):
            state.schedule.observe(validation.reached)
            warm, annealed = state.schedule.warm(last_step), state.schedule.annealed(last_step)
            if state.early_stop:
                stopped = state.early_stop.observe(validation.reached, warm=warm, annealed=annealed)
        own = {"lr": lr, "loss": state.losses.mean, "images_per_second": speed}
        state.losses = LossMeter(state.losses.interval)
        state.position = replace(state.position, epoch=epoch, batch=0, stopped=stopped)
        return self.report(started, epoch, validation, stopped=stopped, **own)

    def report(
        self, started: float, epoch: int, validation: Validation | None, **own: Any
    ) -> EpochReport:
        """A report with what all have in common."""
        plan = self.plan
        warm = plan.warm_start.batches.bad_images if plan.warm_start else {}
        return EpochReport(
            epoch=epoch,
            epochs=plan.epochs,
            validation=validation,
            best=self.state.best,
            seconds=time.perf_counter() - started,
            unreadable=len(warm | plan.train.bad_images | plan.val.bad_images),
            **own,
        )

    def steps(self) -> int:
        """Make the steps that are left of an epoch; the number of images."""
        plan, state, position = self.plan, self.state, self.state.position
        state.model.train()
        first_step = position.epoch * plan.steps_per_epoch
        images = 0
        batches = plan.train.epoch(position.epoch, position.batch)

        def read() -> list[Batch]:
            left = len(plan.train) - position.batch  # behind the last batch all wait for all
            return list(itertools.islice(batches, min(plan.accumulate, left)))

        chunk = read()
        ahead = plan.train.group.total(_images(chunk))
        while chunk:
            if ahead:
                step = first_step + position.batch // plan.accumulate
                loss = plan.step(state, chunk, step, ahead)
                first = (position.epoch, position.batch)
                state.losses.add(loss, partial(_where, plan.train, *first, len(chunk)))
            images += ahead
            position.batch += len(chunk)
            best = state.best.mean_ap if math.isfinite(state.best.mean_ap) else None
            seen, epoch = state.losses.mean, position.epoch + 1
            tick = Tick("train", epoch, position.batch, len(plan.train), seen, best)
            chunk = [] if self.stop() else read()  # a signal may have ended the readers, too
            ahead = self.go_on(tick, _images(chunk))
        next(batches, None)
        state.losses.look()  # before any evaluation
        return images

    def validate(self, epoch: int) -> Validation | None:
        """Evaluate raw and averaged weights, where that is due; note the better one if it is best.

        What is known beforehand to be the best is noted after its epoch.
        """
        plan, state = self.plan, self.state
        if plan.best and plan.best.epoch == epoch:
            state.best = plan.best
        if not plan.evaluates(epoch):
            return None
        map_raw = self.mean_ap(state.model, epoch)
        map_ema = self.mean_ap(state.ema.model, epoch) if state.ema and epoch else None
        averaged = map_ema is not None and map_ema > map_raw
        found = Validation(map_raw, map_ema, max(map_raw, map_ema or 0.0) > state.best.mean_ap)
        if found.improved:
            state.best = Best(found.reached, epoch, averaged)
        return found

    def mean_ap(self, model: nn.Module, epoch: int) -> float:
        """Validation mAP; 0 where no class has a positive."""
        engine, val = self.plan.step.engine(model), self.plan.val
        scores = score(engine, val, self.phase("validate", epoch))
        # once for all: what is decided by it must not hang on the last bit of a machine
        value = val.group.broadcast(scores.mean_average_precision)
        return 0.0 if math.isnan(value) else value


def train(
    plan: Plan, state: TrainState, on_tick: OnTick, stop: Callable[[], bool] = lambda: False
) -> Iterator[EpochReport]:
    """Train from the position of `state` to the end, yielding a report after each epoch.

    After each batch `on_tick` is called, which may raise to stop, and `stop` is asked: where any
    process is to stop, all do.

    Raises:
        Interrupted: By `stop`.
        TrainingError: A loss or an output is not finite.
        BadImageError: An image cannot be read, where that is an error.
    """
    run = _Run(plan, state, on_tick, stop)
    plan.train.readers.follow(_requests(plan, state, state.position.epoch, state.position.batch))
    if plan.begins(state):  # an evaluation before the first epoch is the first of all
        if plan.warm_start:
            yield run.warm_start(plan.warm_start)
        elif not plan.epochs:
            yield run.report(time.perf_counter(), 0, run.validate(0), lr=None)
    while state.position.epoch < plan.epochs and not state.position.stopped:
        yield run.epoch()
    if plan.train.group.any(stop()):  # since the last batch
        raise Interrupted("interrupted")


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


def _images(chunk: Sequence[Batch]) -> int:
    return sum(len(batch.indices_N) for batch in chunk)


def _where(train: Batches, epoch: int, first: int, batches: int) -> str:
    images = train.sampler.images_of(epoch, range(first, first + batches))
    shown = ", ".join(map(str, images[:5])) + (", ..." if len(images) > 5 else "")
    return f"epoch {epoch + 1}, batch {first + 1} (images {shown} of the training annotation)"
