"""When to stop before the last epoch."""

import math
from dataclasses import dataclass
from typing import Literal

_PERFECT = 1 - 1e-4


@dataclass
class EarlyStop:
    """Stops after `patience` evaluations without a gain.

    `annealed` waits while the learning rate is below half of its peak. `smoothed` is the published
    rule: it waits from the end of the warm-up, compares with a running mean of the gains (0.8 of
    the new metric, 0.2 of the mean so far, from 0), and stops at a perfect metric. With one-cycle
    it is apt to stop near the peak, long before the annealing that brings most.

    Attributes:
        patience: Evaluations without a gain.
        min_delta: Smallest rise that is a gain.
        rule: When evaluations count.
        best: Best metric so far, or the running mean.
        waited: Evaluations without a gain so far.
    """

    patience: int
    min_delta: float
    rule: Literal["annealed", "smoothed"] = "annealed"
    best: float = -math.inf
    waited: int = 0

    def observe(self, metric: float, *, annealed: bool, warm: bool = True) -> bool:
        """Count an evaluation; whether to stop now.

        Args:
            metric: Higher is better.
            annealed: Whether the learning rate is past its peak and below half of it.
            warm: Whether the warm-up of the learning rate is over.
        """
        smoothed = self.rule == "smoothed"
        if smoothed:
            self.best = max(self.best, 0.0)
        compared = round(metric, 4) if smoothed else metric
        if compared > self.best + self.min_delta:
            self.best = 0.8 * metric + 0.2 * self.best if smoothed else metric
            self.waited = 0
        elif warm if smoothed else annealed:
            self.waited += 1
        return self.waited >= self.patience or (smoothed and compared >= _PERFECT)
