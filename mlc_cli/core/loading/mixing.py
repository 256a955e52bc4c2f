"""Mixing of images and targets inside a batch, on the device.

Targets are float, N×C, with values in 0..1, or -1 for unknown. A label that is unknown in either
image is unknown in the mixture.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Mix = Callable[[Tensor, Tensor, np.random.Generator], tuple[Tensor, Tensor]]
"""From images N×3×H×W, targets N×C and a generator to mixed images and targets."""


@dataclass(frozen=True)
class Mixup:
    """x = r x + (1 - r) x[perm], r ~ Beta(alpha, alpha), with probability `p` for each batch."""

    alpha: float
    p: float

    def __call__(
        self, images: Tensor, targets: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Blend each image with another."""
        if rng.random() >= self.p:
            return images, targets
        part = float(rng.beta(self.alpha, self.alpha))
        other = _permutation(images, rng)
        return images.lerp(images[other], 1 - part), mix_targets(targets, targets[other], part)


@dataclass(frozen=True)
class Cutmix:
    """Pastes a box of another image; targets are mixed by the area that stays."""

    alpha: float
    p: float

    def __call__(
        self, images: Tensor, targets: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Paste into each image a box of another."""
        if rng.random() >= self.p:
            return images, targets
        top, bottom, left, right = self._box(images.shape[-2], images.shape[-1], rng)
        other = _permutation(images, rng)
        images = images.clone()
        images[..., top:bottom, left:right] = images[other, :, top:bottom, left:right]
        area = (bottom - top) * (right - left) / (images.shape[-2] * images.shape[-1])
        return images, mix_targets(targets, targets[other], 1 - area)

    def _box(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        side = np.sqrt(1 - rng.beta(self.alpha, self.alpha))
        half_h, half_w = int(height * side) // 2, int(width * side) // 2
        y, x = int(rng.integers(height)), int(rng.integers(width))
        bottom, right = min(height, y + half_h), min(width, x + half_w)
        return max(0, y - half_h), bottom, max(0, x - half_w), right


def mix_targets(first: Tensor, second: Tensor, part: float) -> Tensor:
    """`part` of the first and the rest of the second; unknown where either is unknown."""
    mixed = first.lerp(second, 1 - part)
    return torch.where((first < 0) | (second < 0), -1.0, mixed)


def _permutation(images: Tensor, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.permutation(len(images))).to(images.device, non_blocking=True)
