"""A split as images and targets, addressed by (epoch, image).

What happens to an image at random depends on the seed, the epoch and the image alone: not on the
worker that reads it, nor on where an interrupted epoch was taken up again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.images.decode import OnDamaged, look
from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.images.scaled import Pixels
from mlc_cli.core.loading.image_cache import ImageCache
from mlc_cli.core.system.addresses import shown
from mlc_cli.core.system.places import Content, gather
from mlc_cli.errors import BadImageError

Key = tuple[int, int]
"""Epoch, and draw in it (see `EpochSampler`)."""
Augment = Callable[[Pixels, np.random.Generator], Pixels]


class BadImage(NamedTuple):
    """An image that could not be read, or only with what is `damaged` in it, and why."""

    path: str
    reason: str
    damaged: bool = False


class Sample(NamedTuple):
    """One image; one that is damaged is used all the same if it is there."""

    position: int
    image: Pixels | None
    fault: BadImage | None = None


class Batch(NamedTuple):
    """Images of one step, RGB uint8, their targets and positions in the split.

    Targets are int8: 1 present, 0 absent, -1 unknown. Images that could not be read are `bad` and
    in none of the arrays; those that are `damaged` are used all the same.
    """

    images_NHWC: torch.Tensor
    targets_NC: torch.Tensor
    indices_N: torch.Tensor
    bad: Sequence[BadImage]
    damaged: Sequence[BadImage] = ()


@dataclass
class ImageDataset:
    """Images of a split, read (and cached) by a geometry.

    Random changes, none in evaluation, end at the model's input size and depend on the seed.
    """

    annotation: Annotation
    geometry: Geometry
    augment: Augment | None = None
    seed: int = 0
    max_pixels: float = 200e6
    cache: ImageCache | None = None
    on_damaged: OnDamaged = "warn"

    def __len__(self) -> int:
        return len(self.annotation)

    def __getitem__(self, key: Key) -> Sample:
        """Read an image for an epoch; its changes are others each time it comes again."""
        return self._sample(key, {})

    def _sample(self, key: Key, contents: Mapping[Path, Content]) -> Sample:
        epoch, draw = key
        index = draw % len(self)
        try:
            image, fault = self._load(index, contents)
        except BadImageError as error:
            return Sample(index, None, BadImage(error.path, error.reason))
        if fault and self.on_damaged != "warn":
            return Sample(index, None, fault)
        if self.augment is not None:
            image = self.augment(image, np.random.default_rng((self.seed, epoch, draw)))
        return Sample(index, image, fault)

    def _load(self, index: int, contents: Mapping[Path, Content]) -> tuple[Pixels, BadImage | None]:
        cached = self.cache.get(index) if self.cache else None
        if cached is not None:
            return cached, None
        path: Path = self.annotation.path(index)
        content = contents.get(path) if contents else None
        how = self.geometry
        found = look(path, self.max_pixels, how.part, content=content, bits=how.bits)
        image = self.geometry.fit(found.pixels)
        if found.damage:  # not kept: who reads it again is to know
            return image, BadImage(shown(path), found.damage, damaged=True)
        if self.cache:
            self.cache.put(index, image)
        return image, None

    def _elsewhere(self, keys: Sequence[Key]) -> list[int]:
        """Images that may not be files of this machine, and are not kept."""
        if not (self.annotation.pieces or self.annotation.remote):
            return []
        images = dict.fromkeys(draw % len(self) for _, draw in keys)
        return [one for one in images if not (self.cache and self.cache.get(one) is not None)]

    def batch(self, keys: Sequence[Key]) -> Batch:
        """Read images and stack those that are readable; the others are named."""
        places = [self.annotation.path(index) for index in self._elsewhere(keys)]
        contents = gather(places) if places else {}
        samples = [self._sample(key, contents) for key in keys]
        good = [(s.position, s.image) for s in samples if s.image is not None]
        bad = [s.fault for s in samples if s.fault and s.image is None]
        damaged = [s.fault for s in samples if s.fault and s.image is not None]
        indices = np.array([index for index, _ in good], np.int64)
        images = np.stack([im for _, im in good]) if good else np.zeros((0, 1, 1, 3), np.uint8)
        arrays = (images, self.annotation.targets_NC(indices), indices)
        images_NHWC, targets_NC, indices_N = map(torch.from_numpy, arrays)
        return Batch(images_NHWC, targets_NC, indices_N, bad, damaged)
