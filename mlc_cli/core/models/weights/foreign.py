"""Checkpoints of other systems, put into the names of mlc, as starting weights."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.heads.base import Head
from mlc_cli.core.models.heads.graph import (
    GraphAttention,
    GraphConvolution,
    GraphHead,
    GraphWeights,
    LabelGraph,
)
from mlc_cli.core.models.heads.ml_decoder import MLDecoder
from mlc_cli.core.models.heads.pooled import CosineHead, LinearHead
from mlc_cli.core.models.weights.class_order import Classes, positions, reordered
from mlc_cli.core.models.weights.files import WeightsFile
from mlc_cli.core.models.weights.report import LoadReport, mismatches, other_classes
from mlc_cli.core.models.weights.timm import load_backbone

OTHER_CLASSES = "its classes are not those of the data set"
UNNAMED = (
    "the file does not name its classes; --weight-classes FILE|coco|voc names them, in the order of"
    " its logits"
)


@dataclass(frozen=True)
class ForeignHead:
    """A head of another system.

    Attributes:
        kinds: What it may be, in the words of `kind_of`: a file does not tell everything.
        state: Its tensors in the names of mlc.
        names: Its tensors in the names of the file.
        size: Number of classes.
    """

    kinds: tuple[str, ...]
    state: dict[str, Tensor]
    names: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Foreign:
    """A checkpoint of another system.

    Attributes:
        origin: Whose it was recognised as, in words.
        backbone: The file with all that is not of the head.
        head: The head, if it was recognised.
        classes: Class names in the order of the logits, if they are known.
        bare: Whether nothing but the names of its tensors says what they are.
    """

    origin: str
    backbone: WeightsFile
    head: ForeignHead | None
    classes: Classes | None
    bare: bool = False


def class_names(pairs: Iterable[tuple[Any, object]]) -> Classes | None:
    """Names in the order of their indexes, if these are 0, 1, 2 and so on.

    Args:
        pairs: Name and index of each class.
    """
    known = [(index, name) for name, index in pairs if isinstance(index, int)]
    by_index = dict(known)
    if not known or by_index.keys() != set(range(len(known))):
        return None
    return [by_index[index] for index in range(len(known))]


def kind_of(head: Head) -> str:
    """What a head is, apart from its sizes, in words."""
    match head:
        case LinearHead():
            return "linear"
        case CosineHead():
            return "cosine"
        case MLDecoder():
            return decoder_kind(head.heads, cosine=head.use_cosine)
        case GraphHead(weights=GraphWeights(first=first), pooled=pooled):
            layer = "GCN" if isinstance(first, GraphConvolution) else "GAT"
            return f"{layer}, {kind_of(pooled)}"
        case _:
            return type(head).__name__


def decoder_kind(attention_heads: int, *, cosine: bool) -> str:
    """Kind of an ML-Decoder."""
    return f"{'cosine' if cosine else 'linear'} ML-Decoder of {attention_heads} attention heads"


def load_foreign(
    model: Classifier, foreign: Foreign, classes: Classes, *, reset_head: bool
) -> LoadReport:
    """Load a checkpoint of another system: the backbone, and the head if it fits.

    Args:
        model: With a head for `classes`.
        foreign: The checkpoint.
        classes: Class names of the model.
        reset_head: Leave the head as it is if the checkpoint is for other classes.

    Raises:
        WeightsError: Its head is of the right kind, but for other classes, and `reset_head` is
            off; or nothing of the backbone fits.
    """
    refusal = _refusal(model.head, foreign, classes)
    if refusal == OTHER_CLASSES and not reset_head:
        assert foreign.classes is not None
        raise other_classes(foreign.backbone.path, len(foreign.classes), len(classes))
    report = replace(load_backbone(model.backbone.model, foreign.backbone), origin=foreign.origin)
    head = foreign.head
    if head is None:
        return _without_head(report, model.head)
    if foreign.bare and report.unused:
        refusal = refusal or f"{report.unused[0]}, which has no place here, may change its logits"
    if refusal:
        return _without_head(report, model.head, head, refusal)
    order = positions(foreign.classes or [], classes)
    assert order is not None
    state = reordered(head.state, order)
    target = _with_its_graph(model.head, state)
    wrong, faults = mismatches(state, target.state_dict()), _faults(state, target)
    if faults:
        if len(state.get("queries", ())) != len(head.state.get("queries", ())):
            faults[0] += f"; --set model.head.groups={len(classes)} fits its classes in our order"
        report = _without_head(report, model.head, head, f"it does not fit: {faults[0]}")
        return replace(report, mismatched=report.mismatched + tuple(f"head.{w}" for w in wrong))
    target.load_state_dict(state)
    model.head = target
    notes = _assumed(target, foreign, moved=order != sorted(order))
    return replace(report, loaded=report.loaded + len(state), head=True, notes=notes)


def _without_head(
    report: LoadReport, own: Head, head: ForeignHead | None = None, reason: str = ""
) -> LoadReport:
    return replace(
        report,
        missing=report.missing + tuple(f"head.{name}" for name in own.state_dict()),
        unused=report.unused + (head.names if head else ()),
        notes=(f"the head of the file is not used: {reason}",) if reason else (),
    )


def _refusal(own: Head, foreign: Foreign, classes: Classes) -> str:
    """Why the head of a file is not asked for; empty if nothing speaks against it."""
    head, kind = foreign.head, kind_of(own)
    if head is None:
        return ""
    if kind not in head.kinds:
        return f"it is {' or '.join(head.kinds)}, that of the settings is {kind}"
    if foreign.classes is not None and positions(foreign.classes, classes) is None:
        return OTHER_CLASSES
    if head.size != len(classes):
        return f"it has {head.size} classes, the data set has {len(classes)}"
    return "" if foreign.classes else UNNAMED


def _faults(state: dict[str, Tensor], target: Head) -> list[str]:
    """Tensors that only one side has, or that differ in shape."""
    own = target.state_dict()
    return [
        *mismatches(state, own),
        *(f"{name} is not in the model" for name in state if name not in own),
        *(f"{name} is not in the file" for name in own if name not in state),
    ]


def _with_its_graph(own: Head, state: dict[str, Tensor]) -> Head:
    """A copy of a head; labels and links of a graph are data, so that the file's are taken."""
    head = copy.deepcopy(own)
    if isinstance(head, GraphHead):
        weights = head.weights
        assert isinstance(weights, GraphWeights)
        vectors_CE = state["weights.vectors_CE"]
        graph = LabelGraph(vectors_CE, state["weights.links_CC"])
        first = weights.first
        assert isinstance(first, GraphConvolution | GraphAttention)
        layer = type(first)(vectors_CE.shape[1], first.weight.shape[1])
        head.weights = GraphWeights(graph, layer, weights.second)
    return head


def _assumed(head: Head, foreign: Foreign, *, moved: bool) -> tuple[str, ...]:
    """What the file does not say."""
    pooled = head.pooled if isinstance(head, GraphHead) else head
    makes = [f"scale {float(head.scale):g}", "mean and std of the images"]
    if isinstance(pooled, LinearHead | CosineHead):
        makes.insert(1, f"pooling {pooled.pool}")
    assert foreign.head is not None
    if len(foreign.head.kinds) > 1:
        makes.insert(1, kind_of(head))
    if "cosine" in kind_of(head):
        makes.append("similarity as it is (amb_t 1)")
    notes = [f"not in the file, so as the settings say: {', '.join(makes)}"]
    if moved:
        notes.append("its classes are in another order, and were put into ours by name")
    if isinstance(head, GraphHead):
        notes.append("the graph of labels is that of the file")
    return tuple(notes)
