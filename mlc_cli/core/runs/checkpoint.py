"""Checkpoints: one safetensors file that is enough alone for every later command.

The weights are tensors; everything else is JSON under the key `mlc` of the file's metadata.
Opening one never runs code.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mlc_cli.core.runs.card import ModelCard, card_from_json, card_to_json, check_sealed
from mlc_cli.core.system.checksum import seal
from mlc_cli.core.system.files import named_faults, write_atomic
from mlc_cli.errors import CheckpointError

_DAMAGED = (
    "is damaged or not a safetensors file",
    CheckpointError,
    "Take another checkpoint: a run folder holds best.safetensors and last.safetensors.",
)


def save_checkpoint(path: Path, state: dict[str, torch.Tensor], card: ModelCard) -> None:
    """Write weights and card atomically.

    Raises:
        MlcError: The file cannot be written.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    metadata = {"mlc": card_to_json(card)}

    def write(temporary: Path) -> None:
        save_file(tensors, str(temporary), metadata)
        seal(temporary)

    write_atomic(path, write)


def read_card(path: Path) -> ModelCard:
    """Read what a checkpoint knows, without its weights.

    Raises:
        CheckpointError: There is no such file, or it is not a checkpoint of mlc, or it is damaged.
    """
    with _open(path) as stream:
        metadata = stream.metadata() or {}
    sealed = check_sealed(path)
    if "mlc" not in metadata:
        raise CheckpointError(
            f"{path}: holds weights, but is not a checkpoint of mlc",
            "Weights of other origin start a training: mlc train --weights FILE.",
        )
    return card_from_json(metadata["mlc"], path, sealed=sealed)


def change_card(path: Path, seen: ModelCard, **changes: Any) -> None:
    """Write other values into a card as it was `seen`, but for label rules that the data have.

    Raises:
        CheckpointError: Another command has changed it since.
        MlcError: The file cannot be written.
    """
    card = read_card(path)
    if replace(card, rules=seen.rules) != seen:
        raise CheckpointError(f"{path}: another command has changed it meanwhile", "Call again.")
    save_checkpoint(path, read_state(path), replace(card, **changes))


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights of any safetensors file.

    Raises:
        CheckpointError: There is no such file, or it is damaged.
    """
    with _open(path) as stream, named_faults(path, *_DAMAGED):
        return {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint of mlc rather than weights of other origin.

    Raises:
        CheckpointError: It is damaged.
    """
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    with _open(path) as stream:
        return "mlc" in (stream.metadata() or {})


def _open(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint")
    with named_faults(path, *_DAMAGED):
        return safe_open(str(path), framework="pt")
