"""Curves against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from mlc_cli.core.evaluation.report.charts import pr_curve, score_shares


def make(images: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(levels)
    targets_N = (rng.random(images) < 0.3).astype(np.int8)
    scores_N = np.round((rng.random(images) + targets_N) / 2 * levels) / levels
    return scores_N, targets_N


@pytest.mark.parametrize("levels", [1, 5, 10**6])
def test_points_lie_on_the_curve_of_scikit_learn(levels: int) -> None:
    scores_N, targets_N = make(200, levels)
    precision, recall, _ = precision_recall_curve(targets_N, scores_N)
    expected = set(zip(recall.round(9).tolist(), precision.round(9).tolist(), strict=True))
    curve = pr_curve(scores_N, targets_N, points=1000)
    points = list(
        zip(curve.recall.round(9).tolist(), curve.precision.round(9).tolist(), strict=True)
    )
    assert set(points) <= expected
    assert points[-1][0] == 1
    assert (np.diff(curve.recall) > 0).all()
    area = np.sum(np.diff(curve.recall, prepend=0) * curve.precision)
    assert area == pytest.approx(average_precision_score(targets_N, scores_N))


def test_a_long_curve_is_thinned_but_keeps_its_ends() -> None:
    scores_N, targets_N = make(3000, 10**6)
    whole, thin = (pr_curve(scores_N, targets_N, points) for points in (10**6, 40))
    assert len(thin.recall) == 40 < len(whole.recall)
    assert (thin.recall[0], thin.recall[-1]) == (whole.recall[0], whole.recall[-1])


def test_unknown_labels_are_left_out() -> None:
    scores_N, targets_N = make(100, 50)
    unknown = np.arange(100) % 4 == 0
    with_unknown = np.where(unknown, -1, targets_N).astype(np.int8)
    found = pr_curve(scores_N, with_unknown, 99)
    expected = pr_curve(scores_N[~unknown], targets_N[~unknown], 99)
    np.testing.assert_array_equal(found.precision, expected.precision)


def test_no_positives_no_curve() -> None:
    assert len(pr_curve(np.array([0.5]), np.array([0], np.int8), 9).recall) == 0


def test_shares_count_each_state_apart() -> None:
    scores_N = np.array([0.0, 0.05, 0.5, 1.0, 0.99, 0.7])
    targets_N = np.array([0, 0, 1, 1, 0, -1], np.int8)
    present_K, absent_K = score_shares(scores_N, targets_N, bins=10)
    np.testing.assert_allclose(present_K, [0, 0, 0, 0, 0, 0.5, 0, 0, 0, 0.5])
    np.testing.assert_allclose(absent_K, [2 / 3, 0, 0, 0, 0, 0, 0, 0, 0, 1 / 3])
    nothing, _ = score_shares(scores_N[:2], targets_N[:2], bins=4)
    assert nothing.sum() == 0
