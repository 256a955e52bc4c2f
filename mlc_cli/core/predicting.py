"""A model over pictures: decisions, probabilities and, if wanted, where they come from.

Names of arrays: N images, C classes, K decided classes of an image, H×W positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlc_cli.core.data.normalise import Normalise
from mlc_cli.core.data.stream import Picture
from mlc_cli.core.device import Precision, autocast, in_slices
from mlc_cli.core.explain import evidence
from mlc_cli.core.metrics import Floats
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.reports.predictions import Prediction, decide
from mlc_cli.core.scoring import check_finite

Maps = list[NDArray[np.float32] | None]


@dataclass(frozen=True)
class Predictor:
    """How a model is run over pictures.

    Attributes:
        classifier: In evaluation mode, on the device.
        normalise: From uint8 batches to the model's input.
        device: Where the model is.
        precision: Of the forward pass.
        thresholds_C: Probability from which each class counts as present.
        explain: Whether to make a heat map for each decided class.
    """

    classifier: Classifier
    normalise: Normalise
    device: torch.device
    precision: Precision
    thresholds_C: Floats
    explain: bool = False

    def __call__(self, pictures: Sequence[Picture]) -> list[Prediction]:
        """Predict a batch; pictures without pixels pass their error on.

        Raises:
            TrainingError: A logit is not finite.
        """
        stacked = [picture.pixels for picture in pictures if picture.pixels is not None]
        found = iter(self._predict(np.stack(stacked)) if stacked else ())
        results = []
        for picture in pictures:
            if picture.pixels is None:
                results.append(Prediction(picture.item.name, error=picture.error))
            else:
                probabilities_C, decided_K, heat_KHW = next(found)
                results.append(
                    Prediction(picture.item.name, probabilities_C, decided_K, heat_KHW=heat_KHW)
                )
        return results

    def _predict(
        self, images_NHWC: NDArray[np.uint8]
    ) -> list[tuple[Floats, list[int], NDArray[np.float32] | None]]:
        with torch.inference_mode(), autocast(self.device, self.precision):
            images_N3HW = self.normalise(torch.from_numpy(images_NHWC))
            map_NDHW = in_slices(self.classifier.backbone, images_N3HW)
            logits_NC = self.classifier.head(map_NDHW).float()
        check_finite(logits_NC.isfinite().all(1).cpu().numpy())
        probabilities_NC = logits_NC.double().sigmoid().cpu().numpy()  # as `Scorer` does
        decided_NK = [decide(row_C, self.thresholds_C) for row_C in probabilities_NC]
        maps: Maps = [None] * len(decided_NK)
        if self.explain:
            maps = self._explain(map_NDHW, decided_NK)
        return list(zip(probabilities_NC, decided_NK, maps, strict=True))

    @torch.inference_mode()
    def _explain(self, map_NDHW: Tensor, decided_NK: list[list[int]]) -> Maps:
        """Maps of all classes that any image of the batch has, dealt out to the images."""
        classes = sorted({c for decided in decided_NK for c in decided})
        maps_NKHW = evidence(self.classifier.head, map_NDHW, classes).cpu().numpy()
        place = {c: k for k, c in enumerate(classes)}
        return [
            maps_KHW[[place[c] for c in decided]]
            for maps_KHW, decided in zip(maps_NKHW, decided_NK, strict=True)
        ]
