"""Files of weights: where they are, and what is in them; no code in them is run."""

import contextlib
import pickle
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mlc_cli.core.system.files import named_faults
from mlc_cli.errors import WeightsError
from mlc_cli.text import some

BOOKKEEPING = ("torch.optim.", "torchreid.", "builtins.getattr", "builtins.dict")
"""Names in the state of old schedulers: it holds a function, and with it what that belongs to."""


@dataclass(frozen=True)
class WeightsFile:
    """What is in a file: tensors by name, and what a training kept beside them."""

    path: Path
    tensors: dict[str, Tensor]
    extras: Mapping[str, Any]

    def part(self, names: Iterable[str]) -> tuple[dict[str, Tensor], "WeightsFile"]:
        """The tensors of these names that are there, and the file without them."""
        taken = {name: self.tensors[name] for name in names if name in self.tensors}
        rest = {name: value for name, value in self.tensors.items() if name not in taken}
        return taken, replace(self, tensors=rest)


def is_old_tresnet(tensors: Mapping[str, Tensor]) -> bool:
    """Whether tensors are named as those of TResNet were before timm had it."""
    return any(re.search(r"(^|\.)body\.conv1\.0\.", name) for name in tensors)


def read_weights(path: Path) -> WeightsFile:
    """Read a `.safetensors` file, or any other that torch saved.

    Raises:
        WeightsError: The file is missing, damaged, or holds code.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file of weights")
    if path.suffix == ".safetensors":
        with named_faults(path, "is damaged or not a safetensors file", WeightsError):
            return WeightsFile(path, load_file(path), {})
    content = extras = _unpickle(path)
    for key in ("state_dict", "model"):
        if isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)}
    if not tensors:
        raise WeightsError(f"{path}: holds no tensors")
    return WeightsFile(path, tensors, {} if extras is content else extras)


def _unpickle(path: Path) -> Mapping[str, Any]:
    hint = "Files that hold code are refused. Save the state_dict alone, best as .safetensors."
    names: list[str] = []
    with contextlib.suppress(Exception):
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    inert: list[Any] = [(_Nothing, name) for name in names if name.startswith(BOOKKEEPING)]
    inert.append((lambda *_: {}, "collections.defaultdict"))
    with (
        named_faults(path, "cannot be read as plain tensors", WeightsError, hint),
        torch.serialization.safe_globals(inert),
    ):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:  # torch names a way to run what is in it
            code = [name for name in names if not name.startswith(BOOKKEEPING)]
            reason = f"asks for {some(code)}" if code else "is not what torch.save writes"
            raise WeightsError(f"{path}: {reason}", hint) from None
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: holds a {type(content).__name__}, not tensors by name")
    return content


class _Nothing:
    """Stands for what an old scheduler points to: nobody asks for it."""

    def __init__(self, *_: object) -> None:
        pass

    __setstate__ = __init__
