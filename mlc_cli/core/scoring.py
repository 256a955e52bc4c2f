"""A model over a split: probabilities and targets of every image.

Names of arrays: N images, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mlc_cli.core.data.loader import Batches, dead_workers_named
from mlc_cli.core.data.normalise import Normalise
from mlc_cli.core.device import Precision, autocast, in_slices
from mlc_cli.core.metrics import average_precision_C, mean_average_precision
from mlc_cli.errors import TrainingError


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
        return mean_average_precision(average_precision_C(self.probabilities_NC, self.targets_NC))


@dataclass(frozen=True)
class Scorer:
    """How a model is run over batches.

    Attributes:
        normalise: From uint8 batches to the model's input.
        device: Where the model is.
        precision: Of the forward pass.
    """

    normalise: Normalise
    device: torch.device
    precision: Precision

    @dead_workers_named()
    def __call__(
        self,
        model: nn.Module,
        batches: Batches,
        on_batch: Callable[[int, int], Any] = lambda _done, _total: None,
    ) -> Scores:
        """Score every image of a split in evaluation mode.

        Args:
            model: From normalised images to scaled logits.
            batches: Of the split, in the order of the file.
            on_batch: Called with batches done and in total; may raise to stop.

        Raises:
            TrainingError: A logit is not finite.
        """
        training = model.training
        model.eval()
        parts: list[tuple[Tensor, ...]] = []
        for number, batch in enumerate(batches.epoch(), 1):
            if len(batch.indices_N):
                with torch.inference_mode(), autocast(self.device, self.precision):
                    logits = in_slices(model, self.normalise(batch.images_NHWC)).float()
                finite_N = logits.isfinite().all(1)
                # In float32 the sigmoid is 1 from a logit of 17 on, and certain images tie.
                probabilities_NC = logits.double().sigmoid()
                parts.append((probabilities_NC, finite_N, batch.targets_NC, batch.indices_N))
            on_batch(number, len(batches))
        model.train(training)
        probabilities, finite, targets, indices = (
            torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True)
        )
        check_finite(finite)
        return Scores(probabilities, targets, indices)


def check_finite(finite_N: NDArray[np.bool_]) -> None:
    """Refuse what a model that has diverged says.

    Args:
        finite_N: Whether all logits of an image are finite.

    Raises:
        TrainingError: Those of some image are not.
    """
    wrong = np.count_nonzero(~finite_N)
    if wrong:
        raise TrainingError(
            f"the model's output is not finite for {wrong} of {len(finite_N)} images",
            "Its weights have diverged: train with a smaller --lr, or --set precision=fp32.",
        )
