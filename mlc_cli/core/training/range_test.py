"""The learning-rate range test (Smith 2017): the loss while the learning rate grows."""

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlc_cli.core.training.events import OnTick, Tick
from mlc_cli.core.training.optim.schedules import Schedule

if TYPE_CHECKING:
    from mlc_cli.core.training.build import Training

FIRST, LAST, STEPS = 1e-6, 1.0, 120
SMOOTHING, WORSE = 0.9, 3.0


@dataclass(frozen=True)
class _Growing(Schedule):
    """By the same factor with each step, in place of a part of the peak."""

    def factor(self, step: int) -> float:
        """The learning rate itself."""
        return float(FIRST * (LAST / FIRST) ** (step / (STEPS - 1)))


def range_test(training: "Training", on_tick: OnTick) -> list[tuple[float, float]]:
    """Learning rates from 1e-6 to 1, each by the loss at it, until that is thrice the lowest.

    Losses are a moving mean over about ten steps, without the bias of its start. The head is warm
    where the settings say so. The weights are of no further use.
    """
    plan, state = training.plan, training.state
    if warm := plan.warm_start:
        warm.run(
            training.built.classifier,
            plan.step,
            lambda done, total: on_tick(Tick("warm start", 0, done, total)),
        )
    state.schedule = _Growing()
    state.model.train()
    step = replace(plan.step, lr=1.0)
    batches = (batch for epoch in itertools.count() for batch in plan.train.epoch(epoch, 0))
    points: list[tuple[float, float]] = []
    mean = 0.0
    for number in range(STEPS):
        loss = float(step(state, list(itertools.islice(batches, plan.accumulate)), number))
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smooth = mean / (1 - SMOOTHING ** (number + 1))
        if not math.isfinite(smooth) or (points and smooth > WORSE * min(y for _, y in points)):
            break
        points.append((state.schedule.factor(number), smooth))
        on_tick(Tick("train", 1, number + 1, STEPS, smooth))
    return points


def steepest(points: list[tuple[float, float]]) -> float:
    """The learning rate at which the loss falls fastest, before its lowest value.

    Learning rates are even on a logarithmic axis; slopes are taken over five of them.
    """
    lowest = min(range(len(points)), key=lambda k: points[k][1])
    falls = {k: points[k + 2][1] - points[k - 2][1] for k in range(2, lowest - 1)}
    return points[min(falls, key=falls.__getitem__) if falls else lowest][0]
