"""One page to look through predictions: filter by label, sort by score, search by path.

Cards are made only as they come near the screen, so that thousands of pictures open at once.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2.utils import htmlsafe_json_dumps
from numpy.typing import NDArray

from mlc_cli.core.html.page import write_page
from mlc_cli.core.images.thumbnails import thumbnail
from mlc_cli.core.inference.drawing import colours, relative_heat
from mlc_cli.core.inference.results import Prediction

_SIDE = 200
_SCORES_KEPT = 50  # of an image: enough to sort by, little enough for ten thousand classes


class Gallery:
    """Collects predictions and writes the page.

    Args:
        classes: C names.
        most: Pictures that the page holds; further ones are counted but not shown.
    """

    def __init__(self, classes: Sequence[str], most: int) -> None:
        self._classes = classes
        self._most = most
        self._rows: list[str] = []
        self._errors: list[tuple[str, str]] = []
        self._seen = 0

    @property
    def left_out(self) -> int:
        """Images beyond those that the page holds."""
        return max(0, self._seen - self._most)

    def add(self, prediction: Prediction, preview: bytes) -> None:
        """Add an image.

        Args:
            prediction: What the model says.
            preview: The image as JPEG; not used where it could not be read.
        """
        self._seen += 1
        if self._seen > self._most:
            return
        if prediction.error:
            self._errors.append((prediction.image, prediction.error))
        else:
            row = _row(prediction, preview)
            self._rows.append(htmlsafe_json_dumps(row, separators=(",", ":")))

    def write(self, path: Path, title: str, about: str) -> None:
        """Write the page, atomically.

        Args:
            path: The HTML file.
            title: Its heading.
            about: A line below it.

        Raises:
            MlcError: It cannot be written.
        """
        if self.left_out:
            about += f" · the first {self._most:,} of {self._seen:,} images"
        write_page(
            path,
            "inference/gallery.html",
            title=title,
            about=about,
            classes=self._classes,
            rows=self._rows,
            errors=self._errors,
        )


def _row(prediction: Prediction, preview: bytes) -> dict[str, Any]:
    """Path, thumbnail, decided classes, scores in thousandths by class, heat maps."""
    kept = {*prediction.ranked(_SCORES_KEPT), *prediction.decided, *(prediction.unsure or ())}
    pixels = cv2.imdecode(np.frombuffer(preview, np.uint8), cv2.IMREAD_COLOR_RGB)
    row: dict[str, Any] = {
        "p": prediction.image,
        "t": thumbnail(np.asarray(pixels, np.uint8), _SIDE, 75),
        "d": list(prediction.decided),
        "s": [[c, round(float(prediction.probabilities_C[c]), 3)] for c in sorted(kept)],
    }
    if prediction.unsure:
        row["u"] = list(prediction.unsure)
    if prediction.heat_KHW is not None:
        row["h"] = [heat_uri(heat_HW) for heat_HW in prediction.heat_KHW]
    return row


def heat_uri(heat_HW: NDArray[np.float32]) -> str:
    """A heat map as a tiny PNG, a pixel a position, which the browser lays over the thumbnail."""
    relative = relative_heat(heat_HW)
    alpha = np.round(np.sqrt(relative) * 175).astype(np.uint8)
    rgba = np.dstack([colours(relative)[..., ::-1], alpha])
    done, content = cv2.imencode(".png", rgba)
    assert done
    return "data:image/png;base64," + base64.b64encode(content.tobytes()).decode()
