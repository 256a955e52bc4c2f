"""Pooled features of a frozen backbone, in a file that grows as images are read."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlc_cli.core.loading.dataset import Batch
from mlc_cli.core.loading.loader import Batches
from mlc_cli.errors import TrainingError

KIND = "features-"


class Features:
    """Vectors of the images of a split and of their mirror images, float32 N×2×D.

    A row that is not computed yet is nan, that of an image which cannot be read is infinite.

    Args:
        path: The file, which is made if it is not there or of another shape.
        images: Number of images.
        channels: Length of a vector.
    """

    def __init__(self, path: Path, images: int, channels: int) -> None:
        shape = (images, 2, channels)
        if not path.exists() or np.load(path, mmap_mode="r").shape != shape:
            empty = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            empty[:] = np.nan
            empty.flush()
        self.rows: NDArray[np.float32] = np.lib.format.open_memmap(path, mode="r+")

    @property
    def done(self) -> int:
        """Images from the first on that are computed."""
        missing_N = np.isnan(self.rows[:, 1, 0])
        return int(missing_N.argmax()) if missing_N.any() else len(self.rows)

    @torch.no_grad()
    def extend(
        self,
        images: int,
        batches: Batches,
        batch_size: int,
        reduce: Callable[[Tensor], Tensor],
        on_batch: Callable[[], Any],
    ) -> None:
        """Compute the first images, as far as they are not there, the last batch always whole.

        `reduce` makes vectors N×D of uint8 images N×H×W×3; `on_batch` may raise to stop.

        Raises:
            TrainingError: Features are not finite.
        """
        done, wanted = self.done, min(images, len(self.rows))
        if done >= wanted:
            return
        first, last = done // batch_size, -(-wanted // batch_size)
        some = itertools.islice(batches.epoch(0, first), last - first)
        for start, batch in zip(
            itertools.count(first * batch_size, batch_size), some, strict=False
        ):
            self.rows[start : start + batch_size] = self._compute(start, batch_size, batch, reduce)
            on_batch()

    def _compute(
        self, start: int, count: int, batch: Batch, reduce: Callable[[Tensor], Tensor]
    ) -> NDArray[np.float32]:
        own = np.full_like(self.rows[start : start + count], np.inf)
        if len(batch.indices_N):
            places = batch.indices_N.numpy() - start
            for view, pixels in enumerate((batch.images_NHWC, batch.images_NHWC.flip(2))):
                own[places, view] = reduce(pixels).float().cpu().numpy()
            if not np.isfinite(own[places]).all():
                raise TrainingError("its features are not finite")
        return own
