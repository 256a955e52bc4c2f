"""When to stop before the last epoch."""

import math
from dataclasses import dataclass


@dataclass
class EarlyStop:
    """Stops after `patience` evaluations without a gain, once the learning rate has annealed.

    Attributes:
        patience: Evaluations without a gain.
        min_delta: Smallest rise that is a gain.
        best: Best metric so far.
        waited: Evaluations without a gain so far.
    """

    patience: int
    min_delta: float
    best: float = -math.inf
    waited: int = 0

    def observe(self, metric: float, *, annealed: bool) -> bool:
        """Count an evaluation; whether to stop now.

        Args:
            metric: Higher is better.
            annealed: Whether the learning rate is below half of its peak.
        """
        if metric > self.best + self.min_delta:
            self.best, self.waited = metric, 0
        elif annealed:
            self.waited += 1
        return self.waited >= self.patience
