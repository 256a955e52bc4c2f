"""`mlc predict`: a checkpoint over any images."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import TextIO

from mlc_cli.core.html.words import count
from mlc_cli.core.inference import cluster
from mlc_cli.core.inference.model import Model
from mlc_cli.core.inference.pictures import Pictures
from mlc_cli.core.inference.predicting import Predictor
from mlc_cli.core.inference.predictions import FORMATS, Format, Written
from mlc_cli.core.inference.results import Prediction
from mlc_cli.core.inference.writer import PartialOutput, RecordWriter, open_output, read_partial
from mlc_cli.core.loading.sources import STDIN, Item, Sources, distinct_output_names
from mlc_cli.core.loading.stream import Picture, PictureReader, fetched, stdin_lines
from mlc_cli.core.runs.chain import broken_promise
from mlc_cli.core.runs.folder import find_checkpoint
from mlc_cli.core.system.addresses import is_remote, without_secrets
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.distributed import Group, current
from mlc_cli.core.system.downloads.build import build_cache
from mlc_cli.core.system.files import check_output, result_folder, write_text
from mlc_cli.core.system.interrupts import stop_requests
from mlc_cli.core.system.ray_cluster import import_ray
from mlc_cli.core.system.remote import staged
from mlc_cli.errors import DataError, Interrupted, UsageError
from mlc_cli.settings.download import DownloadSettings
from mlc_cli.settings.predict import PredictSettings
from mlc_cli.settings.resolve import as_yaml

_GALLERY_SIDE = 400  # of previews when nothing is drawn: the thumbnails twice over

OnProgress = Callable[..., object]
"""Hears images done, images in all if known, and perhaps more in words."""


@dataclass(frozen=True)
class Outcome:
    """What came of a prediction.

    Attributes:
        images: Images in the output, those of an earlier run that was continued too.
        continued: Images that were there already.
        unreadable: Images that could not be read, and why.
        undrawn: Labels that no font has the characters of.
        left_out: Images that the gallery had no room for.
        passed_over: Files of the folders that were not taken for images.
        damaged: Images that were predicted though they are damaged, and how.
    """

    images: int
    continued: int
    unreadable: tuple[Written, ...]
    undrawn: tuple[str, ...]
    left_out: int
    passed_over: tuple[str, ...] = ()
    damaged: tuple[Written, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """A prediction that can start.

    Attributes:
        decided_by: Where the thresholds come from, in words.
        warning: Of the model, or of a promise that does not hold here.
    """

    settings: PredictSettings
    model: Model
    predictor: Predictor
    sources: Sources
    decided_by: str
    warning: str


def prepare(settings: PredictSettings) -> Prepared:
    """Check the sources and load the model.

    Raises:
        MlcError: A source is missing or empty, or the checkpoint cannot be used.
    """
    _check(settings)
    store = build_cache(DownloadSettings())
    sources = Sources(settings.sources, settings.every, stdin_lines(), settings.videos, store)
    sources.check()
    path = find_checkpoint(settings.run, settings.checkpoint)
    model = Model(
        path, settings.device, settings.precision, settings.thresholds,
        like=settings.like, weight_classes=settings.weight_classes,
        matmul=settings.matmul,
    )  # fmt: skip
    predictor = model.predictor(explain=settings.explain, tta=settings.tta, tiles=settings.tiles)
    decided_by = "the thresholds of the checkpoint" if model.has_thresholds else "0.5"
    if settings.thresholds is not None:
        decided_by = str(settings.thresholds)
    own = settings.thresholds is None
    broken = broken_promise(model.opened.card, settings, path) if own else ""
    warning = "; ".join(filter(None, (model.warning, broken)))
    return Prepared(settings, model, predictor, sources, decided_by, warning)


def _check(settings: PredictSettings) -> None:
    """Refuse what does not go together."""
    check_output("--gallery", settings.gallery)
    if settings.engine == "local":
        check_output("--output", settings.output)
    if settings.explain and not (settings.draw or settings.gallery):
        raise UsageError(
            "--explain makes heat maps for --draw and --gallery, and neither is given",
            "Add --draw DIR or --gallery FILE.html.",
        )
    if STDIN in settings.sources and current().size > 1:
        raise UsageError(
            "- is read by one process, and several were started",
            "Name a .txt list of paths in place of standard input, or call mlc without torchrun.",
        )
    if settings.engine == "ray":
        import_ray()
        if current().size > 1:
            raise UsageError("--engine ray is called once, without torchrun")
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
    """Predict images in their order, batch by batch, until `stopped` says so."""
    settings, model = prepared.settings, prepared.model
    side = settings.draw_side if settings.draw else _GALLERY_SIDE if settings.gallery else 0
    return prepared.predictor.stream(
        fetched(items) if any(map(is_remote, settings.sources)) else items,
        PictureReader(
            model.geometry.tiled(settings.tiles),
            settings.max_megapixels * 1e6,
            side,
            settings.on_damaged,
        ),
        batch_size=settings.batch_size,
        threads=usable_cores() if settings.threads == "auto" else settings.threads,
        live=STDIN in settings.sources,
        stopped=stopped,
    )


def predict(prepared: Prepared, stdout: TextIO, on_progress: OnProgress | None = None) -> Outcome:
    """Predict all images and write what was asked for.

    Processes that have joined a group share the images; the leading one writes, and it alone has
    the outcome. Without the name of a file, predictions go to `stdout`.

    Raises:
        Interrupted: There was a signal; what is written is complete up to some image.
        MlcError: Nothing can be written, the model is broken, or there are no images.
    """
    if prepared.settings.engine == "ray":
        return _in_cluster(prepared, on_progress)
    names = ("output", "draw", "gallery")
    wanted = {name: getattr(prepared.settings, name) for name in names}
    with staged(wanted, resume=prepared.settings.resume) as here:
        settings = prepared.settings.model_copy(update=here)
        return _predict(prepared, settings, stdout, on_progress)


def _predict(
    prepared: Prepared, settings: PredictSettings, stdout: TextIO, on_progress: OnProgress | None
) -> Outcome:
    group = current()
    form = FORMATS[settings.format](
        prepared.model.classes,
        settings.topk,
        band=prepared.model.lower_thresholds is not None,
        guard=settings.guard_formulas,
    )
    pictures = Pictures(settings, prepared.model.classes)
    items = iter(prepared.sources)
    items = distinct_output_names(items) if settings.draw else items
    partial = PartialOutput()
    if settings.resume and settings.output:
        partial, items = _resume(Path(settings.output), form, items, settings.batch_size)
        group.barrier()  # until all have read what is there
    items = group.shard(items, settings.batch_size)
    total = prepared.sources.count() if on_progress else None
    images, unreadable, damaged = partial.images, list(partial.errors), list[Written]()
    with stop_requests() as stopped, _stream(settings, stdout, partial, group) as stream:
        writer = RecordWriter(stream, form, resumed=partial.images > 0)
        with closing(predictions(prepared, items, stopped)) as batches:
            for batch in group.in_order(batches):
                pictures.add(batch)
                writer.write([prediction for prediction, _ in batch])
                images += len(batch)
                unreadable += [Written(p.image, p.error) for p, _ in batch if p.error]
                damaged += [Written(p.image, seen.damage) for p, seen in batch if seen.damage]
                if on_progress:
                    on_progress(images, total)
        writer.finish()
        images = group.broadcast(lambda: images)
        if group.is_main:
            if settings.output:
                write_text(
                    Path(f"{settings.output}.settings.yaml"),
                    without_secrets(as_yaml(prepared.settings)),
                )
            model, decided_by = prepared.model.path, prepared.decided_by
            pictures.finish(f"{model} · decided by {decided_by} · {images:,} images")
        if group.any(stopped()):
            raise Interrupted(f"interrupted after {images} images", _how_to_go_on(settings))
    if not images:
        raise DataError("no image came from the sources", "With -, paths come one a line.")
    undrawn = tuple(sorted(pictures.fonts.lacking))
    passed_over = tuple(prepared.sources.passed_over())
    return Outcome(
        images, partial.images, tuple(unreadable), undrawn, pictures.gallery.left_out, passed_over,
        tuple(damaged),
    )  # fmt: skip


def _in_cluster(prepared: Prepared, on_progress: OnProgress | None) -> Outcome:
    settings = prepared.settings
    folder = result_folder(settings.output, Path()).absolute()
    total = prepared.sources.count() if on_progress else None

    def tell(images: int, machines: int) -> None:
        if on_progress:
            on_progress(images, total, f"on {count(machines, 'node')}")

    work = cluster.Work(prepared.model, settings, folder)
    try:
        parts, before = cluster.predict_parts(work, prepared.sources, settings.address, tell)
    except KeyboardInterrupt:
        repair = f"Continue {settings.output} with the same command."
        raise Interrupted("interrupted", repair) from None
    write_text(folder / "_settings.yaml", without_secrets(as_yaml(settings)))
    unreadable, damaged = (
        tuple(Written(*one) for part in parts for one in getattr(part, kind))
        for kind in ("unreadable", "damaged")
    )
    images, passed_over = sum(part.images for part in parts), tuple(prepared.sources.passed_over())
    return Outcome(images, before, unreadable, (), 0, passed_over, damaged)


def _resume(
    path: Path, form: Format, items: Iterator[Item], batch_size: int
) -> tuple[PartialOutput, Iterator[Item]]:
    """What is kept of a file, and the items that it lacks."""
    recent: deque[Item] = deque(maxlen=batch_size)

    def names() -> Iterator[str]:
        for item in items:
            recent.append(item)
            yield item.name

    partial = read_partial(path, form, names(), batch_size)
    again = list(recent)[len(recent) - partial.dropped :]
    return partial, chain(again, items)


def _stream(
    settings: PredictSettings, stdout: TextIO, partial: PartialOutput, group: Group
) -> AbstractContextManager[TextIO]:
    if not group.is_main:
        return nullcontext(StringIO())
    if not settings.output:
        return nullcontext(stdout)
    return open_output(Path(settings.output), partial.end)


def _how_to_go_on(settings: PredictSettings) -> str:
    if not settings.output or settings.format == "json":
        return "With --output FILE and --format jsonl or csv, --resume goes on where it stopped."
    return f"Continue {settings.output} with the same command and --resume."
