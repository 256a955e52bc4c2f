"""From model settings to a model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.models.backbone import RGB, Backbone, create_backbone
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.heads.base import Head, auto_scale
from mlc_cli.core.models.heads.graph import (
    GraphAttention,
    GraphConvolution,
    GraphHead,
    GraphWeights,
    LabelGraph,
)
from mlc_cli.core.models.heads.ml_decoder import MLDecoder
from mlc_cli.core.models.heads.pooled import CosineHead, LinearHead
from mlc_cli.core.models.label_graph import build_label_graph
from mlc_cli.core.models.weights.backbone import LoadReport, in_names_of
from mlc_cli.core.models.weights.load import load
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.checkpoint import read_card, read_state
from mlc_cli.core.system.files import named_faults
from mlc_cli.errors import CheckpointError, SettingsError
from mlc_cli.settings.model import (
    CosineHeadSettings,
    GraphHeadSettings,
    HeadSettings,
    LinearHeadSettings,
    MLDecoderHeadSettings,
    ModelSettings,
)


@dataclass(frozen=True)
class BuiltModel:
    """A model ready to train or to load a state into.

    Attributes:
        classifier: The model, on the CPU.
        mean: Mean of RGB in 0..1 that images are normalised with.
        std: Standard deviation of RGB in 0..1.
        report: What became of the starting weights, if a file was given.
    """

    classifier: Classifier
    mean: RGB
    std: RGB
    report: LoadReport | None

    @property
    def new_head(self) -> bool:
        """Whether the head did not come with the starting weights."""
        return self.report is None or not self.report.head


def build_model(
    settings: ModelSettings,
    classes: list[str] | list[int],
    size: tuple[int, int],
    graph: LabelGraph | None = None,
    rename: Mapping[str, str] | None = None,
    *,
    last_norm: bool = True,
) -> BuiltModel:
    """Build a model with its starting weights for images of a height and width.

    `rename` has the names that classes have now, by those in the starting weights; `last_norm`
    applies a norm of timm's classifier.

    Raises:
        SettingsError: The backbone or head cannot be made.
        WeightsError: The starting weights cannot be had or do not fit.
    """
    timm_model = create_backbone(
        settings.backbone,
        size,
        pretrained=settings.pretrained and not settings.weights,
        drop_path=settings.drop_path,
    )
    backbone = Backbone(
        timm_model,
        freeze_bn=settings.freeze_bn,
        freeze_stages=settings.freeze_stages,
        last_norm=last_norm,
    )
    head = build_head(settings.head, backbone.channels, len(classes), graph)
    classifier = Classifier(backbone, head)
    report = None
    if settings.weights:
        path = Path(settings.weights).expanduser()
        report = load(
            classifier,
            path,
            classes,
            settings.weight_classes,
            reset_head=settings.on_class_change == "reset_head",
            rename=rename or {} if settings.on_class_change == "keep" else None,
        )
    return BuiltModel(
        classifier, settings.mean or backbone.mean, settings.std or backbone.std, report
    )


def load_classifier(path: Path) -> tuple[Classifier, ModelCard]:
    """Rebuild the model of a checkpoint, in evaluation mode on the CPU.

    What does not depend on the images is computed here, once.

    Raises:
        CheckpointError: The file cannot be opened, or its weights are not those of its model.
    """
    card, state = read_card(path), read_state(path)
    with named_faults(path, "its weights do not fit its model", CheckpointError):
        classifier = _rebuild(card, state)
    folded = classifier.eval().folded()
    if card.calibration is not None:
        folded.head.calibrate(card.calibration)
    return folded, card


def _rebuild(card: ModelCard, state: dict[str, Tensor]) -> Classifier:
    """The model that a card describes, with its weights; whatever is wrong raises."""
    settings = ModelSettings.model_validate({**card.model, "pretrained": False, "weights": None})
    graph = LabelGraph.of(state, "head.") if settings.head.name == "graph" else None
    try:
        built = build_model(
            settings, card.classes, card.input_size, graph, last_norm=card.last_norm
        )
    except SettingsError as error:
        raise ValueError(error.message) from None
    classifier = built.classifier
    state = in_names_of(classifier.state_dict(), state)
    kinds = {name: tensor.dtype for name, tensor in classifier.state_dict().items()}
    wrong = [name for name, tensor in state.items() if tensor.dtype != kinds.get(name)]
    wrong += [name for name, tensor in state.items() if not tensor.isfinite().all()]
    classifier.load_state_dict(state)
    if wrong:
        raise ValueError(f"{wrong[0]} is of another type, or holds values that are not finite")
    if not math.isclose(float(classifier.head.scale), card.scale, rel_tol=1e-6):
        raise ValueError(f"its scale is {card.scale}, and that of its head {classifier.head.scale}")
    return classifier


def label_graph(settings: HeadSettings, train: Annotation) -> LabelGraph | None:
    """The graph of labels that a head works on; `None` for heads without one.

    Raises:
        DataError: The vectors of the labels cannot be had.
    """
    if not isinstance(settings, GraphHeadSettings):
        return None
    files = {"vectors": settings.vectors, "adjacency": settings.adjacency}
    paths = {name: Path(file).expanduser() if file else None for name, file in files.items()}
    return build_label_graph(train, settings.threshold, settings.neighbours, **paths)


def build_head(
    settings: HeadSettings, channels: int, classes: int, graph: LabelGraph | None = None
) -> Head:
    """Build a head for `channels` of the feature map; `graph` is for a graph head."""
    scale = auto_scale(classes) if settings.scale == "auto" else float(settings.scale)
    options = settings.model_dump(exclude={"name"}) | {"scale": scale}
    match settings:
        case LinearHeadSettings():
            return LinearHead(channels, classes, **options)
        case CosineHeadSettings():
            return CosineHead(channels, classes, **options)
        case MLDecoderHeadSettings():
            if settings.dim % settings.heads:
                raise SettingsError(
                    f"model.head.heads: must divide model.head.dim={settings.dim},"
                    f" got {settings.heads}"
                )
            return MLDecoder(channels, classes, **options)
        case GraphHeadSettings(pool=pool, dropout=dropout):
            assert graph is not None
            kind = CosineHead if settings.cosine else LinearHead
            pooled = kind(channels, classes, pool=pool, dropout=dropout, scale=scale)
            layer = GraphConvolution if settings.layer == "gcn" else GraphAttention
            hidden = settings.hidden or channels
            first = layer(graph.vectors_CE.shape[1], hidden)
            return GraphHead(GraphWeights(graph, first, layer(hidden, channels)), pooled)
