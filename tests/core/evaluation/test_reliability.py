"""Reliability against scikit-learn, ECE against a literal loop."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from mlc_cli.core.evaluation.reliability import reliability, share_interval


@pytest.fixture(params=[3, 10, 1000], ids="{} levels".format)
def data(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, many of them on the edges of bins, and targets with unknown labels."""
    rng = np.random.default_rng(request.param)
    probabilities_NC = (rng.random((300, 4)) * request.param).round() / request.param
    targets_NC = (rng.random((300, 4)) < probabilities_NC**2).astype(np.int8)
    targets_NC[rng.random((300, 4)) < 0.1] = -1
    return probabilities_NC, targets_NC


def test_the_curve_is_that_of_scikit_learn(data: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities_NC, targets_NC = data
    known = targets_NC >= 0
    expected = calibration_curve(targets_NC[known], probabilities_NC[known], n_bins=10)
    bins = reliability(probabilities_NC, targets_NC)
    probability_K, counts_K = bins.probability_K, bins.counts_K
    share_K = bins.present_K / np.where(counts_K, counts_K, np.nan)
    filled = counts_K > 0
    np.testing.assert_allclose(share_K[filled], expected[0])
    np.testing.assert_allclose(probability_K[filled], expected[1])
    assert counts_K.sum() == known.sum()


def literal_ece(probabilities: np.ndarray, targets: np.ndarray, bins: int) -> float:
    total = 0.0
    for k in range(bins):
        low, high = k / bins, (k + 1) / bins
        inside = (probabilities > low) & (probabilities <= high)
        if k == 0:
            inside |= probabilities == 0
        if inside.any():
            gap = abs(targets[inside].mean() - probabilities[inside].mean())
            total += inside.sum() / len(targets) * gap
    return total


def test_ece_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(1)
    probabilities_NC = rng.random((500, 3))
    targets_NC = (rng.random((500, 3)) < 0.3).astype(np.int8)
    targets_NC[rng.random((500, 3)) < 0.2] = -1
    found = reliability(probabilities_NC, targets_NC, bins=15)
    known = targets_NC >= 0
    assert found.ece == pytest.approx(literal_ece(probabilities_NC[known], targets_NC[known], 15))
    for c in range(3):
        rows = known[:, c]
        expected = literal_ece(probabilities_NC[rows, c], targets_NC[rows, c], 15)
        assert found.ece_C[c] == pytest.approx(expected)


def test_a_model_that_means_what_it_says_has_no_error() -> None:
    probabilities_NC = np.repeat([[0.25], [0.75]], 400, axis=0)
    targets_NC = np.array([[1]] * 100 + [[0]] * 300 + [[1]] * 300 + [[0]] * 100, np.int8)
    assert reliability(probabilities_NC, targets_NC).ece == pytest.approx(0, abs=1e-12)
    assert reliability(probabilities_NC, 1 - targets_NC).ece == pytest.approx(0.5)


def test_nothing_known_is_undefined() -> None:
    targets_NC = np.array([[-1, 1], [-1, 0]], np.int8)
    found = reliability(np.full((2, 2), 0.5, np.float32), targets_NC)
    assert math.isnan(found.ece_C[0])
    assert found.ece_C[1] == pytest.approx(0)
    empty = reliability(np.zeros((0, 2)), np.zeros((0, 2), np.int8))
    assert math.isnan(empty.ece)


def test_intervals_of_shares_are_those_of_scipy() -> None:
    pairs = [(hits, count) for count in (1, 2, 10, 1000) for hits in {0, 1, count // 2, count}]
    low, high = share_interval(*np.array(pairs).T)
    for (hits, count), *found in zip(pairs, low, high, strict=True):
        expected = binomtest(hits, count).proportion_ci(0.95, "exact")
        np.testing.assert_allclose(found, [expected.low, expected.high], atol=1e-12)
    assert [float(end) for end in share_interval(0, 0)] == [0, 1]
