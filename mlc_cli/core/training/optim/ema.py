"""Moving average of the weights."""

import copy

import torch
from torch import Tensor, nn


class Ema:
    """A copy of the model that follows it: e = d e + (1 - d) w after each step.

    d = min(decay, (1 + t) / (warmup + t)) with t the steps so far, so that a short training is
    not held back by its start. With a warm-up of 2 this is, until the decay is reached, the mean
    of all weights so far, those before the first step included; without one d is the decay from
    the first step on. Buffers are averaged as weights
    are, integer ones copied.

    Args:
        decay: Largest decay a step.
        warmup: The larger, the more of the start is forgotten; `None` keeps the decay constant.
    """

    def __init__(self, model: nn.Module, decay: float, warmup: float | None = 10.0) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self.decay = decay
        self.warmup = warmup
        self.steps = 0
        self._floats, self._others = _pairs(self.model, model)

    @torch.no_grad()
    def update(self) -> None:
        """Follow the model by one step."""
        decay = self.decay
        if self.warmup is not None:
            decay = min(decay, (1 + self.steps) / (self.warmup + self.steps))
        self.steps += 1
        mine, yours = self._floats
        torch._foreach_lerp_(mine, yours, 1 - decay)
        mine, yours = self._others
        if mine:
            torch._foreach_copy_(mine, yours)


def _pairs(*models: nn.Module) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """Floating and other tensors of each model, found once: a walk in each step is slow."""
    all_ = [[t.detach() for t in (*m.parameters(), *m.buffers())] for m in models]
    floats = [[t for t in tensors if t.is_floating_point()] for tensors in all_]
    return floats, [[t for t in tensors if not t.is_floating_point()] for tensors in all_]
