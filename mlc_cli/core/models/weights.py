"""Starting weights from files and URLs, with a word on every tensor that does not fit."""

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from mlc_cli.core.checkpoint import has_card, read_card, read_state
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.errors import CheckpointError, WeightsError

PREFIXES = ("module.", "_orig_mod.", "backbone.", "model.")


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a file.

    Attributes:
        source: The file.
        loaded: Tensors that were loaded.
        missing: Tensors of the model that keep their initial values.
        unused: Tensors of the file that the model has no place for.
        mismatched: Tensors whose shapes differ, with both shapes.
    """

    source: str
    loaded: int
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: tuple[str, ...]


def load_backbone(model: nn.Module, path: Path) -> LoadReport:
    """Load a backbone from a file of any origin.

    Args:
        model: The timm model without its classifier.
        path: A `.safetensors` file, or a `.pth` file of tensors alone.

    Raises:
        WeightsError: The file cannot be read, or nothing in it fits.
    """
    state = _without_prefix(read_weights(path), model.state_dict())
    own = model.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    report = LoadReport(
        source=str(path),
        loaded=len(fitting),
        missing=tuple(k for k in own if k not in state and not k.endswith("num_batches_tracked")),
        unused=tuple(k for k in state if k not in own),
        mismatched=tuple(
            f"{k}: file {tuple(v.shape)}, model {tuple(own[k].shape)}"
            for k, v in state.items()
            if k in own and own[k].shape != v.shape
        ),
    )
    if len(fitting) < len(own) / 2:
        raise WeightsError(
            f"{path}: only {len(fitting)} of the {len(own)} tensors of the backbone are in it",
            f"It is for another architecture: its first tensors are {', '.join(list(state)[:3])}.",
        )
    model.load_state_dict(fitting, strict=False)
    return report


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors` or `.pth` file; no code in it is run.

    Raises:
        WeightsError: The file is missing, damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file of weights")
    if path.suffix == ".safetensors":
        try:
            return read_state(path)
        except CheckpointError as error:
            raise WeightsError(error.message) from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path}: cannot be read as plain tensors: {' '.join(str(error).split())[:200]}",
            "Files that hold code are refused. Save the state_dict alone, best as .safetensors.",
        ) from None
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: holds a {type(content).__name__}, not tensors by name")
    for key in ("state_dict", "model"):
        if isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)}
    if not tensors:
        raise WeightsError(f"{path}: holds no tensors")
    return tensors


def _without_prefix(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Strip the wrappers' prefixes, where the bare name is the model's."""
    stripped = {}
    for name, tensor in state.items():
        bare = name
        while bare not in own and bare.startswith(PREFIXES):
            bare = bare.split(".", maxsplit=1)[1]
        stripped[bare if bare in own else name] = tensor
    return stripped


def load_checkpoint(
    model: Classifier, path: Path, classes: list[str] | list[int], *, reset_head: bool
) -> LoadReport:
    """Load a checkpoint of mlc, head included.

    Args:
        model: With a head for `classes`.
        path: The checkpoint.
        classes: Class names of the model.
        reset_head: Leave the head as it is if the checkpoint is for other classes.

    Raises:
        WeightsError: The classes differ and `reset_head` is off, or a tensor does not fit.
    """
    card, state = read_card(path), read_state(path)
    same = list(card.classes) == list(classes)
    if not same and not reset_head:
        raise WeightsError(
            f"{path}: its {len(card.classes)} classes are not the {len(classes)} of the data set",
            "To keep the backbone and train a new head: `--set model.on_class_change=reset_head`.",
        )
    left_out = () if same else tuple(k for k in state if k.startswith("head."))
    kept = {k: v for k, v in state.items() if k not in left_out}
    own = model.state_dict()
    wrong = [k for k in kept if k not in own or own[k].shape != kept[k].shape]
    missing = tuple(k for k in own if k not in kept)
    if wrong or (same and missing):
        raise WeightsError(
            f"{path}: is for another model: {', '.join((*wrong, *missing)[:3])} do not fit",
            f"It was trained with backbone {card.model.get('backbone')} and head"
            f" {card.model.get('head', {}).get('name')}.",
        )
    model.load_state_dict(kept, strict=False)
    return LoadReport(str(path), len(kept), missing, left_out, ())


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint of mlc rather than weights of other origin."""
    return path.suffix == ".safetensors" and path.is_file() and has_card(path)


def fetch(source: str, sha256: str | None) -> Path:
    """Path of the weights; a URL is downloaded once, and checked.

    Raises:
        WeightsError: The URL has no checksum or cannot be fetched, or the checksum is wrong.
    """
    if urlparse(source).scheme not in ("http", "https"):
        return Path(source).expanduser()
    if not sha256:
        raise WeightsError(
            f"{source}: a download needs its checksum", "Add `--set model.weights_sha256=HEX`."
        )
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    suffix = Path(urlparse(source).path).suffix or ".pth"
    target = folder / f"mlc-{sha256[:16]}{suffix}"
    if not target.is_file():
        try:
            torch.hub.download_url_to_file(source, str(target), progress=False)
        except (OSError, HTTPException) as error:
            raise WeightsError(f"{source}: cannot be fetched: {error}") from None
    if _sha256(target) != sha256.lower():
        target.unlink()
        raise WeightsError(f"{source}: the file that came has another checksum than {sha256}")
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
