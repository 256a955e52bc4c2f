"""Checkpoints: one safetensors file that is enough alone for every later command.

The weights are tensors; everything else is JSON under the key `mlc` of the file's metadata.
Opening one never runs code.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mlc_cli.core.system.files import write_atomic
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


def save_checkpoint(path: Path, state: dict[str, torch.Tensor], card: ModelCard) -> None:
    """Write weights and card atomically.

    Raises:
        MlcError: The file cannot be written.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    metadata = {"mlc": card_to_json(card)}
    write_atomic(path, lambda temporary: save_file(tensors, str(temporary), metadata))


def read_card(path: Path) -> ModelCard:
    """Read what a checkpoint knows, without its weights.

    Raises:
        CheckpointError: There is no such file, or it is not a checkpoint of mlc.
    """
    with _open(path) as stream:
        metadata = stream.metadata() or {}
    if "mlc" not in metadata:
        raise CheckpointError(
            f"{path}: holds weights, but is not a checkpoint of mlc",
            "Weights of other origin start a training: mlc train --weights FILE.",
        )
    return card_from_json(metadata["mlc"], path)


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


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights of any safetensors file.

    Raises:
        CheckpointError: There is no such file, or it is damaged.
    """
    with _open(path) as stream:
        return {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118


def has_card(path: Path) -> bool:
    """Whether a safetensors file is a checkpoint of mlc.

    Raises:
        CheckpointError: There is no such file, or it is damaged.
    """
    with _open(path) as stream:
        return "mlc" in (stream.metadata() or {})


def _open(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint")
    try:
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: is damaged or not a safetensors file ({error})",
            "Take another checkpoint: a run folder holds best.safetensors and last.safetensors.",
        ) from None
