"""What `mlc predict` makes of the pictures themselves: drawn copies and the gallery."""

from collections.abc import Sequence
from pathlib import Path

from mlc_cli.core.inference.drawing import Fonts, draw_labels
from mlc_cli.core.inference.gallery import Gallery
from mlc_cli.core.inference.results import Prediction
from mlc_cli.core.loading.stream import Picture
from mlc_cli.core.system.files import result_folder, write_atomic
from mlc_cli.settings.predict import PredictSettings


class Pictures:
    """Draws what is asked for."""

    def __init__(self, settings: PredictSettings, classes: list[str]) -> None:
        self._settings = settings
        self.fonts = Fonts(settings.font)
        self._folder = Path(settings.draw or "")
        if settings.draw:
            result_folder(settings.draw, self._folder)
        self.gallery = Gallery(classes, settings.gallery_most)

    def add(self, batch: Sequence[tuple[Prediction, Picture]]) -> None:
        """Draw a batch and add it to the gallery."""
        for prediction, picture in batch:
            if self._settings.draw and not prediction.error:
                self._draw(prediction, picture)
            if self._settings.gallery:
                self.gallery.add(prediction, picture.preview)

    def _draw(self, prediction: Prediction, picture: Picture) -> None:
        path = self._folder / picture.item.output_name
        path = path.with_name(f"{path.name}.jpg")
        result_folder(str(path.parent), self._folder)
        unsure = prediction.unsure or ()
        drawn = draw_labels(
            self.fonts,
            picture.preview,
            [*prediction.labels, *(f"unsure: {name}" for name in prediction.unsure_labels)],
            [float(prediction.probabilities_C[c]) for c in [*prediction.decided, *unsure]],
            prediction.heat_KHW,
        )
        write_atomic(path, lambda temporary: temporary.write_bytes(drawn))

    def finish(self, about: str) -> None:
        """Write the gallery; `about` says where the predictions come from."""
        if self._settings.gallery:
            self.gallery.write(Path(self._settings.gallery), "Predictions", about)
