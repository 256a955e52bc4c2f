"""Metrics against scikit-learn, torchmetrics and numbers worked out by hand."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, average_precision_score
from sklearn.metrics import precision_recall_fscore_support as prf
from torchmetrics.classification import MultilabelAveragePrecision

from mlc_cli.core.evaluation import ranking
from mlc_cli.core.evaluation.metrics import (
    average_precision_C,
    mean_average_precision,
)
from tests.core.evaluation.deciding import decision_metrics

Case = tuple[NDArray[Any], NDArray[np.int8]]


def cases(seed: int, count: int, *, unknown: float = 0.0) -> Iterator[Case]:
    """Random scores with many ties, and states; every class has a positive and a known image."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        images, classes = int(rng.integers(1, 60)), int(rng.integers(1, 9))
        scores_NC = rng.random((images, classes)).astype([np.float32, np.float64][number % 2])
        if number % 3 == 0:
            scores_NC = np.round(scores_NC * 4) / scores_NC.dtype.type(4)
        targets_NC = (rng.random((images, classes)) < rng.random()).astype(np.int8)
        targets_NC[rng.random((images, classes)) < unknown] = -1
        targets_NC[rng.integers(images, size=classes), np.arange(classes)] = 1
        yield scores_NC, targets_NC


def same(found: float, expected: float) -> bool:
    return math.isclose(found, expected, rel_tol=0, abs_tol=1e-9)


@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_average_precision_equals_scikit_learn(unknown: float) -> None:
    for scores_NC, targets_NC in cases(1, 60, unknown=unknown):
        ap_C = average_precision_C(scores_NC, targets_NC)
        for c, ap in enumerate(ap_C):
            known = targets_NC[:, c] >= 0
            expected = average_precision_score(targets_NC[known, c], scores_NC[known, c])
            assert same(ap, expected)


@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_map_equals_torchmetrics(unknown: float) -> None:
    for scores_NC, targets_NC in cases(2, 40, unknown=unknown):
        if scores_NC.shape[1] == 1:  # torchmetrics wants two labels or more
            continue
        reference = MultilabelAveragePrecision(
            num_labels=scores_NC.shape[1], average=None, ignore_index=-1
        )
        # torchmetrics computes in single precision
        expected = reference(torch.tensor(scores_NC), torch.tensor(targets_NC))
        found = average_precision_C(scores_NC, targets_NC)
        np.testing.assert_allclose(found, np.atleast_1d(expected.numpy()), rtol=0, atol=1e-6)
        assert same(mean_average_precision(found), float(found.mean()))


@pytest.mark.parametrize("unknown", [0.0, 0.3])
@pytest.mark.parametrize("each", [False, True])
def test_decisions_equal_scikit_learn(unknown: float, each: bool) -> None:
    rng = np.random.default_rng(5)
    for scores_NC, targets_NC in cases(3, 24, unknown=unknown):
        classes = scores_NC.shape[1]
        thresholds = rng.choice([0.25, 0.5, 0.7], classes) if each else 0.5
        found = decision_metrics(scores_NC, targets_NC, thresholds)
        decided = scores_NC >= np.broadcast_to(thresholds, classes)
        known = targets_NC >= 0
        per_class = [
            prf(targets_NC[k, c], decided[k, c], average="binary", zero_division=np.nan)[:3]
            for c, k in enumerate(known.T)
        ]
        p_C, r_C, _ = np.array(per_class, np.float64).T
        f1_C = [
            prf(targets_NC[k, c], decided[k, c], average="binary", zero_division=0)[2]
            for c, k in enumerate(known.T)
        ]
        np.testing.assert_allclose(found.precision_C, p_C, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.recall_C, r_C, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.f1_C, f1_C, rtol=0, atol=1e-9)
        class_precision, class_recall = np.nan_to_num(p_C).mean(), r_C.mean()
        assert same(found.CP, class_precision)
        assert same(found.CR, class_recall)
        total = class_precision + class_recall
        assert same(found.CF1, 2 * class_precision * class_recall / total if total else 0)
        assert same(found.macro_f1, float(np.mean(f1_C)))
        if decided[known].any():
            flat = prf(targets_NC[known], decided[known], average="binary", zero_division=0)
            assert same(found.OP, flat[0])
            assert same(found.OR, flat[1])
            assert same(found.OF1, flat[2])


def test_means_equal_scikit_learn_over_whole_matrices() -> None:
    for scores_NC, targets_NC in cases(4, 40):
        if scores_NC.shape[1] == 1:  # scikit-learn takes one column for a binary problem
            continue
        decided = (scores_NC >= 0.5).astype(int)
        found = decision_metrics(scores_NC, targets_NC)
        macro = prf(targets_NC, decided, average="macro", zero_division=0)
        micro = prf(targets_NC, decided, average="micro", zero_division=0)
        assert same(found.CP, macro[0])
        assert same(found.CR, macro[1])
        assert same(found.macro_f1, macro[2])
        assert same(found.OR, micro[1])
        assert same(found.OF1, micro[2])
        assert same(found.exact_match, accuracy_score(targets_NC, decided))


TARGETS = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]], np.int8)
SCORES = np.array(
    [[0.9, 0.2, 0.6], [0.8, 0.7, 0.3], [0.4, 0.6, 0.1], [0.1, 0.3, 0.8], [0.2, 0.55, 0.2]]
)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_numbers_worked_out_by_hand(kind: type) -> None:
    scores_NC = SCORES.astype(kind)
    found = decision_metrics(scores_NC, TARGETS)
    value = mean_average_precision(average_precision_C(scores_NC, TARGETS))
    assert value == pytest.approx(17 / 18, abs=1e-9)
    assert found.precision_C.tolist() == pytest.approx([1 / 2, 2 / 3, 1])
    assert found.recall_C.tolist() == pytest.approx([1 / 2, 1, 1])
    assert pytest.approx(13 / 18, abs=1e-9) == found.CP
    assert pytest.approx(5 / 6, abs=1e-9) == found.CR
    assert pytest.approx(2 * (13 / 18) * (5 / 6) / (13 / 18 + 5 / 6), abs=1e-9) == found.CF1
    assert pytest.approx(5 / 7, abs=1e-9) == found.OP
    assert pytest.approx(5 / 6, abs=1e-9) == found.OR
    assert pytest.approx(10 / 13, abs=1e-9) == found.OF1
    assert found.macro_f1 == pytest.approx((1 / 2 + 4 / 5 + 1) / 3, abs=1e-9)
    assert found.exact_match == pytest.approx(2 / 5)


@pytest.mark.parametrize(
    ("scores", "targets", "expected"),
    [
        ([0.5], [1], 1.0),
        ([0.5], [0], math.nan),
        ([0.5], [-1], math.nan),
        ([0.9, 0.1], [1, 1], 1.0),
        ([0.1, 0.9], [1, 0], 0.5),
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], 0.25),
        ([0.5, 0.9], [1, -1], 1.0),
        ([3, 2, 1], [0, 1, 1], (1 / 2 + 2 / 3) / 2),
        ([], [], math.nan),
    ],
)
def test_average_precision_at_the_edges(scores: list, targets: list, expected: float) -> None:
    found = average_precision_C(
        np.array(scores, np.float64)[:, None], np.array(targets, np.int8)[:, None]
    )
    assert found.shape == (1,)
    np.testing.assert_allclose(found, [expected])


def test_order_of_images_and_monotone_changes_of_scores_do_not_matter() -> None:
    rng = np.random.default_rng(6)
    for scores_NC, targets_NC in cases(6, 30, unknown=0.2):
        ap_C = average_precision_C(scores_NC, targets_NC)
        order = rng.permutation(len(scores_NC))
        np.testing.assert_array_equal(
            average_precision_C(scores_NC[order], targets_NC[order]), ap_C
        )
        np.testing.assert_array_equal(average_precision_C(scores_NC * 8 - 3, targets_NC), ap_C)


def test_classes_without_positives_are_left_out_of_the_means() -> None:
    empty = np.zeros((5, 2), np.int8)
    high = np.full((5, 2), 0.9)
    scores_NC, targets_NC = np.hstack([SCORES, high]), np.hstack([TARGETS, empty])
    ap_C = average_precision_C(scores_NC, targets_NC)
    assert np.isnan(ap_C).tolist() == [False, False, False, True, True]
    assert mean_average_precision(ap_C) == pytest.approx(17 / 18)
    with_empty, without = decision_metrics(scores_NC, targets_NC), decision_metrics(SCORES, TARGETS)
    for name in ("CP", "CR", "CF1", "OR", "macro_f1"):
        assert getattr(with_empty, name) == getattr(without, name)
    assert pytest.approx(5 / 17) == with_empty.OP
    assert np.isnan(with_empty.recall_C[3:]).all()
    assert with_empty.precision_C[3:].tolist() == [0, 0]


def test_nothing_predicted_and_nothing_present_are_undefined_not_zero() -> None:
    nothing = decision_metrics(np.zeros((3, 1)), np.array([[1], [0], [1]], np.int8))
    assert math.isnan(nothing.OP)
    assert np.isnan(nothing.precision_C).all()
    assert (nothing.OR, nothing.OF1, nothing.CP, nothing.CF1) == (0, 0, 0, 0)
    absent = decision_metrics(np.zeros((3, 1)), np.zeros((3, 1), np.int8))
    for value in (absent.CP, absent.CR, absent.CF1, absent.OP, absent.OR, absent.OF1):
        assert math.isnan(value)
    assert absent.exact_match == 1
    assert math.isnan(mean_average_precision(np.array([math.nan])))


def test_unknown_labels_decide_nothing() -> None:
    targets_NC = np.array([[1, -1], [-1, 0]], np.int8)
    found = [
        decision_metrics(np.array([[0.9, a], [b, 0.1]]), targets_NC)
        for a in (0.0, 1.0)
        for b in (0.0, 1.0)
    ]
    assert {(m.OP, m.OR, m.OF1, m.exact_match) for m in found} == {(1, 1, 1, 1)}
    blank_NC = np.array([[0, 1], [-1, -1]], np.int8)  # nothing is known of the second image
    assert decision_metrics(np.ones((2, 2)), blank_NC).exact_match == 0
    assert math.isnan(decision_metrics(np.ones((1, 2)), blank_NC[1:]).exact_match)


def test_a_score_at_the_threshold_counts_as_predicted() -> None:
    targets_NC = np.ones((1, 1), np.int8)
    assert decision_metrics(np.array([[0.5]]), targets_NC).OR == 1
    below = np.nextafter(0.5, 0)
    assert decision_metrics(np.array([[below]]), targets_NC).OR == 0


@pytest.mark.parametrize("shape", [list, float])
def test_scores_of_single_precision_meet_thresholds_of_double(shape: Callable[..., Any]) -> None:
    score = np.float32(0.7)  # is below 0.7
    thresholds = np.array([0.7]) if shape is list else 0.7
    found = decision_metrics(np.array([[score]]), np.ones((1, 1), np.int8), thresholds)
    assert found.OR == 0


@pytest.mark.parametrize("images", [1, 50])
def test_many_classes_are_computed_in_blocks(monkeypatch, images: int) -> None:
    rng = np.random.default_rng(7)
    scores_NC = rng.random((images, 203))
    targets_NC = (rng.random((images, 203)) < 0.4).astype(np.int8)
    expected = [
        average_precision_score(t, s) if t.any() else math.nan
        for s, t in zip(scores_NC.T, targets_NC.T, strict=True)
    ]
    for block in (1, images * 8 * 3, images * 8 * 203, 2**26):
        monkeypatch.setattr(ranking, "BLOCK_BYTES", block)
        np.testing.assert_allclose(
            average_precision_C(scores_NC, targets_NC), expected, rtol=0, atol=1e-9
        )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_scores_that_are_not_finite_are_refused(bad: float, kind: type) -> None:
    scores_NC = SCORES.astype(kind)
    scores_NC[3, 1] = bad
    with pytest.raises(ValueError, match="finite"):
        average_precision_C(scores_NC, TARGETS)
    with pytest.raises(ValueError, match="finite"):
        decision_metrics(scores_NC, TARGETS)


def test_infinities_that_cancel_out_are_refused() -> None:
    scores_NC = SCORES.copy()
    scores_NC[0, 0], scores_NC[1, 0] = math.inf, -math.inf
    with pytest.raises(ValueError, match="finite"):
        average_precision_C(scores_NC, TARGETS)


def test_huge_scores_are_finite() -> None:
    scores_NC = np.array([[1.7e308], [1.6e308], [-1.7e308]])
    assert average_precision_C(scores_NC, np.array([[0], [1], [0]], np.int8)).tolist() == [0.5]


@pytest.mark.parametrize("shape", [(5, 2), (4, 3), (5,), (5, 3, 1)])
def test_shapes_that_differ_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not match"):
        average_precision_C(np.zeros(shape), TARGETS)
    with pytest.raises(ValueError, match="do not match"):
        decision_metrics(np.zeros(shape), TARGETS)


def test_inputs_are_not_changed() -> None:
    scores_NC, targets_NC = SCORES.copy(), TARGETS.copy()
    average_precision_C(scores_NC, targets_NC)
    decision_metrics(scores_NC, targets_NC)
    np.testing.assert_array_equal(scores_NC, SCORES)
    np.testing.assert_array_equal(targets_NC, TARGETS)
