"""What `mlc predict` makes of the pictures themselves: drawn copies and the gallery."""

from collections.abc import Sequence
from pathlib import Path

from mlc_cli.core.inference.drawing import Drawer, Fonts
from mlc_cli.core.inference.gallery import Gallery
from mlc_cli.core.inference.results import Prediction
from mlc_cli.core.loading.stream import Picture
from mlc_cli.core.system.files import result_folder, write_atomic
from mlc_cli.settings.predict import PredictSettings


class Pictures:
    """Draws what is asked for.

    Args:
        settings: Of the prediction.
        classes: Class names in the order of the probabilities.
    """

    def __init__(self, settings: PredictSettings, classes: list[str]) -> None:
        self._settings = settings
        self._classes = classes
        self.fonts = Fonts(self._settings.font)
        self._drawer = Drawer(self.fonts)
        self._folder = Path(self._settings.draw or "")
        if self._settings.draw:
            result_folder(self._settings.draw, self._folder)
        self._gallery: Gallery | None = None
        if self._settings.gallery:
            self._gallery = Gallery(classes, self._settings.gallery_most)

    @property
    def left_out(self) -> int:
        """Images that the gallery had no room for."""
        return self._gallery.left_out if self._gallery else 0

    def add(self, batch: Sequence[tuple[Prediction, Picture]]) -> None:
        """Draw a batch and add it to the gallery."""
        for prediction, picture in batch:
            if self._settings.draw and not prediction.error:
                self._draw(prediction, picture)
            if self._gallery:
                self._gallery.add(prediction, picture.preview)

    def _draw(self, prediction: Prediction, picture: Picture) -> None:
        path = self._folder / picture.item.output_name
        path = path.with_name(f"{path.name}.jpg")
        result_folder(str(path.parent), self._folder)
        unsure = prediction.unsure or ()
        drawn = self._drawer(
            picture.preview,
            [*prediction.labels, *(f"unsure: {name}" for name in prediction.unsure_labels)],
            [float(prediction.probabilities_C[c]) for c in [*prediction.decided, *unsure]],
            prediction.heat_KHW,
        )
        write_atomic(path, lambda temporary: temporary.write_bytes(drawn))

    def finish(self, about: str) -> None:
        """Write the gallery.

        Args:
            about: Where the predictions come from, in words.
        """
        if self._gallery and self._settings.gallery:
            self._gallery.write(Path(self._settings.gallery), "Predictions", about)
