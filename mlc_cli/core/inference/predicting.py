"""A model over pictures: decisions, probabilities and, if wanted, where they come from.

Names of arrays: N images, C classes, K decided classes of an image, H×W positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mlc_cli.core.evaluation.metrics import Floats
from mlc_cli.core.inference.engines import Engine, TorchEngine
from mlc_cli.core.inference.explain import evidence
from mlc_cli.core.inference.predictions import Prediction, decide
from mlc_cli.core.inference.scoring import check_finite, probabilities
from mlc_cli.core.loading.stream import Picture
from mlc_cli.core.models.classifier import Classifier

Maps = list[NDArray[np.float32] | None]


@dataclass(frozen=True)
class Predictor:
    """How a model is run over pictures.

    Attributes:
        engine: Runs the model.
        thresholds_C: Probability from which each class counts as present.
        explain: Whether to make a heat map for each decided class; needs a `TorchEngine`.
    """

    engine: Engine
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
        images = torch.from_numpy(images_NHWC)
        if not self.explain:
            probabilities_NC = self._finite(self.engine(images))
            decided_NK = self._decide(probabilities_NC)
            maps: Maps = [None] * len(decided_NK)
        else:
            assert isinstance(self.engine, TorchEngine)
            logits_NC, map_NDHW = self.engine.logits_and_map(images)
            probabilities_NC = self._finite(logits_NC)
            decided_NK = self._decide(probabilities_NC)
            maps = _explain(self.engine.model, map_NDHW, decided_NK)
        return list(zip(probabilities_NC, decided_NK, maps, strict=True))

    def _finite(self, logits_NC: Tensor) -> Floats:
        check_finite(logits_NC.isfinite().all(1).cpu().numpy())
        found: Floats = probabilities(logits_NC).cpu().numpy()
        return found

    def _decide(self, probabilities_NC: Floats) -> list[list[int]]:
        return [decide(row_C, self.thresholds_C) for row_C in probabilities_NC]


@torch.inference_mode()
def _explain(model: nn.Module, map_NDHW: Tensor, decided_NK: list[list[int]]) -> Maps:
    """Maps of all classes that any image of the batch has, shard out to the images."""
    assert isinstance(model, Classifier)
    classes = sorted({c for decided in decided_NK for c in decided})
    maps_NKHW = evidence(model.head, map_NDHW, classes).cpu().numpy()
    place = {c: k for k, c in enumerate(classes)}
    return [
        maps_KHW[[place[c] for c in decided]]
        for maps_KHW, decided in zip(maps_NKHW, decided_NK, strict=True)
    ]
