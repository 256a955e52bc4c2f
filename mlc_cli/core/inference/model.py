"""A model for programs: opened once, run over anything, from any thread or process.

Names of arrays: N images, C classes.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.evaluation.metrics import Floats
from mlc_cli.core.evaluation.thresholds import pick_thresholds
from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.inference.engines import OpenedModel, is_exported
from mlc_cli.core.inference.open import open_model
from mlc_cli.core.inference.predicting import Predictor
from mlc_cli.core.inference.results import Prediction, Predictions
from mlc_cli.core.inference.views import Views, with_views
from mlc_cli.core.loading.memory import (
    Channels,
    ImageLike,
    check_sources,
    one_or_many,
    to_items,
    to_pixels,
)
from mlc_cli.core.loading.stream import PictureReader
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

_inherited: list[OpenedModel] = []
"""What a fork got from its parent: its threads are not there, so that closing it would hang."""
_reopening = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: globals().update(_reopening=threading.Lock()))


class Model:
    """A model file that is ready to run.

    Threads may share it. Pickled, it is the name of its file and how to open it; in a forked
    process it opens itself anew when it is first used there, and torch works in one thread there.
    It is opened as by `mlc_cli.load`; `matmul` allows TF32 in this process if it is `high`.

    Attributes:
        path: The file.
        classes: C names, in the order of logits and thresholds.
        thresholds: Probability from which each class counts as present, float64 C; 0.5 where the
            model has none.
        lower_thresholds: Probability from which a person should look, if the model has any and its
            own thresholds are taken.
        has_thresholds: Whether somebody chose them.

    Raises:
        CheckpointError: The file cannot be opened.
        UsageError: The device, precision or thresholds do not go with it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: str = "auto",
        precision: str = "fp32",
        thresholds: str | float | Sequence[float] | Floats | None = None,
        like: str | None = None,
        weight_classes: str | None = None,
        matmul: str | None = None,
    ) -> None:
        self.path = Path(path)
        self._file = self.path.absolute()
        self._how: dict[str, Any] = {
            "device": device, "precision": precision, "like": like,
            "weight_classes": weight_classes, "matmul": matmul,
        }  # fmt: skip
        self._opened, self._pid = self._open(), os.getpid()
        card = self._opened.card
        self.classes = [str(name) for name in card.classes]
        chosen_C = pick_thresholds(thresholds, card)
        self.has_thresholds = chosen_C is not None
        self.thresholds: Floats = np.full(len(card.classes), 0.5) if chosen_C is None else chosen_C
        lower, own = card.lower_thresholds, np.array_equal(self.thresholds, card.thresholds or [])
        self.lower_thresholds: Floats | None = np.array(lower) if lower and own else None

    def __reduce__(self) -> tuple[Callable[[], "Model"], tuple[()]]:
        return partial(Model, self._file, thresholds=self.thresholds, **self._how), ()

    def __repr__(self) -> str:
        height, width = self.input_size
        return f"Model({self.path}, {len(self.classes)} classes, {height}x{width} pixels)"

    def _open(self) -> OpenedModel:
        return open_model(self._file, **self._how)

    @property
    def opened(self) -> OpenedModel:
        """The file as this process has opened it."""
        with _reopening:
            if self._pid != os.getpid():
                _inherited.append(self._opened)
                if "torch" in sys.modules:  # its threads stayed behind, and would be waited for
                    sys.modules["torch"].set_num_threads(1)
                self._opened = self._open()
                self._pid = os.getpid()
            return self._opened

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width in pixels that images are resized to."""
        return self._opened.card.input_size

    @property
    def geometry(self) -> Geometry:
        """How images become the model's input."""
        return self._opened.card.geometry

    @property
    def warning(self) -> str:
        """What the user should know about the file; empty if nothing."""
        return self._opened.warning

    @property
    def module(self) -> "nn.Module":
        """The model in torch: from normalised RGB, float N×3×H×W, to logits.

        Raises:
            UsageError: The file was exported, and holds a graph rather than a module.
        """
        if is_exported(self.path):
            raise UsageError(
                f"{self.path}: is an exported graph and has no torch module",
                "Load the checkpoint that it was made of.",
            )
        return self.opened.engine.model  # type: ignore[attr-defined,no-any-return]

    @overload
    def predict(
        self,
        images: Iterator[ImageLike],
        *,
        channels: Channels = ...,
        batch_size: int = ...,
        explain: bool = ...,
        tta: Views = ...,
        tiles: int = ...,
    ) -> Iterator[Prediction]: ...
    @overload
    def predict(
        self,
        images: ImageLike | Sequence[ImageLike],
        *,
        channels: Channels = ...,
        batch_size: int = ...,
        explain: bool = ...,
        tta: Views = ...,
        tiles: int = ...,
    ) -> Predictions: ...
    def predict(
        self,
        images: ImageLike | Iterable[ImageLike],
        *,
        channels: Channels = "RGB",
        batch_size: int = 32,
        explain: bool = False,
        tta: Views = "none",
        tiles: int = 0,
    ) -> Iterator[Prediction] | Predictions:
        """Say which labels images have, as `mlc predict` does.

        Args:
            images: A file, folder, pattern or video, a Pillow image, a uint8 array H×W×3; or many
                of them in a list, an array N×H×W×3 or an iterator.
            channels: Their order in arrays; OpenCV's is `BGR`.
            batch_size: Images a batch.
            explain: Whether to add heat maps, for a checkpoint.
            tta: `flip` takes the mean of the logits of each picture and its mirror image.
            tiles: So many tiles a side, beside the whole; the largest probability counts. What a
                promise of the thresholds says is of the views that they were chosen with.

        Returns:
            A list with a prediction for each image, in their order; of an iterator, an iterator
            that reads no further than a batch ahead. A file that cannot be decoded has an `error`.

        Raises:
            DataError: A file or folder of a list is missing.
            UsageError: An array is no image, or heat maps are asked of an exported file or of
                several views.
        """
        many = one_or_many(images)
        predictor = self.predictor(explain=explain, tta=tta, tiles=tiles)
        if not isinstance(many, Iterator):
            many = list(many)
            check_sources(many)
        batches = predictor.stream(
            to_items(many, channels),
            PictureReader(self.geometry.tiled(tiles)),
            batch_size=batch_size,
            threads=usable_cores(),
        )
        found = (one for batch in batches for one, _ in batch)
        return found if isinstance(many, Iterator) else Predictions(found)

    def logits(
        self, batch: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], *, channels: Channels = "RGB"
    ) -> NDArray[np.float32]:
        """Logits N×C of images in memory; their sigmoid is the probability.

        Args:
            batch: uint8, N×H×W×3, or a list of H×W×3; other sizes than the model's are resized.
            channels: Their order.

        Raises:
            UsageError: An array is no image.
        """
        read = (to_pixels(image, channels, f"image {n}") for n, image in enumerate(batch))
        images = [self.geometry.fit(pixels) for pixels in read]
        if not images:
            return np.empty((0, len(self.classes)), np.float32)
        return self.opened.engine(np.stack(images))

    def predictor(self, *, explain: bool = False, tta: Views = "none", tiles: int = 0) -> Predictor:
        """What commands and programs run alike.

        Raises:
            UsageError: Heat maps are asked of an exported file or of several views.
        """
        if explain and (tta != "none" or tiles > 1):
            raise UsageError("--explain shows one view of a picture: leave out --tta and --tiles")
        if explain and is_exported(self.path):
            raise UsageError(
                f"--explain needs a checkpoint: {self.path} gives its logits alone",
                "Name the checkpoint with --checkpoint or --run; `mlc export --saliency` puts heat"
                " maps into an exported model, for other clients.",
            )
        engine: Any = self.opened.engine
        return Predictor(
            with_views(engine, tta, tiles),
            self.thresholds,
            self.classes,
            engine.explained if explain else None,
            self.lower_thresholds,
            self.opened.card.bound,
        )
