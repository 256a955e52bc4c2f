"""The bootstrap against plain loops over copied images."""

import math

import numpy as np
import pytest

from mlc_cli.core.evaluation.bootstrap import (
    SUMMARY,
    bootstrap,
    draw_weights,
    interval,
    resampled_ap,
    resampled_decisions,
)
from mlc_cli.core.evaluation.metrics import (
    average_precision_C,
    mean_average_precision,
)
from tests.core.evaluation.deciding import decision_metrics


def make(images: int, classes: int, *, levels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties, and targets with unknown labels and rare classes."""
    rng = np.random.default_rng(seed)
    targets_NC = (rng.random((images, classes)) < np.linspace(0.02, 0.5, classes)).astype(np.int8)
    targets_NC[rng.random(targets_NC.shape) < 0.1] = -1
    targets_NC[:, 0] = np.arange(images) == 3  # one positive, which many draws lack
    scores_NC = (rng.random(targets_NC.shape) * levels).round() / levels
    return scores_NC.astype(np.float32), targets_NC


def copies(weights_N: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(weights_N)), weights_N)


@pytest.mark.parametrize("levels", [1, 7, 10**6])
def test_ap_of_draws_is_that_of_copied_images(levels: int) -> None:
    scores_NC, targets_NC = make(60, 6, levels=levels, seed=levels)
    weights_BN = draw_weights(60, 25, seed=1)
    found_BC = resampled_ap(scores_NC, targets_NC, weights_BN)
    for found_C, weights_N in zip(found_BC, weights_BN, strict=True):
        rows = copies(weights_N)
        expected_C = average_precision_C(scores_NC[rows], targets_NC[rows])
        np.testing.assert_allclose(found_C, expected_C, rtol=1e-12)
    assert np.isnan(found_BC).any(), "no draw lacks the one positive"


def test_decisions_of_draws_are_those_of_copied_images() -> None:
    scores_NC, targets_NC = make(50, 5, levels=20, seed=3)
    weights_BN = draw_weights(50, 20, seed=2)
    found = resampled_decisions(scores_NC >= 0.4, targets_NC, weights_BN)
    for metrics, weights_N in zip(found, weights_BN, strict=True):
        rows = copies(weights_N)
        expected = decision_metrics(scores_NC[rows], targets_NC[rows], 0.4)
        for name in SUMMARY:
            assert getattr(metrics, name) == pytest.approx(
                getattr(expected, name), rel=1e-6, nan_ok=True
            ), name


def test_the_whole_is_the_percentiles_of_the_parts() -> None:
    scores_NC, targets_NC = make(40, 4, levels=50, seed=4)
    found = bootstrap(scores_NC, targets_NC, {"half": scores_NC >= 0.5}, draws=30, seed=9)
    maps, macro = [], []
    for weights_N in draw_weights(40, 30, seed=9):
        rows = copies(weights_N)
        ap_C = average_precision_C(scores_NC[rows], targets_NC[rows])
        maps.append(mean_average_precision(ap_C))
        macro.append(decision_metrics(scores_NC[rows], targets_NC[rows]).macro_f1)
    maps, macro = (np.add(x[1:], x[0] - np.mean(x[1:])) for x in (maps, macro))
    assert (found.mean_ap.low, found.mean_ap.high) == pytest.approx(
        np.quantile(maps, [0.025, 0.975])
    )
    half = found.decisions["half"]
    assert set(half) == set(SUMMARY)
    assert (half["macro_f1"].low, half["macro_f1"].high) == pytest.approx(
        np.quantile(macro, [0.025, 0.975])
    )
    assert len(found.ap_C) == 4


def test_draws_are_seeded_and_hold_as_many_images() -> None:
    first, second, other = (draw_weights(31, 8, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert (first.sum(axis=1) == 31).all()
    assert (first[0] == 1).all(), "the first is not of all images"
    assert draw_weights(0, 3, 0).shape == (4, 0)


def test_blocks_of_draws_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores_NC, targets_NC = make(30, 3, levels=9, seed=5)
    weights_BN = draw_weights(30, 10, seed=0)
    whole = resampled_ap(scores_NC, targets_NC, weights_BN)
    decided = resampled_decisions(scores_NC >= 0.5, targets_NC, weights_BN)
    monkeypatch.setattr("mlc_cli.core.evaluation.bootstrap.CELLS", 40)
    np.testing.assert_array_equal(resampled_ap(scores_NC, targets_NC, weights_BN), whole)
    again = resampled_decisions(scores_NC >= 0.5, targets_NC, weights_BN)
    assert [m.OF1 for m in again] == [m.OF1 for m in decided]


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Precision at 0.5 of a known world, in 100 samples of 150 images."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        targets_NC = (rng.random((150, 1)) < 0.6).astype(np.int8)
        decisions_NC = np.ones_like(targets_NC, np.bool_)
        weights_BN = draw_weights(150, 150, int(rng.integers(2**31)))
        found = resampled_decisions(decisions_NC, targets_NC, weights_BN)
        between = interval([metrics.OP for metrics in found])
        inside += between.low <= 0.6 <= between.high
    assert 88 <= inside <= 99


@pytest.mark.parametrize("images", [0, 5])
def test_without_positives_intervals_are_undefined(images: int) -> None:
    scores_NC, targets_NC = np.full((images, 2), 0.7), np.zeros((images, 2), np.int8)
    found = bootstrap(scores_NC, targets_NC, {"half": scores_NC >= 0.5}, draws=4)
    assert math.isnan(found.mean_ap.low)
    assert math.isnan(found.ap_C[0].high)
    assert math.isnan(found.decisions["half"]["macro_f1"].low)


def test_an_interval_leaves_undefined_draws_out() -> None:
    found = interval([0.5, math.nan, 0.5, 0.5, math.nan])
    assert (found.low, found.high) == (0.5, 0.5)


def test_the_map_of_many_rare_classes_is_in_the_middle_of_its_interval() -> None:
    """Copies of an image are ranked beside each other, which makes AP in draws too high."""
    rng, inside, means = np.random.default_rng(0), [], []
    for _ in range(60):
        targets_NC = rng.random((200, 100)).argsort(axis=0) < 4
        scores_NC = rng.normal(size=targets_NC.shape) + 2 * targets_NC
        means.append(mean_average_precision(average_precision_C(scores_NC, targets_NC * 1)))
        found = bootstrap(scores_NC, targets_NC.astype(np.int8), {}, draws=60).mean_ap
        assert found.low < means[-1] < found.high
        inside.append(found)
    expected = np.mean(means)  # of other images, as many
    assert sum(one.low <= expected <= one.high for one in inside) >= 50


@pytest.mark.parametrize(("positives", "known"), [(5, False), (6, True)])
def test_few_positives_have_no_interval(positives: int, known: bool) -> None:
    targets_NC = (np.arange(50)[:, None] < positives).astype(np.int8)
    found = bootstrap(-np.arange(50.0)[:, None], targets_NC, {}, draws=20)
    assert math.isfinite(found.ap_C[0].low) == math.isfinite(found.mean_ap.low) == known


def test_intervals_end_where_the_metric_ends() -> None:
    assert interval([0.97, *[1.0] * 9, 0.5]).high == 1
    assert interval([0.02, *[0.0] * 9, 0.3]).low == 0
    assert interval([0.02, *[0.0] * 9, 0.3], least=-1).low < 0
