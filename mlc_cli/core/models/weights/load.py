"""Checkpoints, of mlc and of other systems, as starting weights: the backbone, and the head."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from mlc_cli.core.html.words import count
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.heads.base import Head
from mlc_cli.core.models.heads.graph import GraphHead, GraphLayer, GraphWeights
from mlc_cli.core.models.weights.backbone import LoadReport, compare, load_backbone, resized
from mlc_cli.core.models.weights.class_order import Classes, places, positions, reordered
from mlc_cli.core.models.weights.files import read_weights
from mlc_cli.core.models.weights.recognise import Foreign, recognise
from mlc_cli.core.runs.checkpoint import is_checkpoint, read_card, read_state
from mlc_cli.core.runs.folder import find_checkpoint
from mlc_cli.errors import WeightsError
from mlc_cli.text import nearest, some

OTHER_CLASSES = "its classes are not those of the data set"
UNNAMED = (
    "the file does not name its classes; --weight-classes FILE|coco|voc names them, in the order of"
    " its logits"
)


def load(
    model: Classifier,
    path: Path,
    classes: Classes,
    weight_classes: str | None,
    *,
    reset_head: bool,
    rename: Mapping[str, str] | None = None,
) -> LoadReport:
    """Load a file of any origin into a model for `classes`.

    The head stays as it is where the file, or the best checkpoint of a run, brings none for the
    same classes. Those of the file are `weight_classes`, as `listed_classes` takes them. With
    `reset_head` they may be others; with `rename`, their names now by those in a checkpoint of
    mlc, the head keeps what it knows of those that stay.

    Raises:
        WeightsError: It is for other classes or another model, or something in it is not known.
    """
    path = find_checkpoint(str(path)) if path.is_dir() else path
    if is_checkpoint(path):
        if weight_classes:
            raise WeightsError(f"{path}: names its classes itself; leave out --weight-classes")
        return load_checkpoint(model, path, classes, reset_head=reset_head, rename=rename)
    if rename:
        raise WeightsError(f"{path}: only checkpoints of mlc have classes to rename")
    file = read_weights(path)
    foreign = recognise(file, weight_classes)
    if foreign:
        return _load_foreign(model, foreign, classes, reset_head=reset_head)
    return load_backbone(model.backbone.model, file)


def load_checkpoint(
    model: Classifier,
    path: Path,
    classes: Classes,
    *,
    reset_head: bool,
    rename: Mapping[str, str] | None = None,
) -> LoadReport:
    """Load a checkpoint of mlc, head included, as `load` does."""
    card, state = read_card(path), read_state(path)
    same = list(card.classes) == list(classes)
    drops_head = rename is None and not same
    kept: tuple[int, ...] | None = None
    new: list[str] = []
    notes: tuple[str, ...] = ()
    if drops_head and not reset_head:
        raise _other_classes(path, len(card.classes), len(classes))
    if rename is not None and (rename or not same):
        order = _places(path, card.classes, classes, rename)
        new = [str(name) for name, place in zip(classes, order, strict=True) if place is None]
        gone = [str(name) for c, name in enumerate(card.classes) if c not in order]
        notes = (_changes(len(order) - len(new), new, gone),)
        state = _with_kept_rows(path, model, state, order)
        kept = tuple(c for c, place in enumerate(order) if place is not None) if new else None
    state, resampled = resized(model.backbone.model, state, "backbone.model.")
    left_out = tuple(k for k in state if k.startswith("head.")) if drops_head else ()
    loaded = {k: v for k, v in state.items() if k not in left_out}
    missing, unknown, mismatched = compare(loaded, model.state_dict())
    wrong = unknown + tuple(fault.partition(":")[0] for fault in mismatched)
    if wrong or (missing and not drops_head):
        raise WeightsError(
            f"{path}: is for another model: {', '.join((*wrong, *missing)[:3])} do not fit",
            f"It was trained with backbone {card.model.get('backbone')} and head"
            f" {card.model.get('head', {}).get('name')}.",
        )
    model.load_state_dict(loaded, strict=False)
    missing += tuple(f"what the head knows of {name}" for name in new)
    return LoadReport(
        str(path), len(loaded), missing, left_out, (), "a checkpoint of mlc",
        head=not (drops_head or new), notes=(*notes, *resampled), kept=kept,
    )  # fmt: skip


def _places(
    path: Path, theirs: Classes, ours: Classes, rename: Mapping[str, str]
) -> list[int | None]:
    """Place among `theirs` of each of `ours`, by the name that it has now."""
    names = [str(name) for name in theirs]
    for old, new in rename.items():
        if old not in names or new not in map(str, ours):
            wrong, among = (old, names) if old not in names else (new, list(map(str, ours)))
            raise WeightsError(
                f"rename {old}={new}: there is no class {wrong}{nearest(wrong, among)}",
                "The old name is that of the weights, the new one that of the data set.",
            )
    now = [rename.get(name, name) for name in names]
    if len(set(now)) < len(now):
        raise WeightsError(f"{path}: after renaming, two of its classes have the same name")
    order = places(now, ours)
    if all(one is None for one in order):
        raise _other_classes(path, len(theirs), len(ours))
    return order


def _changes(kept: int, new: list[str], gone: list[str]) -> str:
    told = [f"{count(kept, 'class keeps', 'classes keep')} what the head knows of them"]
    told += [f"{word}: {some(names)}" for word, names in (("new", new), ("gone", gone)) if names]
    return "; ".join(told)


def _with_kept_rows(
    path: Path, model: Classifier, state: Mapping[str, Tensor], order: list[int | None]
) -> dict[str, Tensor]:
    head = {k.removeprefix("head."): v for k, v in state.items() if k.startswith("head.")}
    vectors_GME = head.get("class_vectors")
    own = model.head.state_dict()
    shared = "weights.links_CC" in head
    if vectors_GME is not None and "class_vectors" in own:
        shared = max(vectors_GME.shape[1], own["class_vectors"].shape[1]) > 1
    if shared:
        raise WeightsError(
            f"{path}: its head holds several classes in one, so that none can be added or removed",
            "To keep the backbone and train a new head: `--set model.on_class_change=reset_head`.",
        )
    moved = reordered(head, order, own)
    return {**state, **{f"head.{name}": value for name, value in moved.items()}}


def _load_foreign(
    model: Classifier, foreign: Foreign, classes: Classes, *, reset_head: bool
) -> LoadReport:
    """Load the backbone, and the head if it is of the right kind and for the same classes."""
    refusal = _refusal(model.head, foreign, classes)
    if refusal == OTHER_CLASSES and not reset_head:
        raise _other_classes(foreign.backbone.path, len(foreign.classes or ()), len(classes))
    report = replace(load_backbone(model.backbone.model, foreign.backbone), origin=foreign.origin)
    if foreign.bare and report.unused:
        refusal = refusal or f"{report.unused[0]}, which has no place here, may change its logits"
    wrong: tuple[str, ...] = ()
    if foreign.kinds and not refusal:
        order = positions(foreign.classes or [], classes)
        assert order is not None
        state = reordered(foreign.state, order)
        head = _with_its_graph(model.head, state)
        lacks, unknown, wrong = compare(state, head.state_dict())
        faults = [*wrong, *(f"{name} is not in the model" for name in unknown)]
        faults += [f"{name} is not in the file" for name in lacks]
        if not faults:
            head.load_state_dict(state)
            model.head = head
            notes = (*report.notes, *_assumed(head, foreign, moved=order != sorted(order)))
            return replace(report, loaded=report.loaded + len(state), head=True, notes=notes)
        refusal = f"it does not fit: {faults[0]}"
        if len(state.get("queries", ())) != len(foreign.state.get("queries", ())):
            refusal += f"; --set model.head.groups={len(classes)} fits its classes in our order"
    told = (f"the head of the file is not used: {refusal}",) if foreign.kinds else ()
    return replace(
        report,
        missing=report.missing + tuple(f"head.{name}" for name in model.head.state_dict()),
        unused=report.unused + foreign.names,
        mismatched=report.mismatched + tuple(f"head.{one}" for one in wrong),
        notes=report.notes + told,
    )


def _other_classes(path: Path, theirs: int, ours: int) -> WeightsError:
    return WeightsError(
        f"{path}: its {theirs} classes are not the {ours} of the data set",
        "To keep the backbone and train a new head: `--set model.on_class_change=reset_head`.",
    )


def _refusal(own: Head, foreign: Foreign, classes: Classes) -> str:
    """Why the head of a file is not asked for; empty if nothing speaks against it."""
    if not foreign.kinds:
        return ""
    if own.kind not in foreign.kinds:
        return f"it is {' or '.join(foreign.kinds)}, that of the settings is {own.kind}"
    if foreign.classes is not None and positions(foreign.classes, classes) is None:
        return OTHER_CLASSES
    if foreign.size != len(classes):
        return f"it has {foreign.size} classes, the data set has {len(classes)}"
    return "" if foreign.classes else UNNAMED


def _with_its_graph(own: Head, state: dict[str, Tensor]) -> Head:
    """A copy of a head; labels and links of a graph are data, so that the file's are taken."""
    head = copy.deepcopy(own)
    if isinstance(head, GraphHead):
        weights = head.weights
        assert isinstance(weights, GraphWeights)
        weights.vectors_CE = state["weights.vectors_CE"]
        weights.links_CC = state["weights.links_CC"]
        first: GraphLayer = weights.first
        weights.first = type(first)(weights.vectors_CE.shape[1], first.weight.shape[1])
    return head


def _assumed(head: Head, foreign: Foreign, *, moved: bool) -> tuple[str, ...]:
    """What the file does not say."""
    makes = [f"scale {float(head.scale):g}", "mean and std of the images"]
    if pool := getattr(head.pooled if isinstance(head, GraphHead) else head, "pool", None):
        makes.insert(1, f"pooling {pool}")
    if len(foreign.kinds) > 1:
        makes.insert(1, head.kind)
    if "cosine" in head.kind:
        makes.append("similarity as it is (amb_t 1)")
    notes = [f"not in the file, so as the settings say: {', '.join(makes)}"]
    if moved:
        notes.append("its classes are in another order, and were put into ours by name")
    if isinstance(head, GraphHead):
        notes.append("the graph of labels is that of the file")
    return tuple(notes)
