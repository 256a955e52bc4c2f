"""Several views of each image, and one answer: mirror images and tiles.

Names of arrays: N images, V views of each, C classes.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.inference.engines import Engine
from mlc_cli.errors import UsageError

Views = Literal["none", "flip"]
MOST_TILES = 16


@dataclass(frozen=True)
class ViewsEngine:
    """Runs a model on all views, of mirror images the mean of the logits."""

    engine: Engine
    flip: bool

    @property
    def on_host(self) -> bool:
        """Whether the model takes the cores that images are read with."""
        return self.engine.on_host

    def __call__(self, images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits N×C of RGB images N×H×W×3 or N×V×H×W×3; the largest of the views of an image."""
        views = images_NHWC.reshape(-1, *images_NHWC.shape[-3:])
        logits = self.engine(views)
        if self.flip:
            logits += self.engine(np.ascontiguousarray(views[:, :, ::-1]))
            logits /= 2
        found: NDArray[np.float32] = logits.reshape(len(images_NHWC), -1, logits.shape[-1]).max(1)
        return found


def with_views(engine: Engine, tta: Views, tiles: int) -> Engine:
    """The engine itself where there is one view.

    Raises:
        UsageError: There are no such views.
    """
    if tta not in get_args(Views) or tiles not in range(MOST_TILES + 1):
        raise UsageError(
            f"expected tta 'none' or 'flip' and 0 to {MOST_TILES} tiles, got {tta!r} and {tiles!r}"
        )
    flip = tta == "flip"
    return ViewsEngine(engine, flip) if flip or tiles > 1 else engine
