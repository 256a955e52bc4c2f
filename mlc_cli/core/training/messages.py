"""Events of a training in words, for the terminal and for the log alike."""

from typing import TYPE_CHECKING

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.html.words import count
from mlc_cli.core.models.heads.graph import LabelGraph
from mlc_cli.core.models.weights.backbone import LoadReport
from mlc_cli.core.training.events import EpochReport, Event, Finished, Note, Started
from mlc_cli.text import some

if TYPE_CHECKING:
    from mlc_cli.core.training.build import Training

SHOWN = 4


def describe(event: Event) -> str:
    """An event as one or more lines."""
    match event:
        case Started():
            return _started(event)
        case EpochReport():
            return _epoch(event)
        case Finished():
            return _finished(event)
        case Note(text):
            return text


def _started(event: Started) -> str:
    training, size = event.training, event.size
    settings, train, val = training.settings, training.splits.train, training.splits.val
    drawn = training.plan.train.drawn
    again = settings.data.repeat_rare and drawn != len(train)
    repeated = f"; rare classes repeated: {drawn} images an epoch" if again else ""
    lines = [
        f"run    {event.run.path} on {_where(training)}",
        f"train  {_split(train)}{repeated}",
        f"val    {_split(val) if val is not train else 'none: all is learnt'}",
        f"model  {settings.model.backbone}, {settings.model.head.name} head:"
        f" {size.mparams:.2f} M parameters ({size.trained_mparams:.2f} M learn),"
        f" {size.gmacs:.2f} GMACs",
    ]
    if training.graph:
        lines += _graph(training.graph)
    if training.built.report:
        lines.append(_weights(training.built.report))
    lines += training.notes
    lines += [f"warning: {text}" for text in event.warnings]
    if event.epoch:
        lines.append(f"continued after epoch {event.epoch} of {settings.epochs}")
    return "\n".join(lines)


def _where(training: "Training") -> str:
    size, step = training.group.size, training.plan.step
    device = step.normalise.device
    processes = f", {size} processes" if size > 1 else ""
    return f"{device.type if size > 1 else device}, {step.precision}{processes}"


def _graph(graph: LabelGraph) -> list[str]:
    lines = [f"graph  {graph.links} links among {len(graph.links_CC)} labels"]
    if not graph.links:
        lines.append("warning: a graph without links; a lower model.head.threshold makes some")
    return lines + [f"note: {text}" for text in graph.notes]


def _split(split: Annotation) -> str:
    sizes_N = split.positives.sizes_N()
    elsewhere = split.folder != split.source.parent
    place = f" in {split.folder}" if elsewhere else ""
    text = (
        f"{count(len(split), 'image')}{place}, {count(len(split.classes), 'class', 'classes')},"
        f" {sizes_N.mean():.2f} labels an image, {int((sizes_N == 0).sum())} without labels"
    )
    unknown = int(split.unknown_C().sum())
    return f"{text}, {unknown} unknown" if unknown else text


def _weights(report: LoadReport) -> str:
    origin = f"{report.origin}: " if report.origin else ""
    text = f"weights  {report.source}: {origin}{report.loaded} tensors loaded"
    for title, names in (
        ("kept as they were", report.missing),
        ("not used", report.unused),
        ("of another shape", report.mismatched),
    ):
        if names:
            text += f"\n  {len(names)} {title}: {some(names, SHOWN)}"
    return "\n".join([text, *(f"note: {note}" for note in report.notes)])


def _epoch(report: EpochReport) -> str:
    width = len(str(report.epochs))
    if report.lr is None:
        parts = ["starting weights"]
    elif report.loss is None and report.epoch == 0:
        parts = ["warm start of the head"]
    else:
        loss = "-" if report.loss is None else f"{report.loss:.4f}"
        parts = [
            f"epoch {report.epoch:>{width}}/{report.epochs}",
            f"loss {loss}",
            f"lr {report.lr:.2e}",
        ]
    if report.validation:
        parts.append(f"val mAP {report.validation.map_raw:.4f}")
        if report.validation.map_ema is not None:
            parts.append(f"ema {report.validation.map_ema:.4f}")
        parts.append("best" if report.validation.improved else "    ")
    if report.images_per_second:
        parts.append(f"{report.images_per_second:.0f} img/s")
    parts.append(f"{report.seconds:.0f} s")
    if report.unreadable:
        parts.append(f"{report.unreadable} unreadable images left out")
    if report.stopped:
        parts.append("stopped early")
    return "  ".join(parts)


def _finished(event: Finished) -> str:
    kind = "moving average" if event.best.averaged else "raw weights"
    where = f"after epoch {event.best.epoch}" if event.best.epoch else "before the first epoch"
    return (
        f"done in {event.seconds / 60:.1f} min: best {event.measured_on} mAP"
        f" {event.best.mean_ap:.4f} {where} ({kind}), saved in {event.run.best}"
    )
