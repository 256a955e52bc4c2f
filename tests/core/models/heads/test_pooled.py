import numpy as np
import pytest
import torch

from mlc_cli.core.models.heads.pooled import CosineHead, LinearHead


def feature_map() -> torch.Tensor:
    return torch.randn(4, 6, 2, 3, generator=torch.Generator().manual_seed(0))


def pooled(pool: str) -> np.ndarray:
    values = feature_map().double().numpy()
    average, largest = values.mean((2, 3)), values.max((2, 3))
    return {"avg": average, "max": largest, "avgmax": average + largest}[pool]


@pytest.mark.parametrize("pool", ["avg", "max", "avgmax"])
@pytest.mark.parametrize("classes", [1, 5])
def test_linear_head(pool: str, classes: int) -> None:
    head = LinearHead(6, classes, pool=pool, dropout=0.0, scale=3.0)
    torch.nn.init.normal_(head.linear.bias)
    weight = head.linear.weight.detach().double().numpy()
    bias = head.linear.bias.detach().double().numpy()
    expected = 3 * (pooled(pool) @ weight.T + bias)
    np.testing.assert_allclose(head(feature_map()).detach(), expected, atol=1e-5)


@pytest.mark.parametrize("pool", ["avg", "max", "avgmax"])
@pytest.mark.parametrize("classes", [1, 5])
def test_cosine_head(pool: str, classes: int) -> None:
    head = CosineHead(6, classes, pool=pool, dropout=0.0, scale=9.0)
    weight = head.weight.detach().double().numpy()
    features = pooled(pool)
    expected = np.empty((4, classes))
    for n, c in np.ndindex(4, classes):
        lengths = np.linalg.norm(features[n]) * np.linalg.norm(weight[c])
        expected[n, c] = 9 * (features[n] @ weight[c]) / lengths
    np.testing.assert_allclose(head(feature_map()).detach(), expected, atol=1e-5)


@pytest.mark.parametrize("kind", [LinearHead, CosineHead])
def test_dropout_acts_in_training_alone(kind: type[LinearHead] | type[CosineHead]) -> None:
    head = kind(6, 5, pool="avg", dropout=0.5, scale=1.0)
    torch.manual_seed(0)
    head.train()
    assert not torch.equal(head(feature_map()), head(feature_map()))
    head.eval()
    assert torch.equal(head(feature_map()), head(feature_map()))


@pytest.mark.parametrize("kind", [LinearHead, CosineHead])
def test_what_is_reduced_once_gives_the_same_logits(
    kind: type[LinearHead] | type[CosineHead],
) -> None:
    head = kind(6, 5, pool="avgmax", dropout=0.1, scale=2.0).eval()
    reduced = head.reduce(feature_map())
    assert reduced.shape == (4, 6)
    assert torch.equal(head.classify(reduced), head(feature_map()))


def test_scale_is_no_part_of_the_weights() -> None:
    head = LinearHead(6, 5, pool="avg", dropout=0.0, scale=2.0)
    assert set(head.state_dict()) == {"linear.weight", "linear.bias"}
    assert float(head.scale) == 2


def test_linear_logits_are_float32_under_autocast() -> None:
    """Rounded to bfloat16, of 256 scores near each other most would be the same."""
    head = LinearHead(6, 1, pool="avg", dropout=0.0, scale=1.0)
    features = torch.linspace(0.9, 1.1, 256)[:, None] * torch.ones(6)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head.classify(features)
    assert logits.dtype == torch.float32
    assert len(logits.unique()) > 250
