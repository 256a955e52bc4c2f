"""The systems whose checkpoints are read, stated anew from their description, in float64."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from mlc_cli.core.models.build import BuiltModel, build_model
from mlc_cli.core.models.heads.graph import LabelGraph
from mlc_cli.settings.model import ModelSettings

SIZE = (64, 64)
State = dict[str, Tensor]


def _random_backbone(name: str) -> nn.Module:
    model = timm.create_model(name, num_classes=0, global_pool="").eval()
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            noise = 0.3 * torch.rand_like(value)
            value.add_(noise if key.endswith(("running_var", "running_mean")) else noise - 0.15)
    return model


def _random_decoder(channels: int, classes: int, dim: int, ffn: int) -> State:
    """An ML-Decoder under the names that it had."""
    groups = min(100, classes)
    shapes = {
        "embed_standart.weight": (dim, channels),
        "embed_standart.bias": (dim,),
        "query_embed.weight": (groups, dim),
        "layers.0.norm1.weight": (dim,),
        "layers.0.norm1.bias": (dim,),
        "layers.0.norm2.weight": (dim,),
        "layers.0.norm2.bias": (dim,),
        "layers.0.norm3.weight": (dim,),
        "layers.0.norm3.bias": (dim,),
        "layers.0.multihead_attn.in_proj_weight": (3 * dim, dim),
        "layers.0.multihead_attn.in_proj_bias": (3 * dim,),
        "layers.0.multihead_attn.out_proj.weight": (dim, dim),
        "layers.0.multihead_attn.out_proj.bias": (dim,),
        "layers.0.linear1.weight": (ffn, dim),
        "layers.0.linear1.bias": (ffn,),
        "layers.0.linear2.weight": (dim, ffn),
        "layers.0.linear2.bias": (dim,),
        "duplicate_pooling": (groups, dim, int(classes / groups + 0.999)),
        "duplicate_pooling_bias": (classes,),
    }
    return {name: torch.randn(shape) / 2 for name, shape in shapes.items()}


@torch.no_grad()
def _decode(state: State, map_NDHW: Tensor, *, cosine: bool) -> Tensor:
    """Unscaled logits of an ML-Decoder, group by group, in float64."""
    p = {name: value.double() for name, value in state.items()}
    dim, classes = p["query_embed.weight"].shape[1], len(p["duplicate_pooling_bias"])

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        unit = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return unit * p[f"layers.0.{name}.weight"] + p[f"layers.0.{name}.bias"]

    tokens = linear("embed_standart", map_NDHW.double().flatten(2).transpose(1, 2))
    tokens = torch.where(tokens > 0, tokens, tokens * (0.2 if cosine else 0.0))
    attention = nn.MultiheadAttention(dim, 8, batch_first=True).double()
    prefix = "layers.0.multihead_attn."
    attention.load_state_dict(
        {name.removeprefix(prefix): v for name, v in p.items() if name.startswith(prefix)}
    )
    queries = p["query_embed.weight"].expand(len(tokens), -1, -1)
    x = norm("norm1", queries + queries)
    x = norm("norm2", x + attention(x, tokens, tokens)[0])
    x = norm("norm3", x + linear("layers.0.linear2", linear("layers.0.linear1", x).clamp(min=0)))
    columns = []
    for group, vectors in enumerate(p["duplicate_pooling"]):
        of_group = x[:, group]
        if cosine:
            of_group = of_group / of_group.norm(dim=1, keepdim=True)
            vectors = vectors / vectors.norm(dim=0)  # noqa: PLW2901
        columns.append(of_group @ vectors)
    return torch.cat(columns, 1)[:, :classes] + p["duplicate_pooling_bias"]


@dataclass(frozen=True)
class OldDecoder:
    """An ML-Decoder as it was."""

    state: State

    def named(self, prefix: str) -> State:
        """Its tensors below a prefix."""
        return {prefix + name: value for name, value in self.state.items()}

    def __call__(self, map_NDHW: Tensor, *, cosine: bool) -> Tensor:
        """Unscaled logits."""
        return _decode(self.state, map_NDHW, cosine=cosine)


@pytest.fixture
def old_decoder() -> Callable[..., OldDecoder]:
    """Make an ML-Decoder with random weights."""

    def make(channels: int, classes: int, dim: int = 16, ffn: int = 24) -> OldDecoder:
        torch.manual_seed(classes)
        return OldDecoder(_random_decoder(channels, classes, dim, ffn))

    return make


@pytest.fixture
def random_backbone() -> Callable[[str], nn.Module]:
    """Make a timm model in which no tensor is trivial."""

    def make(name: str) -> nn.Module:
        torch.manual_seed(0)
        return _random_backbone(name)

    return make


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., BuiltModel]:
    """Save a content as torch does, and build a model that starts from it."""

    def build(
        content: object,
        classes: list[str],
        backbone: str,
        head: dict[str, object],
        graph: LabelGraph | None = None,
        **more: object,
    ) -> BuiltModel:
        path = tmp_path / "main_model.pth.tar-1"
        torch.save(content, path)
        settings = {"backbone": backbone, "head": head, "weights": str(path), **more}
        return build_model(ModelSettings.model_validate(settings), classes, SIZE, graph)

    return build
