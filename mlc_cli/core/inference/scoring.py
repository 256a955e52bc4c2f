"""A model over a split: probabilities and targets of every image.

Names of arrays: N images, C classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlc_cli.core.evaluation.metrics import mean_ap_of
from mlc_cli.core.evaluation.probabilities import probabilities
from mlc_cli.core.inference.engines import Engine
from mlc_cli.core.inference.torch_engine import TorchEngine
from mlc_cli.core.loading.loader import Batches

BLOCK = 64
"""Batches whose scores are kept on the device, and handed round together."""


@dataclass(frozen=True)
class Scores:
    """What a model says of a split.

    Attributes:
        probabilities_NC: float64, in the order of the file.
        targets_NC: int8: 1 present, 0 absent, -1 unknown.
        indices_N: Positions in the file; images that could not be read are missing.
    """

    probabilities_NC: NDArray[np.float64]
    targets_NC: NDArray[np.int8]
    indices_N: NDArray[np.int64]

    def mean_average_precision(self) -> float:
        """Mean over the classes that have positives; nan if none has."""
        return mean_ap_of(self.probabilities_NC, self.targets_NC)


def score(
    engine: Engine,
    batches: Batches,
    on_batch: Callable[[int, int], Any] = lambda _done, _total: None,
) -> Scores:
    """Score every image of a split; where processes share it, all get the scores of all.

    Batches are in the order of the file; `on_batch` hears how many are done, and may raise to stop.

    Raises:
        TrainingError: A logit is not finite.
    """
    found: list[list[NDArray[Any]]] = []
    parts: list[tuple[Tensor, ...]] = []
    for number, batch in enumerate(batches.epoch(), 1):
        if len(batch.indices_N):
            made_NC = _logits(engine, batch.images_NHWC)
            parts.append((made_NC, batch.targets_NC, batch.indices_N))
        if number % BLOCK == 0 or number == len(batches):
            own = [torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True)]
            found += batches.group.gather(own)
            parts.clear()
        on_batch(number, len(batches))
    logits_NC, targets_NC, indices_N = _in_order(found)
    return Scores(probabilities(logits_NC), targets_NC, indices_N)


def _logits(engine: Engine, images_NHWC: Tensor) -> Tensor:
    """On the device that they are made on: a GPU has the next batch while this one is computed."""
    if isinstance(engine, TorchEngine):
        return engine.logits(images_NHWC)
    return torch.from_numpy(engine(images_NHWC.numpy()))


def _in_order(parts: Sequence[list[NDArray[Any]]]) -> list[NDArray[Any]]:
    """Arrays of all blocks as one, in the order of the last, the positions in the file."""
    found = [part for part in parts if part]  # without those that had no images
    if len(found) == 1:
        return found[0]
    joined = [np.concatenate(arrays) for arrays in zip(*found, strict=True)]
    order = np.argsort(joined[-1])
    return [array[order] for array in joined]
