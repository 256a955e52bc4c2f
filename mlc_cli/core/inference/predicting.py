"""A model over pictures: decisions, probabilities and, if wanted, where they come from.

Names of arrays: N images, C classes, K decided classes of an image, H×W positions.
"""

import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.rules import FREE, BoundRules
from mlc_cli.core.evaluation.metrics import Floats
from mlc_cli.core.evaluation.probabilities import probabilities
from mlc_cli.core.inference.engines import Engine
from mlc_cli.core.inference.results import Prediction, best_first
from mlc_cli.core.loading.sources import Item
from mlc_cli.core.loading.stream import Picture, read_batches

Logits = NDArray[np.float32]
Predict = Callable[[Sequence[Picture]], list[Prediction]]
Maps = Sequence[NDArray[np.float32] | None]
Explain = Callable[[NDArray[np.uint8], Callable[[Logits], list[list[int]]]], tuple[Logits, Maps]]
"""From images and what decides on their logits to these, and for each a map of each class."""


@dataclass(frozen=True)
class Predictor:
    """How a model is run over pictures.

    Attributes:
        thresholds_C: Probability from which each class counts as present.
        explain: Makes a heat map for each decided class; `None` where nobody wants any.
        lower_C: Probability from which a person should look; `None` if nobody should.
    """

    engine: Engine
    thresholds_C: Floats
    classes: Sequence[str] = ()
    explain: Explain | None = None
    lower_C: Floats | None = None
    rules: BoundRules = FREE

    def stream(
        self,
        items: Iterable[Item],
        read: Callable[[Item], Picture],
        *,
        batch_size: int,
        threads: int,
        live: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Generator[list[tuple[Prediction, Picture]]]:
        """Predict images in their order, batch by batch.

        A `live` stream gives a batch that is not full when no further image comes for a moment.
        """
        read, predict = _in_turn(read, self) if self.engine.on_host else (read, self)
        batches = read_batches(
            items, read, batch_size=batch_size, threads=threads, live=live, stopped=stopped
        )
        before: list[tuple[Prediction, Picture]] = []
        # The threads of torch belong to the one that it is called in: in a fork, another one would
        # wait for some that stayed behind. Exported files run without torch.
        at_once = live or "torch" in sys.modules
        with _single_threaded_opencv(), ThreadPoolExecutor(1, "model") as model:
            for pictures in batches:
                if before:  # is written while the model is at work, and not while images are read
                    running = model.submit(predict, pictures)
                    yield before
                    found = running.result()
                else:
                    found = predict(pictures)
                shown = [picture.shown() for picture in pictures]
                before = list(zip(found, shown, strict=True))
                if at_once:
                    yield before
                    before = []
            if before:
                yield before

    def __call__(self, pictures: Sequence[Picture]) -> list[Prediction]:
        """Predict a batch; pictures without pixels pass their error on.

        Raises:
            TrainingError: A logit is not finite.
        """
        stacked = [picture.pixels for picture in pictures if picture.pixels is not None]
        found = iter(self._predict(np.stack(stacked)) if stacked else ())
        results = []
        for picture in pictures:
            name = picture.item.name
            if picture.pixels is None:
                results.append(Prediction(name, error=picture.error, classes=self.classes))
            else:
                results.append(Prediction(name, **next(found), classes=self.classes))
        return results

    def _predict(self, images_NHWC: NDArray[np.uint8]) -> Iterator[dict[str, Any]]:
        unsure: list[list[int] | None] = [None] * len(images_NHWC)
        maps: Maps = [None] * len(images_NHWC)
        if self.explain:
            logits_NC, maps = self.explain(images_NHWC, self._decide)
        else:
            logits_NC = self.engine(images_NHWC)
        scores_NC = probabilities(logits_NC)
        decided = self._reaching(scores_NC, self.thresholds_C)
        if self.lower_C is not None:
            pairs = zip(self._reaching(scores_NC, self.lower_C), decided, strict=True)
            unsure = [[c for c in wide if c not in present] for wide, present in pairs]
        names = ("probabilities_C", "decided", "heat_KHW", "unsure")
        rows = zip(scores_NC, decided, maps, unsure, strict=True)
        return (dict(zip(names, row, strict=True)) for row in rows)

    def _decide(self, logits_NC: Logits) -> list[list[int]]:
        return self._reaching(probabilities(logits_NC), self.thresholds_C)

    def _reaching(self, scores_NC: Floats, thresholds_C: Floats) -> list[list[int]]:
        kept_NC = self.rules.decide(scores_NC, thresholds_C)
        return [best_first(*row) for row in zip(scores_NC, kept_NC, strict=True)]


def _in_turn(
    read: Callable[[Item], Picture], predict: Predict
) -> tuple[Callable[[Item], Picture], Predict]:
    """Both, but no picture is begun while a model is at work that needs all cores itself."""
    free = threading.Event()
    free.set()

    def read_when_free(item: Item) -> Picture:
        free.wait()
        return read(item)

    def predict_alone(pictures: Sequence[Picture]) -> list[Prediction]:
        free.clear()
        try:
            return predict(pictures)
        finally:
            free.set()

    return read_when_free, predict_alone


_opencv = threading.Lock()
_users: list[int] = []
"""Threads of OpenCV as they were, once for each stream that has them off."""


@contextmanager
def _single_threaded_opencv() -> Iterator[None]:
    """Images are read side by side: threads inside OpenCV would only be in each other's way."""
    with _opencv:
        _users.append(_users[0] if _users else cv2.getNumThreads())
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        with _opencv:
            before = _users.pop()
            if not _users:
                cv2.setNumThreads(before)
