"""One page to look through predictions: filter by label, sort by score, search by path.

The browser draws cards only as they come near the screen, so that thousands open at once.
"""

import base64
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.html.page import write_page
from mlc_cli.core.images.thumbnails import thumbnail
from mlc_cli.core.inference.drawing import colours, relative_heat
from mlc_cli.core.inference.results import Prediction

_SIDE, _QUALITY = 200, 75
_SCORES_KEPT = 50  # of an image: enough to sort by, little enough for ten thousand classes
_MOST_LABELS = 500  # of more classes, only those that were predicted can be chosen


class Gallery:
    """Collects predictions and writes the page, which holds so many pictures at most."""

    def __init__(self, classes: Sequence[str], most: int) -> None:
        self._classes = classes
        self._most = most
        self._cards: list[dict[str, Any]] = []
        self._errors: list[tuple[str, str]] = []
        self._seen = 0

    @property
    def left_out(self) -> int:
        """Images beyond those that the page holds."""
        return max(0, self._seen - self._most)

    def add(self, prediction: Prediction, preview: bytes) -> None:
        """Add an image, with its content as JPEG unless it could not be read."""
        self._seen += 1
        if self._seen > self._most:
            return
        if prediction.error:
            self._errors.append((prediction.image, prediction.error))
        else:
            self._cards.append(_card(prediction, preview))

    def write(self, path: Path, title: str, about: str) -> None:
        """Write the page, atomically.

        Raises:
            MlcError: It cannot be written.
        """
        if self.left_out:
            about += f" · the first {self._most:,} of {self._seen:,} images"
        counts = Counter(c for card in self._cards for c in card["decided"])
        many = len(self._classes) > _MOST_LABELS
        write_page(
            path,
            "inference/gallery.html",
            title=title,
            about=about,
            classes=self._classes,
            counts={c: counts[c] for c in (sorted(counts) if many else range(len(self._classes)))},
            cards=self._cards,
            errors=self._errors,
        )


def _card(prediction: Prediction, preview: bytes) -> dict[str, Any]:
    """What the page shows of an image: its decided classes have heat maps, or empty texts."""
    pixels = cv2.imdecode(np.frombuffer(preview, np.uint8), cv2.IMREAD_COLOR_RGB)
    unsure, heat = list(prediction.unsure or ()), prediction.heat_KHW
    kept = sorted({*prediction.ranked(_SCORES_KEPT), *prediction.decided, *unsure})
    heats = [""] * len(prediction.decided) if heat is None else map(heat_uri, heat)
    return {
        "path": prediction.image,
        "uri": thumbnail(np.asarray(pixels, np.uint8), _SIDE, _QUALITY),
        "decided": dict(zip(prediction.decided, heats, strict=True)),
        "unsure": unsure,
        "scores": {c: round(float(prediction.probabilities_C[c]), 3) for c in kept},
    }


def heat_uri(heat_HW: NDArray[np.float32]) -> str:
    """A heat map as a tiny PNG, a pixel a position, which the browser lays over the thumbnail."""
    relative = relative_heat(heat_HW)
    alpha = np.round(np.sqrt(relative) * 175).astype(np.uint8)
    rgba = np.dstack([colours(relative)[..., ::-1], alpha])
    done, content = cv2.imencode(".png", rgba)
    assert done
    return "data:image/png;base64," + base64.b64encode(content.tobytes()).decode()
