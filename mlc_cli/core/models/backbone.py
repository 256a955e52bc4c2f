"""Any timm model as a function from images to an N×D×H×W feature map."""

import difflib
import math
import socket
from typing import Any
from urllib.parse import urlparse

import huggingface_hub
import timm
import torch
from timm.models import PretrainedCfg, get_arch_pretrained_cfgs, group_parameters
from torch import Tensor, nn

from mlc_cli.errors import SettingsError, WeightsError

RGB = tuple[float, float, float]

_NORMS = ("fc_norm", "head.norm")
_BEHIND_POOLING = ("head.", "pre_logits.", "attn_pool.")
_CONVOLUTIONS = ("conv_head.", "norm_head.")
_BEHIND_POOLING_OF = dict.fromkeys(
    ("mobilenetv3", "fasternet", "ghostnet", "lcnetv2", "repghost"), _CONVOLUTIONS
) | {"lowformer": ("in_conv.", "pre_classifier.")}


class Backbone(nn.Module):
    """A timm model without its classifier.

    Convolutional maps (NCHW), maps with channels last (NHWC, as Swin) and sequences of tokens
    with or without prefix tokens (as ViT) all become N×D×H×W.

    `freeze_bn` keeps the running statistics of batch normalisation as they are; that many leading
    stages, stem first, do not learn. `mean` and `std` of RGB, in 0..1, are those that the weights
    of timm expect.

    The map is what the classifier of timm pools. Where a norm comes behind the pooling there (as
    in ConvNeXt and DaViT), it is applied to the map, in `head` if `last_norm`. What else is
    behind the pooling does not act, nor learn.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        freeze_bn: bool = False,
        freeze_stages: int = 0,
        last_norm: bool = True,
    ) -> None:
        super().__init__()
        self.model = model
        self.freeze_bn = freeze_bn
        self.channels = int(model.num_features)  # type: ignore[arg-type]
        self.mean: RGB = tuple(model.pretrained_cfg["mean"])  # type: ignore[index]
        self.std: RGB = tuple(model.pretrained_cfg["std"])  # type: ignore[index]
        self._channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        family = type(model).__module__.rpartition(".")[2]
        self._prefix = int(getattr(model, "num_prefix_tokens", family in ("volo", "coat")))
        self.last_norms = [n for n in _last_norms(model) if last_norm or n == "fc_norm"]
        behind = (*_BEHIND_POOLING, *_BEHIND_POOLING_OF.get(family, ()))
        for name, parameter in model.named_parameters():
            if name.startswith(behind) and not name.startswith((*self.last_norms, "fc_norm")):
                parameter.requires_grad = False
        if freeze_stages:
            _freeze(model, freeze_stages)

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Feature map N×D×h×w of normalised images."""
        features: Tensor = self.model.forward_features(images_N3HW)  # type: ignore[operator]
        if not isinstance(features, Tensor):
            raise TypeError("it gives several maps of features, and not one")
        for name in self.last_norms:
            features = self.model.get_submodule(name)(features)
        if features.ndim == 3:
            tokens_NTD = features[:, self._prefix :]
            image_height, image_width = images_N3HW.shape[-2:]
            height = _rows(tokens_NTD.shape[1], image_height / image_width)
            return torch.unflatten(tokens_NTD.mT, 2, (height, -1))
        return features.permute(0, 3, 1, 2) if self._channels_last else features

    def train(self, mode: bool = True) -> "Backbone":  # noqa: FBT001, FBT002
        """Training mode, except for batch normalisation whose statistics are frozen."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001
                learnt = [p.requires_grad for p in module.parameters()] or [True]
                if self.freeze_bn or not any(learnt):
                    module.eval()
        return self


def _last_norms(model: nn.Module) -> list[str]:
    """Norms of timm's classifier for what is pooled, if they have something to say."""
    modules = dict(model.named_modules())
    weights = {name: list(modules[name].parameters()) for name in _NORMS if name in modules}
    return [n for n, found in weights.items() if found and len(found[0]) == model.num_features]


def _rows(positions: int, aspect: float) -> int:
    """Rows of a grid: the divisor nearest to the image's aspect, as patches are cut off whole."""
    divisors = [rows for rows in range(1, positions + 1) if positions % rows == 0]
    return min(divisors, key=lambda rows: abs(math.log(rows * rows / (positions * aspect))))


def stages(model: nn.Module, *, coarse: bool = True) -> dict[str, int]:
    """Stage, or layer if not `coarse`, of each parameter of a timm model; 0 for the stem."""
    matcher = model.group_matcher(coarse=coarse)  # type: ignore[operator]
    return dict(group_parameters(model, matcher, reverse=True))


def layer_depths(model: nn.Module) -> dict[str, int]:
    """Layers between each parameter of a timm model and its output, by name; 0 for the last."""
    layer_of = stages(model, coarse=False)
    last = max(layer_of.values())
    return {name: last - layer for name, layer in layer_of.items()}


def _freeze(model: nn.Module, freeze_stages: int) -> None:
    stage_of = stages(model)
    last = max(stage_of.values())
    if freeze_stages > last + 1:
        raise SettingsError(
            f"model.freeze_stages: the backbone has {last + 1} stages, got {freeze_stages}"
        )
    for name, parameter in model.named_parameters():
        if stage_of[name] < freeze_stages:
            parameter.requires_grad = False


def create_backbone(
    name: str, size: tuple[int, int], *, pretrained: bool, drop_path: float = 0.0
) -> nn.Module:
    """Create a timm model without classifier and pooling.

    Raises:
        SettingsError: timm has no such model, or it does not fit the settings.
        WeightsError: The weights do not exist or cannot be fetched.
    """
    name = name.removeprefix("timm/")
    config = model_config(name)
    arguments: dict[str, Any] = {"num_classes": 0}
    if config.fixed_input_size:
        arguments["img_size"] = size
    if drop_path:
        arguments["drop_path_rate"] = drop_path
    if pretrained:
        return _create_pretrained(name, config.hf_hub_id, arguments)
    model = _create(name, arguments)
    for kept, value in model.state_dict().items():
        if not value.is_meta and value.isinf().any():
            raise SettingsError(
                f"model.backbone: {name} cannot be used: its {kept} is infinite by design, and in"
                " a checkpoint that is taken for damage"
            )
    return model


def model_config(name: str) -> Any:
    """What timm knows about a model and its weights.

    Raises:
        SettingsError: It knows none of that name.
    """
    architecture = name.split(".", maxsplit=1)[0]
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        raise SettingsError(
            f"model.backbone: timm has no model '{name}'",
            f"Did you mean {' or '.join(close)}?" if close else "See timm.list_models().",
        )
    try:
        return timm.get_pretrained_cfg(name) or PretrainedCfg()
    except RuntimeError:
        tags = ", ".join(filter(None, get_arch_pretrained_cfgs(architecture)))
        raise SettingsError(
            f"model.backbone: timm has no weights '{name}'",
            f"Known for {architecture}: {tags}." if tags else f"Name it {architecture}.",
        ) from None


def _create(name: str, arguments: dict[str, Any]) -> nn.Module:
    try:
        return _make(name, arguments, pretrained=False)
    except (TypeError, AssertionError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"model.backbone: {name} cannot be made with these settings: {error}"
        ) from None


def _make(name: str, arguments: dict[str, Any], *, pretrained: bool) -> nn.Module:
    """Without pooling, but where timm cannot do that, or has the last norm behind the pooling."""
    try:
        model: nn.Module = timm.create_model(
            name, pretrained=pretrained, global_pool="", **arguments
        )
    except (TypeError, AssertionError, ValueError, RuntimeError):
        return timm.create_model(name, pretrained=pretrained, **arguments)
    if hasattr(model, "fc_norm"):
        with torch.device("meta"):
            own = _last_norms(timm.create_model(name, **arguments))
        if "fc_norm" in own:
            return timm.create_model(name, pretrained=pretrained, **arguments)
    return model


def _create_pretrained(name: str, hub_id: str | None, arguments: dict[str, Any]) -> nn.Module:
    """Create with timm's weights; what cannot be had is said, never replaced by random ones."""
    hint = (
        "Without a connection, pass a file with --weights FILE (.safetensors or .pth), or"
        " start from random weights with `--set model.pretrained=false`."
    )
    if hub_id and _hub_is_out_of_reach(hub_id):
        raise WeightsError(
            f"the pretrained weights of {name} cannot be had: the hub is not reachable", hint
        )
    try:
        model = _make(name, arguments, pretrained=True)
    except Exception as error:
        _create(name, arguments)  # is the fault in the settings, it says so
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"the pretrained weights of {name} cannot be had: {reason}", hint
        ) from error
    return model


def stay_offline() -> None:
    """Fetch nothing from the hub in this process; what it has on this machine is read."""
    huggingface_hub.constants.HF_HUB_OFFLINE = True


def _hub_is_out_of_reach(hub_id: str) -> bool:
    """Whether the weights are neither cached nor to be had: asking would retry for a minute."""
    for file in ("model.safetensors", "pytorch_model.bin"):
        if isinstance(huggingface_hub.try_to_load_from_cache(hub_id, file), str):
            return False
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return True
    try:
        socket.getaddrinfo(urlparse(huggingface_hub.constants.ENDPOINT).hostname, 443)
    except OSError:
        return True
    return False
