import math

import pytest
import torch

from mlc_cli.core.models.heads.base import auto_scale, cosine, pool_map


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (1, 7),
        (2, 7),
        (20, 7),
        (80, 9.7704),
        (81, 9.7985),
        (500, 13.8918),
        (10**6, 30),
    ],
)
def test_auto_scale(classes: int, expected: float) -> None:
    assert auto_scale(classes) == pytest.approx(expected, abs=5e-5)


def test_auto_scale_is_the_formula_between_its_bounds() -> None:
    assert auto_scale(300) == pytest.approx(math.sqrt(5) * math.log(299))


def test_pooling() -> None:
    features = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    average, largest = features.flatten(2).mean(2), features.flatten(2).max(2).values
    torch.testing.assert_close(pool_map(features, "avg"), average)
    torch.testing.assert_close(pool_map(features, "max"), largest)
    torch.testing.assert_close(pool_map(features, "avgmax"), average + largest)


def test_cosine_is_float32_under_autocast() -> None:
    features, weights = torch.randn(4, 64), torch.randn(3, 64)
    with torch.autocast("cpu", torch.bfloat16):
        found = cosine(features.bfloat16(), weights)
    expected = torch.cosine_similarity(features.bfloat16().float()[:, None], weights[None], dim=2)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_cosine_of_nothing_is_zero() -> None:
    assert torch.equal(cosine(torch.zeros(1, 8), torch.randn(3, 8)), torch.zeros(1, 3))
