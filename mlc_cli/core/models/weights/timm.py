"""Weights of a backbone, in the names of timm, of today and of before."""

import re
from collections.abc import Mapping

from timm.models.tresnet import checkpoint_filter_fn
from torch import Tensor, nn

from mlc_cli.core.models.weights.files import WeightsFile
from mlc_cli.core.models.weights.report import LoadReport, mismatches
from mlc_cli.errors import WeightsError

PREFIXES = ("module.", "nncf_module.", "_orig_mod.", "backbone.", "model.")
OLD_TRESNET = re.compile(r"(^|\.)body\.conv1\.0\.")


def load_backbone(model: nn.Module, file: WeightsFile) -> LoadReport:
    """Load a backbone from a file of any origin.

    Args:
        model: The timm model without its classifier.
        file: With its tensors under the names of timm, below prefixes of wrappers or not.

    Raises:
        WeightsError: Nothing in it fits.
    """
    own = model.state_dict()
    state = _without_prefix(_in_names_of_today(file.tensors), own)
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    if len(fitting) < len(own) / 2:
        raise WeightsError(
            f"{file.path}: only {len(fitting)} of the {len(own)} tensors of the backbone are in it",
            f"It is for another architecture: its first tensors are {', '.join(list(state)[:3])}.",
        )
    model.load_state_dict(fitting, strict=False)
    return LoadReport(
        source=str(file.path),
        loaded=len(fitting),
        missing=tuple(k for k in own if k not in state and not k.endswith("num_batches_tracked")),
        unused=tuple(k for k in state if k not in own),
        mismatched=mismatches(state, own),
    )


def fits(model: nn.Module, file: WeightsFile) -> bool:
    """Whether a file has every tensor of a timm model without its classifier."""
    own = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    state = _without_prefix(_in_names_of_today(file.tensors), own)
    return all(name in state and state[name].shape == v.shape for name, v in own.items())


def is_old_tresnet(state: Mapping[str, Tensor]) -> bool:
    """Whether the tensors are named as those of TResNet were before timm had it."""
    return any(OLD_TRESNET.search(name) for name in state)


def _in_names_of_today(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """TResNets were made with InPlaceABN, which takes |weight| + 1e-5 for the weight."""
    if not is_old_tresnet(state):
        return state
    renamed: dict[str, Tensor] = checkpoint_filter_fn(state, None)  # type: ignore[no-untyped-call]
    return renamed


def _without_prefix(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Strip the wrappers' prefixes, where the bare name is the model's."""
    stripped = {}
    for name, tensor in state.items():
        bare = name
        while bare not in own and bare.startswith(PREFIXES):
            bare = bare.split(".", maxsplit=1)[1]
        stripped[bare if bare in own else name] = tensor
    return stripped
