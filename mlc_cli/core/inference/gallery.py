"""One page to look through predictions: filter by label, sort by score, search by path.

Cards are made only as they come near the screen, so that thousands of pictures open at once.
"""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.html.page import asset, page, text
from mlc_cli.core.images.thumbnails import thumbnail
from mlc_cli.core.inference.drawing import colours, relative_heat
from mlc_cli.core.inference.results import Prediction
from mlc_cli.core.system.files import write_text

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
            self._rows.append(_json(_row(prediction, preview)))

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
        body = (
            f"<h1>{text(title)}</h1><p class=soft>{text(about)}</p>"
            f"{asset(__package__, 'gallery.html')}{self._unreadable()}"
            f'<script type="application/json" id="classes">{_json(list(self._classes))}</script>'
            f'<script type="application/json" id="rows">[{",".join(self._rows)}]</script>'
        )
        style, script = (asset(__package__, f"gallery.{end}") for end in ("css", "js"))
        write_text(path, page(title, body, style=style, script=script))

    def _unreadable(self) -> str:
        if not self._errors:
            return ""
        lines = "".join(
            f"<li><code>{text(name)}</code>: {text(reason)}</li>" for name, reason in self._errors
        )
        return (
            f"<details><summary>{len(self._errors)} images could not be read</summary>"
            f"<ul>{lines}</ul></details>"
        )


def _json(content: Any) -> str:
    """JSON that may stand inside a script element, whatever the texts in it say."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _row(prediction: Prediction, preview: bytes) -> dict[str, Any]:
    """Path, thumbnail, decided classes, scores in thousandths by class, heat maps."""
    kept = {*prediction.ranked(_SCORES_KEPT), *prediction.decided}
    pixels = cv2.imdecode(np.frombuffer(preview, np.uint8), cv2.IMREAD_COLOR_RGB)
    row: dict[str, Any] = {
        "p": prediction.image,
        "t": thumbnail(np.asarray(pixels, np.uint8), _SIDE, 75),
        "d": list(prediction.decided),
        "s": [[c, round(float(prediction.probabilities_C[c]), 3)] for c in sorted(kept)],
    }
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
