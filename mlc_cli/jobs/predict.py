"""`mlc predict`: a checkpoint over any images."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np

from mlc_cli.core.cores import usable_cores
from mlc_cli.core.data.sources import STDIN, Item, Sources, distinct_places
from mlc_cli.core.data.stream import Picture, PictureReader, read_batches, stdin_lines
from mlc_cli.core.engines import OpenedModel, TorchEngine, open_model
from mlc_cli.core.files import write_atomic
from mlc_cli.core.interrupts import stop_requests
from mlc_cli.core.predicting import Predictor
from mlc_cli.core.reports.drawing import Drawer, Fonts
from mlc_cli.core.reports.gallery import Gallery
from mlc_cli.core.reports.predictions import Format, Prediction, Written, make_format
from mlc_cli.core.reports.writer import Begun, RecordWriter, open_output, read_begun
from mlc_cli.errors import DataError, Interrupted, UsageError
from mlc_cli.jobs.scoring import (
    find_checkpoint,
    host_device,
    pick_thresholds,
    result_folder,
    write_settings,
)
from mlc_cli.settings.predict import PredictSettings

_GALLERY_SIDE = 400  # of previews when nothing is drawn: the thumbnails twice over

OnProgress = Callable[[int, int | None], object]


@dataclass(frozen=True)
class Outcome:
    """What came of a prediction.

    Attributes:
        images: Images in the output, those of an earlier run that was continued too.
        continued: Images that were there already.
        unreadable: Images that could not be read, and why.
        undrawn: Labels that no font has the characters of.
        left_out: Images that the gallery had no room for.
    """

    images: int
    continued: int
    unreadable: tuple[Written, ...]
    undrawn: tuple[str, ...]
    left_out: int


@dataclass(frozen=True)
class Prepared:
    """A prediction that can start.

    Attributes:
        settings: Of the command.
        opened: The model.
        sources: The images.
        predictor: The model.
        decided_by: Where the thresholds come from, in words.
        without_thresholds: Whether 0.5 stands in for thresholds that nobody chose.
    """

    settings: PredictSettings
    opened: OpenedModel
    sources: Sources
    predictor: Predictor
    decided_by: str
    without_thresholds: bool

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the probabilities."""
        return [str(name) for name in self.opened.card.classes]


def prepare(settings: PredictSettings) -> Prepared:
    """Check the sources and load the model.

    Raises:
        MlcError: A source is missing or empty, or the checkpoint cannot be used.
    """
    _check(settings)
    sources = Sources(settings.sources, settings.every, stdin_lines())
    sources.check()
    opened = open_model(find_checkpoint(settings), settings.device, settings.precision)
    if settings.explain and not isinstance(opened.engine, TorchEngine):
        raise UsageError(
            f"--explain needs a checkpoint: {opened.path} gives its logits alone",
            "Name the checkpoint with --checkpoint or --run; `mlc export --saliency` puts heat maps"
            " into an exported model, for other clients.",
        )
    wanted = None if settings.thresholds is None else str(settings.thresholds)
    thresholds_C = pick_thresholds(wanted, opened.card)
    without = thresholds_C is None
    predictor = Predictor(
        opened.engine,
        np.full(len(opened.card.classes), 0.5) if thresholds_C is None else thresholds_C,
        settings.explain,
    )
    decided_by = "0.5" if without else (wanted or "the thresholds of the checkpoint")
    return Prepared(settings, opened, sources, predictor, decided_by, without)


def _check(settings: PredictSettings) -> None:
    """Refuse what does not go together."""
    if settings.explain and not (settings.draw or settings.gallery):
        raise UsageError(
            "--explain makes heat maps for --draw and --gallery, and neither is given",
            "Add --draw DIR or --gallery FILE.html.",
        )
    if not settings.resume:
        return
    if not settings.output:
        raise UsageError("--resume needs --output, the file to continue")
    if settings.format == "json":
        raise UsageError("--resume cannot continue a JSON array", "Use --format jsonl or csv.")
    if settings.gallery:
        raise UsageError("--resume and --gallery do not go together: a gallery needs all images")


def predictions(
    prepared: Prepared, items: Iterator[Item], stopped: Callable[[], bool] = lambda: False
) -> Generator[list[tuple[Prediction, Picture]]]:
    """Predict images in their order, batch by batch.

    Args:
        prepared: The model and how it is run.
        items: Of the sources.
        stopped: Asked while waiting for images; ends the prediction early.
    """
    settings = prepared.settings
    side = settings.draw_side if settings.draw else _GALLERY_SIDE if settings.gallery else 0
    read = PictureReader(prepared.opened.card.input_size, settings.max_megapixels * 1e6, side)
    threads = usable_cores() if settings.threads == "auto" else settings.threads
    batches = read_batches(
        items,
        read,
        batch_size=settings.batch_size,
        threads=threads,
        # On a CPU the model needs all cores: side by side both only get in each other's way.
        ahead=host_device(prepared.opened.engine).type != "cpu",
        live=STDIN in settings.sources,
        stopped=stopped,
    )
    with _single_threaded_opencv():
        for pictures in batches:
            yield list(zip(prepared.predictor(pictures), pictures, strict=True))


@contextmanager
def _single_threaded_opencv() -> Iterator[None]:
    """Images are read side by side: threads inside OpenCV would only be in each other's way."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def predict(prepared: Prepared, stdout: TextIO, on_progress: OnProgress | None = None) -> Outcome:
    """Predict all images and write what was asked for.

    Args:
        prepared: The prediction.
        stdout: Where predictions go if no file is named.
        on_progress: Called with images done and in total, which may be unknown.

    Raises:
        Interrupted: There was a signal; what is written is complete up to some image.
        MlcError: Nothing can be written, the model is broken, or there are no images.
    """
    settings = prepared.settings
    form = make_format(settings.format, prepared.classes, settings.topk)
    pictures = _Pictures(prepared)
    items = iter(prepared.sources)
    items = distinct_places(items) if settings.draw else items
    begun = Begun()
    if settings.resume and settings.output:
        begun, items = _resume(Path(settings.output), form, items, settings.batch_size)
    total = prepared.sources.count() if on_progress else None
    images, unreadable = begun.images, list(begun.errors)
    with stop_requests() as stopped, _stream(settings, stdout, begun) as stream:
        writer = RecordWriter(stream, form, begun=begun.images > 0)
        with closing(predictions(prepared, items, stopped)) as batches:
            for batch in batches:
                pictures.add(batch)
                writer.write([prediction for prediction, _ in batch])
                images += len(batch)
                unreadable += [Written(p.image, p.error) for p, _ in batch if p.error]
                if on_progress:
                    on_progress(images, total)
        writer.finish()
        if settings.output:
            write_settings(Path(f"{settings.output}.settings.yaml"), settings)
        pictures.finish(images)
        if stopped():
            raise Interrupted(f"interrupted after {images} images", _how_to_go_on(settings))
    if not images:
        raise DataError("no image came from the sources", "With -, paths come one a line.")
    undrawn = tuple(sorted(pictures.fonts.lacking))
    return Outcome(images, begun.images, tuple(unreadable), undrawn, pictures.left_out)


def _resume(
    path: Path, form: Format, items: Iterator[Item], batch_size: int
) -> tuple[Begun, Iterator[Item]]:
    """What is kept of a file, and the items that it lacks."""
    recent: deque[Item] = deque(maxlen=batch_size)

    def names() -> Iterator[str]:
        for item in items:
            recent.append(item)
            yield item.name

    begun = read_begun(path, form, names(), batch_size)
    again = list(recent)[len(recent) - begun.dropped :]
    return begun, chain(again, items)


def _stream(
    settings: PredictSettings, stdout: TextIO, begun: Begun
) -> AbstractContextManager[TextIO]:
    return open_output(Path(settings.output), begun.end) if settings.output else nullcontext(stdout)


def _how_to_go_on(settings: PredictSettings) -> str:
    if not settings.output or settings.format == "json":
        return "With --output FILE and --format jsonl or csv, --resume goes on where it stopped."
    return f"Continue {settings.output} with the same command and --resume."


class _Pictures:
    """What is made of the pictures themselves: drawn copies and the gallery."""

    def __init__(self, prepared: Prepared) -> None:
        self._settings = prepared.settings
        self._prepared = prepared
        self.fonts = Fonts(self._settings.font)
        self._drawer = Drawer(self.fonts)
        self._folder = Path(self._settings.draw or "")
        if self._settings.draw:
            result_folder(self._settings.draw, self._folder)
        self._gallery: Gallery | None = None
        if self._settings.gallery:
            self._gallery = Gallery(prepared.classes, self._settings.gallery_most)

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
        path = self._folder / picture.item.place
        path = path.with_name(f"{path.name}.jpg")
        result_folder(str(path.parent), self._folder)
        drawn = self._drawer(
            picture.preview,
            [self._prepared.classes[c] for c in prediction.decided],
            [float(prediction.probabilities_C[c]) for c in prediction.decided],
            prediction.heat_KHW,
        )
        write_atomic(path, lambda temporary: temporary.write_bytes(drawn))

    def finish(self, images: int) -> None:
        """Write the gallery."""
        if self._gallery and self._settings.gallery:
            about = (
                f"{self._prepared.opened.path} \N{MIDDLE DOT} decided by"
                f" {self._prepared.decided_by} \N{MIDDLE DOT} {images:,} images"
            )
            self._gallery.write(Path(self._settings.gallery), "Predictions", about)
