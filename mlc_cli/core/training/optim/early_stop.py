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

    A gain is a rise of more than `min_delta` above `best`, the best metric or the running mean.
    """

    patience: int
    min_delta: float
    rule: Literal["annealed", "smoothed"] = "annealed"
    best: float = -math.inf
    waited: int = 0

    def observe(self, metric: float, *, annealed: bool, warm: bool = True) -> bool:
        """Count an evaluation; whether to stop now.

        The learning rate is `warm` from its peak on, and `annealed` once it is below half of that.
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
