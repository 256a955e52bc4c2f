"""Heat maps against the logits that they take apart."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from mlc_cli.core.inference.explain import evidence
from mlc_cli.core.models.backbone import Backbone, create_backbone
from mlc_cli.core.models.heads.base import Head
from mlc_cli.core.models.heads.graph import Constant, GraphHead
from mlc_cli.core.models.heads.ml_decoder import MLDecoder
from mlc_cli.core.models.heads.pooled import CosineHead, LinearHead
from mlc_cli.errors import MlcError

CLASSES = [4, 0, 2]


def feature_map(channels: int = 6) -> Tensor:
    return torch.randn(3, channels, 2, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pool", ["avg", "max", "avgmax"])
@torch.inference_mode()
def test_a_linear_logit_is_the_mean_of_its_map_and_the_bias(pool: str) -> None:
    head = LinearHead(6, 5, pool=pool, dropout=0.5, scale=3.0).eval()
    torch.nn.init.normal_(head.linear.bias)
    torch.nn.init.normal_(head.linear.weight)
    maps = evidence(head, feature_map(), CLASSES)
    assert maps.shape == (3, 3, 2, 5)
    expected = (head(feature_map()) - head.scale * head.linear.bias)[:, CLASSES]
    torch.testing.assert_close(maps.mean((2, 3)), expected)


@pytest.mark.parametrize("pool", ["avg", "max", "avgmax"])
@torch.inference_mode()
def test_a_cosine_logit_is_the_mean_of_its_map(pool: str) -> None:
    head = CosineHead(6, 5, pool=pool, dropout=0.5, scale=9.0).eval()
    maps = evidence(head, feature_map(), CLASSES)
    torch.testing.assert_close(maps.mean((2, 3)), head(feature_map())[:, CLASSES])


@torch.inference_mode()
def test_a_graph_logit_is_the_mean_of_its_map_on_weighted_channels() -> None:
    pooled = CosineHead(6, 5, pool="avgmax", dropout=0.5, scale=9.0)
    head = GraphHead(Constant(torch.rand(6)), pooled).eval()
    maps = evidence(head, feature_map(), CLASSES)
    torch.testing.assert_close(maps.mean((2, 3)), head(feature_map())[:, CLASSES])


@torch.inference_mode()
def test_a_linear_map_is_the_head_at_each_position() -> None:
    head = LinearHead(6, 5, pool="avg", dropout=0.0, scale=1.0).eval()
    maps = evidence(head, feature_map(), [1])
    there = head(feature_map()[:, :, 1:2, 3:4]) - head.linear.bias
    torch.testing.assert_close(maps[:, 0, 1, 3], there[:, 1])


@torch.inference_mode()
def test_max_pooling_counts_a_channel_where_it_is_strongest_alone() -> None:
    head = LinearHead(2, 1, pool="max", dropout=0.0, scale=1.0).eval()
    head.linear.weight.copy_(torch.tensor([[1.0, 10.0]]))
    features = torch.zeros(1, 2, 1, 3)
    features[0, 0] = torch.tensor([[5.0, 4.0, 1.0]])
    features[0, 1] = torch.tensor([[1.0, 1.0, 2.0]])
    maps = evidence(head, features, [0])
    torch.testing.assert_close(maps[0, 0] / 3, torch.tensor([[5.0, 0.0, 20.0]]))


def literal_attention(head: MLDecoder, features: Tensor) -> np.ndarray:
    """The formula, a head and a position at a time, in float64."""
    head = head.double()
    tokens = head.activation(head.embed(features.double().flatten(2).mT))
    queries = head.query_norm(2 * head.queries)
    dim = queries.shape[1]
    width = dim // head.heads
    query = head.attention.query(queries).numpy()
    key = head.attention.key_value(tokens).numpy()[..., :dim]
    result = np.zeros((len(key), len(query), key.shape[1]))
    for n, g, h in np.ndindex(len(key), len(query), head.heads):
        part = slice(h * width, (h + 1) * width)
        similar = np.exp(key[n, :, part] @ query[g, part] / math.sqrt(width))
        result[n, g] += similar / similar.sum() / head.heads
    return result


@pytest.mark.parametrize("groups", [None, 2])
@torch.inference_mode()
def test_the_attention_of_the_group_of_a_class(groups: int | None) -> None:
    torch.manual_seed(0)
    head = MLDecoder(6, 5, groups=groups, dim=16, heads=4, ffn_dim=8).eval()
    maps = evidence(head, feature_map(), CLASSES)
    assert maps.shape == (3, 3, 2, 5)
    torch.testing.assert_close(maps.sum((2, 3)), torch.ones(3, 3))
    group = {None: [4, 0, 2], 2: [1, 0, 0]}[groups]
    expected = literal_attention(head, feature_map())[:, group].reshape(3, 3, 2, 5)
    np.testing.assert_allclose(maps, expected, atol=1e-6)


@torch.inference_mode()
def test_attention_maps_are_those_that_the_decoder_uses() -> None:
    """Where a token is attended to alone, changing any other changes nothing."""
    torch.manual_seed(0)
    head = MLDecoder(6, 5, dim=16, heads=4, ffn_dim=8).eval()
    head.attention.key_value.weight[:16] *= 400
    features = feature_map()[:1]
    maps = evidence(head, features, [0])[0, 0]
    unseen = maps < 1e-9
    assert unseen.any()
    changed = features.clone()
    changed[0, :, unseen] *= 1.01
    torch.testing.assert_close(head(changed)[0, 0], head(features)[0, 0])


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "test_resnet", "test_vit"])
@torch.inference_mode()
def test_maps_have_the_grid_of_images_that_are_not_square(name: str) -> None:
    size = (64, 160)
    backbone = Backbone(create_backbone(name, size, pretrained=False)).eval()
    features = backbone(torch.randn(1, 3, *size))
    head = LinearHead(backbone.channels, 5, pool="avg", dropout=0.0, scale=1.0).eval()
    maps = evidence(head, features, [0, 1])
    rows, columns = maps.shape[2:]
    assert maps.shape[:2] == (1, 2)
    assert columns / rows == 2.5
    expected = head(features)[:, :2] - head.linear.bias[:2]
    torch.testing.assert_close(maps.mean((2, 3)), expected, atol=1e-5, rtol=1e-5)


def test_no_class_gives_no_map() -> None:
    head = LinearHead(6, 5, pool="avg", dropout=0.0, scale=1.0).eval()
    assert evidence(head, feature_map(), []).shape == (3, 0, 2, 5)


def test_a_head_of_another_kind_is_refused() -> None:
    class Other(Head):
        def reduce(self, map_NDHW: Tensor) -> Tensor:
            return map_NDHW

        def classify(self, reduced: Tensor) -> Tensor:
            return reduced

    with pytest.raises(MlcError, match="Other"):
        evidence(Other(1.0), feature_map(), [0])
