"""Graph heads against literal formulas in float64."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mlc_cli.core.models.heads.graph import (
    GraphAttention,
    GraphConvolution,
    GraphHead,
    GraphWeights,
    LabelGraph,
    normalised,
)
from mlc_cli.core.models.heads.pooled import CosineHead, LinearHead
from mlc_cli.core.models.label_graph import normalised_links

LAYERS = {"gcn": GraphConvolution, "gat": GraphAttention}
Make = Callable[..., GraphHead]


def feature_map() -> Tensor:
    return torch.randn(4, 6, 2, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def head() -> Make:
    def make(layer: str = "gcn", kind: type = LinearHead, pool: str = "avg") -> GraphHead:
        torch.manual_seed(1)
        rng = np.random.default_rng(0)
        links_CC = normalised_links(rng.random((5, 5)) * (1 - np.eye(5)), 0.6, 0.25)
        graph = LabelGraph(torch.randn(5, 7), torch.from_numpy(links_CC.astype(np.float32)))
        weights = GraphWeights(graph, LAYERS[layer](7, 8), LAYERS[layer](8, 6))
        return GraphHead(weights, kind(6, 5, pool=pool, dropout=0.0, scale=3.0)).eval()

    return make


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.2 * x)


def convolved(layer: GraphConvolution, nodes: np.ndarray, links: np.ndarray) -> np.ndarray:
    return leaky(links @ nodes @ layer.weight.detach().double().numpy())


def attended(layer: GraphAttention, nodes: np.ndarray, links: np.ndarray) -> np.ndarray:
    features = nodes @ layer.weight.detach().double().numpy()
    own, other = layer.attention.detach().double().numpy().T
    result = np.empty_like(features)
    for i in range(len(nodes)):
        neighbours = [j for j in range(len(nodes)) if links[i, j] != 0]
        scores = np.array([leaky(own @ features[i] + other @ features[j]) for j in neighbours])
        shares = np.exp(scores) / np.exp(scores).sum()
        mean = sum(s * features[j] for s, j in zip(shares, neighbours, strict=True))
        result[i] = leaky(np.where(mean > 0, mean, np.expm1(mean)))
    return result


@pytest.mark.parametrize("layer", LAYERS)
def test_weights_of_channels(head: Make, layer: str) -> None:
    weights = head(layer).weights
    assert isinstance(weights, GraphWeights)
    step = convolved if layer == "gcn" else attended
    nodes, links = (t.double().numpy() for t in (weights.vectors_CE, weights.links_CC))
    channels = step(weights.second, step(weights.first, nodes, links), links)
    expected = 1 / (1 + np.exp(-channels.max(0)))
    np.testing.assert_allclose(weights().detach(), expected, atol=1e-6)


@pytest.mark.parametrize("kind", [LinearHead, CosineHead])
@pytest.mark.parametrize("pool", ["avg", "max", "avgmax"])
@torch.no_grad()
def test_weighting_the_map_is_weighting_the_pooled_features(
    head: Make, kind: type, pool: str
) -> None:
    made = head("gcn", kind, pool)
    weighted_NDHW = feature_map() * made.weights()[:, None, None]
    torch.testing.assert_close(made(feature_map()), made.pooled(weighted_NDHW))


@pytest.mark.parametrize("layer", LAYERS)
@torch.no_grad()
def test_folded_is_the_same_without_the_graph(head: Make, layer: str) -> None:
    made = head(layer)
    folded = made.folded()
    assert torch.equal(folded(feature_map()), made(feature_map()))
    assert set(folded.state_dict()) == {
        "weights.value",
        "pooled.linear.weight",
        "pooled.linear.bias",
    }


@pytest.mark.parametrize("layer", LAYERS)
def test_every_parameter_of_the_graph_learns(head: Make, layer: str) -> None:
    made = head(layer).train()
    made(feature_map()).square().sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_graph_itself_is_fixed_and_in_the_checkpoint(head: Make) -> None:
    made = head()
    assert {"weights.vectors_CE", "weights.links_CC"} <= set(made.state_dict())
    assert not {"weights.vectors_CE", "weights.links_CC"} & dict(made.named_parameters()).keys()


def test_attention_is_dropped_out_in_training_only(head: Make) -> None:
    made = head("gat")
    assert torch.equal(made.weights(), made.weights())
    made.train()
    assert not torch.equal(made.weights(), made.weights())


def test_weights_stay_in_full_precision_under_autocast(head: Make) -> None:
    made = head()
    exact = made.weights()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(made.weights(), exact)


@pytest.mark.parametrize("loss", ["am_binary", "asl"])
@pytest.mark.parametrize("layer", LAYERS)
@torch.no_grad()
def test_equals_the_published_modules(layer: str, loss: str) -> None:
    """Inputs, weights and outputs of the published code's graph heads, as it computed them."""
    stored = np.load(Path(__file__).with_name("golden_graph_heads.npz"))
    kind = {"gcn": "gcn", "gat": "gan"}[layer]
    golden = {
        key.removeprefix(f"{kind}/{loss}/"): torch.from_numpy(stored[key])
        for key in stored.files
        if key.startswith(f"{kind}/{loss}/")
    }
    links_CC = torch.from_numpy(normalised(golden["A"].double().numpy())).float()
    layers = []
    for name in ("gc1", "gc2"):
        weight = golden.get(f"{name}.weight", golden.get(f"{name}.W"))
        made = LAYERS[layer](*weight.shape)
        made.weight.copy_(weight)
        if layer == "gat":
            made.attention.copy_(golden[f"{name}.a"].reshape(2, -1).T)
        layers.append(made)
    cosine = loss == "am_binary"
    pooled = (CosineHead if cosine else LinearHead)(8, 6, pool="avg", dropout=0.0, scale=1.0)
    state = {"weight": golden["head.weight"].T} if cosine else {
        "linear.weight": golden["head.weight"], "linear.bias": golden["head.bias"],
    }  # fmt: skip
    pooled.load_state_dict(state)
    head = GraphHead(GraphWeights(LabelGraph(golden["inp"], links_CC), *layers), pooled).eval()
    torch.testing.assert_close(head.weights(), golden["channel_weights"], atol=1e-6, rtol=0)
    torch.testing.assert_close(head(golden["map"]), golden["logits"], atol=1e-6, rtol=0)


def test_graph_attention_starts_as_published() -> None:
    """Xavier, uniform, times 1.414: of W as it is, of the attention as one column of 2 D."""
    torch.manual_seed(0)
    layer = GraphAttention(300, 500)
    weight, attention = layer.weight.detach(), layer.attention.detach()
    for values, ends in ((weight, 300 + 500), (attention, 2 * 500 + 1)):
        assert float(values.abs().max()) == pytest.approx(1.414 * (6 / ends) ** 0.5, rel=0.01)
        assert float(values.std()) == pytest.approx(1.414 * (2 / ends) ** 0.5, rel=0.05)
