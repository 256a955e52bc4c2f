"""What a model file knows beside its weights; read and written without torch."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlc_cli.errors import CheckpointError

FORMAT = 1


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint knows beside its weights.

    Attributes:
        classes: Class names (text or integers) in the order of the logits.
        model: Settings of the model, as plain values.
        input_size: Height and width in pixels.
        mean: Mean of RGB, in 0..1.
        std: Standard deviation of RGB, in 0..1.
        scale: Factor that the logits already contain.
        thresholds: Probability from which each class counts as present, if estimated.
        metrics: Validation metrics of these weights.
        data: Where the training data was: settings of the data section, as plain values.
        epoch: Epochs that the weights were trained for.
        averaged: Whether they are the moving average rather than the raw weights.
        versions: Of mlc, torch and timm.
    """

    classes: list[str] | list[int]
    model: dict[str, Any]
    input_size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float
    metrics: dict[str, float | None] = field(default_factory=dict)
    thresholds: list[float] | None = None
    data: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    averaged: bool = False
    versions: dict[str, str] = field(default_factory=dict)


def card_to_json(card: ModelCard) -> str:
    """Text that `card_from_json` reads."""
    return json.dumps({"format": FORMAT, **asdict(card)}, allow_nan=False)


def card_from_json(text: str, path: Path) -> ModelCard:
    """What a file knows, from the text in its metadata.

    Raises:
        CheckpointError: The text is damaged, or from another version.
    """
    try:
        content = json.loads(text)
        if content.pop("format") != FORMAT:
            raise CheckpointError(f"{path}: was written by another version of mlc; update mlc")
        for key in ("input_size", "mean", "std"):
            content[key] = tuple(content[key])
        return ModelCard(**content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its metadata is damaged or incomplete: {error}") from None
