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


class Backbone(nn.Module):
    """A timm model without its classifier.

    Convolutional maps (NCHW), maps with channels last (NHWC, as Swin) and sequences of tokens
    with or without prefix tokens (as ViT) all become N×D×H×W.

    `freeze_bn` keeps the running statistics of batch normalisation as they are; that many leading
    stages, stem first, do not learn. `mean` and `std` of RGB, in 0..1, are those that the weights
    of timm expect.
    """

    def __init__(
        self, model: nn.Module, *, freeze_bn: bool = False, freeze_stages: int = 0
    ) -> None:
        super().__init__()
        self.model = model
        self.freeze_bn = freeze_bn
        self.channels = int(model.num_features)  # type: ignore[arg-type]
        self.mean: RGB = tuple(model.pretrained_cfg["mean"])  # type: ignore[index]
        self.std: RGB = tuple(model.pretrained_cfg["std"])  # type: ignore[index]
        self._channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        self._prefix = int(getattr(model, "num_prefix_tokens", 0))
        if freeze_stages:
            _freeze(model, freeze_stages)

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Feature map N×D×h×w of normalised images."""
        features: Tensor = self.model.forward_features(images_N3HW)  # type: ignore[operator]
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

    Args:
        name: timm's name, with a weights tag if one is wanted.
        size: Height and width of the images, for models that depend on them.
        pretrained: Fetch timm's weights.
        drop_path: Rate of stochastic depth.

    Raises:
        SettingsError: timm has no such model, or it does not fit the settings.
        WeightsError: The weights do not exist or cannot be fetched.
    """
    name = name.removeprefix("timm/")
    config = _config(name)
    arguments: dict[str, Any] = {"num_classes": 0, "global_pool": ""}
    if config.fixed_input_size:
        arguments["img_size"] = size
    if drop_path:
        arguments["drop_path_rate"] = drop_path
    if pretrained:
        return _create_pretrained(name, config.hf_hub_id, arguments)
    return _create(name, arguments)


def _config(name: str) -> Any:
    """What timm knows about a model and its weights."""
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
        model: nn.Module = timm.create_model(name, pretrained=False, **arguments)
    except (TypeError, AssertionError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"model.backbone: {name} cannot be made with these settings: {error}"
        ) from None
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
        model: nn.Module = timm.create_model(name, pretrained=True, **arguments)
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
