"""Learning rate, and momentum, as functions of the step.

A schedule gives factors on the peak learning rate; steps are counted from 0.
"""

import math
from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """Learning rate over a training."""

    def factor(self, step: int) -> float:
        """Learning rate of a step as a part of the peak."""

    def momentum(self, step: int) -> float | None:
        """Momentum of a step; `None` leaves that of the optimiser."""

    def warm(self, step: int) -> bool:
        """Whether the learning rate has reached its peak."""

    def annealed(self, step: int) -> bool:
        """Whether the learning rate is past its peak and below half of it, or never falls."""

    def observe(self, metric: float) -> None:
        """Take note of a validation metric."""

    def state(self) -> dict[str, float]:
        """What must be saved to continue."""

    def load(self, state: dict[str, float]) -> None:
        """Continue from a saved state."""


class Stateless:
    """The parts of a schedule that depends on the step alone."""

    def momentum(self, step: int) -> float | None:  # noqa: ARG002
        """Momentum of the optimiser."""
        return None

    def observe(self, metric: float) -> None:
        """Metrics change nothing."""

    def state(self) -> dict[str, float]:
        """Nothing to save."""
        return {}

    def load(self, state: dict[str, float]) -> None:
        """Nothing to load."""


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(max(part, 0.0), 1.0))) / 2


@dataclass(frozen=True)
class OneCycle(Stateless):
    """Cosine from 1/div to 1 and down to 1/(div final_div), as torch's OneCycleLR.

    Attributes:
        steps: Steps of the training.
        pct_start: Part of them before the peak.
        div: Peak over first.
        final_div: First over last.
        low_high: Momentum at the peak and at both ends, if it cycles.
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

    def annealed(self, step: int) -> bool:
        """After the peak, below half of it."""
        return step > self._peak and self.factor(step) < 0.5


def _warmup(step: int, warmup_steps: float) -> float:
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps > 0 else 1.0


@dataclass(frozen=True)
class _WarmedUp(Stateless):
    """Linear warm-up, then something else."""

    warmup_steps: float

    def warm(self, step: int) -> bool:
        """After the warm-up."""
        return step >= self.warmup_steps


@dataclass(frozen=True)
class Cosine(_WarmedUp):
    """Linear warm-up, then a cosine to `final` at the last step."""

    steps: int
    final: float

    def factor(self, step: int) -> float:
        """Part of the peak."""
        if step < self.warmup_steps:
            return _warmup(step, self.warmup_steps)
        rest = max(1.0, self.steps - 1 - self.warmup_steps)
        return _cosine(1.0, self.final, (step - self.warmup_steps) / rest)

    def annealed(self, step: int) -> bool:
        """After the warm-up, below half of the peak."""
        return step >= self.warmup_steps and self.factor(step) < 0.5


@dataclass(frozen=True)
class Milestones(_WarmedUp):
    """Linear warm-up; at each milestone the learning rate falls by a factor, as MultiStepLR.

    Attributes:
        milestones: Steps, ascending.
        gamma: The factor.
    """

    milestones: tuple[int, ...]
    gamma: float

    def factor(self, step: int) -> float:
        """Part of the peak."""
        passed = sum(step >= milestone for milestone in self.milestones)
        return float(_warmup(step, self.warmup_steps) * self.gamma**passed)

    def annealed(self, step: int) -> bool:
        """After the warm-up, below half of the peak."""
        return step >= self.warmup_steps and self.factor(step) < 0.5


@dataclass(frozen=True)
class Constant(_WarmedUp):
    """Linear warm-up, then 1."""

    def factor(self, step: int) -> float:
        """Part of the peak."""
        return _warmup(step, self.warmup_steps)

    def annealed(self, step: int) -> bool:
        """It never falls, so that every evaluation after the warm-up counts."""
        return step >= self.warmup_steps


class Plateau:
    """Linear warm-up, then a fall by `factor` after `patience` evaluations without a gain.

    Args:
        warmup_steps: Steps of warm-up.
        factor: What the learning rate is multiplied by.
        patience: Evaluations without a gain before that.
        final: Smallest part of the peak.
    """

    def __init__(self, warmup_steps: float, factor: float, patience: int, final: float) -> None:
        self._warmup_steps = warmup_steps
        self._fall = factor
        self._patience = patience
        self._final = final
        self._level = 1.0
        self._best = -math.inf
        self._waited = 0

    def factor(self, step: int) -> float:
        """Part of the peak."""
        return _warmup(step, self._warmup_steps) * self._level

    def momentum(self, step: int) -> float | None:  # noqa: ARG002
        """Momentum of the optimiser."""
        return None

    def warm(self, step: int) -> bool:
        """After the warm-up."""
        return step >= self._warmup_steps

    def annealed(self, step: int) -> bool:
        """After the warm-up, below half of the peak."""
        return step >= self._warmup_steps and self._level < 0.5

    def observe(self, metric: float) -> None:
        """Count an evaluation."""
        if metric > self._best:
            self._best, self._waited = metric, 0
            return
        self._waited += 1
        if self._waited > self._patience:
            self._level = max(self._final, self._level * self._fall)
            self._waited = 0

    def state(self) -> dict[str, float]:
        """Level, best metric and evaluations waited."""
        return {"level": self._level, "best": self._best, "waited": self._waited}

    def load(self, state: dict[str, float]) -> None:
        """Continue from a saved state."""
        self._level, self._best = state["level"], state["best"]
        self._waited = int(state["waited"])
