"""Checkpoints of other systems as models that are ready to run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from mlc_cli.core.models.build import build_model, load_classifier
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.heads.graph import LabelGraph
from mlc_cli.core.models.weights.backbone import fits
from mlc_cli.core.models.weights.files import read_weights
from mlc_cli.core.models.weights.recognise import Foreign, recognise
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.checkpoint import is_checkpoint
from mlc_cli.errors import CheckpointError, UsageError, WeightsError
from mlc_cli.settings.data import DataSettings
from mlc_cli.settings.model import ModelSettings
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings

BACKBONES = (
    "tf_efficientnetv2_s", "tf_efficientnetv2_m", "tf_efficientnetv2_l", "tf_efficientnetv2_b0",
    "mobilenetv3_large_100", "tresnet_v2_l", "tresnet_m", "tresnet_l", "tresnet_xl", "resnet101",
)  # fmt: skip
"""What deep-object-reid, ML_Decoder and ASL have published: the first that fits is taken."""
DEAD = ("act2.weight", "gc_weights", "classifier.weight", "classifier.bias", "fc.weight", "fc.bias")
"""Ends of names in old files of tensors that did nothing."""
REPAIR = "Say with --like PRESET, or a YAML file as for mlc train --config, what model it is."

Loaded = tuple[Classifier, ModelCard, tuple[str, ...]]
"""A model in evaluation mode on the CPU, its card, and what the user should know."""


def load_any(path: Path, like: str | None = None, weight_classes: str | None = None) -> Loaded:
    """Load a checkpoint of mlc, of deep-object-reid, of ML_Decoder or of ASL.

    What a file of another system does not say, `like` does, a preset or a YAML file, and
    `weight_classes`.

    Raises:
        MlcError: The file is not a whole model, or something about it is not known.
    """
    if not path.is_file() or is_checkpoint(path):
        if path.is_file() and (like or weight_classes):
            raise UsageError(f"{path}: is of mlc and says itself what --like, --weight-classes say")
        return *load_classifier(path), ()
    try:
        file = read_weights(path)
    except WeightsError as error:
        raise CheckpointError(f"not a safetensors file: {error.message}", error.hint) from None
    foreign = recognise(file, weight_classes)
    if foreign is None or not foreign.classes:
        raise WeightsError(
            f"{path}: holds weights, but is not a checkpoint of mlc, and does not name its classes",
            "Name them in the order of its logits with --weight-classes FILE|coco|voc, or start a"
            " training from its backbone: mlc train --weights FILE.",
        )
    if not foreign.state:
        has = foreign.kinds[0] if foreign.kinds else "no head that is known"
        raise WeightsError(f"{path}: is {foreign.origin}; it has {has}, which mlc cannot run")
    classes, state = sorted(foreign.classes), foreign.state
    settings, data = _like(like) if like else (_guessed(foreign), DataSettings(root=""))
    changes: dict[str, Any] = {"weights": str(path), "weight_classes": weight_classes}
    if "queries" in state and state["class_vectors"].shape[1] > 1 and foreign.classes != classes:
        changes["head"] = settings.head.model_copy(update={"groups": len(classes)})
    settings = settings.model_copy(update=changes)
    graph = LabelGraph.of(state) if "weights.links_CC" in state else None  # loading orders it
    built = build_model(settings, classes, data.input_size, graph)  # type: ignore[arg-type]
    report = built.report
    assert report
    odd = [name for name in report.unused if not name.endswith(DEAD)]
    if faults := odd if report.whole else [*report.notes, *report.mismatched, *report.missing]:
        raise WeightsError(f"{path}: is not a whole model: {faults[0]}", REPAIR)
    notes = [report.origin, *report.notes, f"backbone {settings.backbone}"]
    notes.append(f"{data.input_size} pixels")
    if not like:
        notes.append("all that as published configurations have it; --like says otherwise")
    card = ModelCard(
        classes,  # type: ignore[arg-type]
        settings.model_dump(mode="json") | {"weights": None, "weight_classes": None},
        data.input_size,
        built.mean,
        built.std,
        float(built.classifier.head.scale),
        resize=data.resize,
        interpolation=data.interpolation,
        decode=data.decoding,
        bits=data.bits,
    )
    return built.classifier.eval().folded(), card, (f"{path}: {'; '.join(notes)}",)


def _like(like: str) -> tuple[ModelSettings, DataSettings]:
    """Model and images of a training."""
    config = Path(like) if Path(like).suffix in (".yaml", ".yml") else None
    content = gather(TrainSettings, "train", preset=None if config else like, config=config)
    data = validate(DataSettings, {"root": "", **content.get("data", {})})
    return validate(ModelSettings, content.get("model", {})), data


def _guessed(foreign: Foreign) -> ModelSettings:
    """The model that the published configurations make of a file."""
    mean, std = (0.5, 0.5) if "deep-object-reid" in foreign.origin else (0.0, 1.0)
    head = _head(foreign.kinds[-1], foreign.state)
    scales = {"mean": [mean] * 3, "std": [std] * 3}
    for name in BACKBONES:
        with torch.device("meta"):
            model = timm.create_model(name, num_classes=0, global_pool="")
        if fits(model, foreign.backbone):
            content = {"backbone": name, "pretrained": False, "head": head, **scales}
            return ModelSettings.model_validate(content)
    known = ", ".join(BACKBONES)
    raise WeightsError(f"{foreign.backbone.path}: its backbone is none of {known}", REPAIR)


def _head(kind: str, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Settings of a head of a kind, with the scale of the published configuration."""
    cosine = "cosine" in kind
    if "queries" in state:
        groups, dim = state["queries"].shape
        sizes = {"groups": groups, "dim": dim, "ffn_dim": len(state["ffn.0.weight"])}
        return {"name": "ml_decoder", "cosine": cosine, "scale": 23 if cosine else 1, **sizes}
    if "weights.links_CC" in state:
        hidden = state["weights.first.weight"].shape[1]
        layer, scale = kind.partition(",")[0].lower(), 17 if cosine else 1
        return {"name": "graph", "layer": layer, "hidden": hidden, "cosine": cosine, "scale": scale}
    return {"name": kind, "scale": 30 if cosine else 1}
