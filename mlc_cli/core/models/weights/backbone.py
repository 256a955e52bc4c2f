"""Weights of a backbone, in the names of timm, of today and of before."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from timm.models.tresnet import checkpoint_filter_fn
from torch import Tensor, nn

from mlc_cli.core.models.weights.files import WeightsFile, is_old_tresnet
from mlc_cli.errors import WeightsError
from mlc_cli.text import some

PREFIXES = ("module.", "nncf_module.", "_orig_mod.", "backbone.", "model.")
State = Mapping[str, Tensor]


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a file.

    Attributes:
        missing: Tensors of the model that keep their initial values.
        unused: Tensors of the file that the model has no place for.
        mismatched: Tensors whose shapes differ, with both shapes.
        origin: Whose checkpoint it was recognised as; empty for weights of a backbone.
        head: Whether the head came along with the backbone.
        notes: What was assumed, and why something was not taken.
        kept: Places of the classes that the head knows, where others are new.
    """

    source: str
    loaded: int
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: tuple[str, ...]
    origin: str = ""
    head: bool = False
    notes: tuple[str, ...] = ()
    kept: tuple[int, ...] | None = None

    @property
    def whole(self) -> bool:
        """Whether the file gave the model all that it has."""
        return self.head and not self.missing and not self.mismatched


def compare(state: State, own: State) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Tensors that `state` lacks, that only it has, and of other shapes (with both of these)."""
    return (
        tuple(name for name in own if name not in state),
        tuple(name for name in state if name not in own),
        tuple(
            f"{name}: file {tuple(value.shape)}, model {tuple(own[name].shape)}"
            for name, value in state.items()
            if name in own and own[name].shape != value.shape
        ),
    )


def load_backbone(model: nn.Module, file: WeightsFile) -> LoadReport:
    """Load a timm model without its classifier from a file of any origin.

    Its tensors may be below prefixes of wrappers.

    Raises:
        WeightsError: Nothing in it fits.
    """
    own = model.state_dict()
    state, resampled = resized(model, _in_names_of_today(file.tensors, own))
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    if len(fitting) < len(own) / 2:
        raise WeightsError(
            f"{file.path}: only {len(fitting)} of the {len(own)} tensors of the backbone are in it",
            f"It is for another architecture: its first tensors are {', '.join(list(state)[:3])}.",
        )
    model.load_state_dict(fitting, strict=False)
    missing, unused, mismatched = compare(state, own)
    missing = tuple(name for name in missing if not name.endswith("num_batches_tracked"))
    return LoadReport(str(file.path), len(fitting), missing, unused, mismatched, notes=resampled)


def resized(
    model: nn.Module, state: dict[str, Tensor], prefix: str = ""
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Position embeddings and the like for the size of a timm model's images, as timm does it.

    The tensors have its names behind a prefix; a note comes with them if some were resampled.
    """
    own = {prefix + name: value for name, value in model.state_dict().items()}
    _, _, others = compare(state, own)
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if not others or convert is None:
        return state, ()
    parts = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    try:
        found = {prefix + name: value for name, value in convert(dict(parts), model).items()}
    except Exception:  # it is for other models than this file: what does not fit is told as ever
        return state, ()
    better = [k for k in own if k in found and k in state and found[k].shape == own[k].shape
              and found[k].shape != state[k].shape]  # fmt: skip
    note = f"resampled for the size of the images: {some(better, 3)}"
    return {**state, **{name: found[name] for name in better}}, (note,) if better else ()


def in_names_of(own: State, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of older files, where the last norm of ViTs that pool a mean had another name."""
    names = {name: name.replace(".norm.", ".fc_norm.") for name in state if name not in own}
    return {names.get(name, name): value for name, value in state.items()}


def fits(model: nn.Module, file: WeightsFile) -> bool:
    """Whether a file has every tensor of a timm model without its classifier."""
    own = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    missing, _, mismatched = compare(_in_names_of_today(file.tensors, own), own)
    return not missing and not mismatched


def _in_names_of_today(state: State, own: State) -> dict[str, Tensor]:
    """Without the prefixes of wrappers, where the bare name is the model's.

    TResNets were made with InPlaceABN, which takes |weight| + 1e-5 for the weight.
    """
    if is_old_tresnet(state):
        state = checkpoint_filter_fn(state, None)  # type: ignore[no-untyped-call]
    stripped = {}
    for name, tensor in state.items():
        bare = name
        while bare not in own and bare.startswith(PREFIXES):
            bare = bare.split(".", maxsplit=1)[1]
        stripped[bare if bare in own else name] = tensor
    return stripped
