"""Learning rate, and momentum, as functions of the step.

A schedule gives factors on the peak learning rate; steps are counted from 0.
"""

import math
from dataclasses import dataclass


class Schedule:
    """Learning rate over a training: what holds for a linear warm-up and something after it."""

    warmup_steps: float

    def factor(self, step: int) -> float:
        """Learning rate of a step as a part of the peak."""
        rise = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps > 0 else 1.0
        return rise * self.fall(step)

    def fall(self, step: int) -> float:  # noqa: ARG002
        """The same but for the warm-up."""
        return 1.0

    def momentum(self, step: int) -> float | None:  # noqa: ARG002
        """Momentum of a step; `None` leaves that of the optimiser."""
        return None

    def warm(self, step: int) -> bool:
        """Whether the learning rate has reached its peak."""
        return step >= self.warmup_steps

    def annealed(self, step: int) -> bool:
        """Whether the learning rate is past its peak and below half of it, or never falls."""
        return self.warm(step) and self.factor(step) < 0.5

    def observe(self, metric: float) -> None:
        """Take note of a validation metric."""

    def state(self) -> dict[str, float]:
        """What must be saved to continue: nothing where all depends on the step alone."""
        return {}

    def load(self, state: dict[str, float]) -> None:
        """Continue from a saved state."""


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(max(part, 0.0), 1.0))) / 2


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Cosine from 1/div to 1 and down to 1/(div final_div), as torch's OneCycleLR.

    The peak comes after `pct_start` of the steps; `low_high` is the momentum there and at both
    ends, if it cycles.
    """

    steps: int
    pct_start: float
    div: float
    final_div: float
    low_high: tuple[float, float] | None = None

    @property
    def _peak(self) -> float:
        return self.pct_start * self.steps - 1

    def _between(self, step: int, first: float, peak: float, last: float) -> float:
        if step <= self._peak:
            return _cosine(first, peak, step / self._peak if self._peak > 0 else 1.0)
        return _cosine(peak, last, (step - self._peak) / max(1e-9, self.steps - 1 - self._peak))

    def factor(self, step: int) -> float:
        """Part of the peak."""
        return self._between(step, 1 / self.div, 1.0, 1 / (self.div * self.final_div))

    def momentum(self, step: int) -> float | None:
        """Lowest at the peak of the learning rate."""
        if self.low_high is None:
            return None
        low, high = self.low_high
        return self._between(step, high, low, high)

    def warm(self, step: int) -> bool:
        """At the peak and after it."""
        return step >= self._peak


@dataclass(frozen=True)
class Cosine(Schedule):
    """Linear warm-up, then a cosine to `final` at the last step."""

    warmup_steps: float
    steps: int
    final: float

    def fall(self, step: int) -> float:
        """Half a cosine."""
        rest = max(1.0, self.steps - 1 - self.warmup_steps)
        return _cosine(1.0, self.final, (step - self.warmup_steps) / rest)


@dataclass(frozen=True)
class Milestones(Schedule):
    """Linear warm-up; a fall by `gamma` at each milestone (a step), as torch's MultiStepLR."""

    warmup_steps: float
    milestones: tuple[int, ...]
    gamma: float

    def fall(self, step: int) -> float:
        """One factor for each milestone that is passed."""
        return float(self.gamma ** sum(step >= milestone for milestone in self.milestones))


@dataclass(frozen=True)
class Constant(Schedule):
    """Linear warm-up, then 1."""

    warmup_steps: float

    def annealed(self, step: int) -> bool:
        """It never falls, so that every evaluation after the warm-up counts."""
        return self.warm(step)


@dataclass
class Plateau(Schedule):
    """Linear warm-up, then a fall by `gamma` after `patience` evaluations without a gain.

    `final` is the smallest part of the peak, `level` that which it has come to.
    """

    warmup_steps: float
    gamma: float
    patience: int
    final: float
    level: float = 1.0
    best: float = -math.inf
    waited: int = 0

    def fall(self, step: int) -> float:  # noqa: ARG002
        """What it has come to."""
        return self.level

    def observe(self, metric: float) -> None:
        """Count an evaluation."""
        if metric > self.best:
            self.best, self.waited = metric, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.level, self.waited = max(self.final, self.level * self.gamma), 0

    def state(self) -> dict[str, float]:
        """Level, best metric and evaluations waited."""
        return {"level": self.level, "best": self.best, "waited": self.waited}

    def load(self, state: dict[str, float]) -> None:
        """Continue from a saved state."""
        vars(self).update(state)
