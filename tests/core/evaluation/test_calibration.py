import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from mlc_cli.core.evaluation.calibration import (
    BINS,
    METHODS,
    Fit,
    errors,
    log_loss,
    moved,
    out_of_fold_logits,
    platt,
    temperature,
)
from mlc_cli.core.evaluation.probabilities import sigmoid
from mlc_cli.core.evaluation.reliability import reliability


def draw(images: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that say too much: the truth is half of them, and less."""
    rng = np.random.default_rng(0)
    logits_NC = rng.normal(0, 3, (images, 3)) - 1
    targets_NC = (rng.random(logits_NC.shape) < expit(logits_NC / 2 - [0, 1, 2])).astype(np.int8)
    return logits_NC, targets_NC


def test_platt_without_a_pull_is_logistic_regression() -> None:
    logits_NC, targets_NC = draw()
    scale_C, bias_C = platt(0.0)(logits_NC, targets_NC)
    for c in range(3):
        theirs = LogisticRegression(C=1e10, tol=1e-8).fit(logits_NC[:, [c]], targets_NC[:, c])
        assert scale_C[c] == pytest.approx(theirs.coef_[0, 0], abs=1e-3)
        assert bias_C[c] == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_the_pull_takes_a_rare_class_to_the_common_scale_and_bias() -> None:
    logits_NC, targets_NC = draw()
    targets_NC[30:, 2] = -1
    free, pulled = platt(0.0)(logits_NC, targets_NC), platt(1e7)(logits_NC, targets_NC)
    assert np.ptp(pulled[0]) < 1e-2
    assert np.ptp(free[1]) > 0.5


def test_a_pull_is_weak_enough_for_narrow_logits_of_many_scales() -> None:
    """As cosine heads have: what a class needs is far from what is common to all."""
    rng = np.random.default_rng(0)
    logits_NC = rng.normal(-1, 0.5, (600, 8))
    wanted_NC = np.linspace(0.2, 8, 8) * (logits_NC + 0.5) - 1
    targets_NC = (rng.random(logits_NC.shape) < expit(wanted_NC)).astype(np.int8)
    fold_N = rng.permutation(600) % 5

    def outside(fit: Fit) -> float:
        return log_loss(out_of_fold_logits(fit, logits_NC, targets_NC, fold_N), targets_NC)

    assert min(map(outside, METHODS.values())) < outside(platt(0.0)) + 5e-4


def test_temperature_finds_the_scale() -> None:
    rng = np.random.default_rng(1)
    logits_NC = rng.normal(0, 4, (20_000, 2))
    targets_NC = (rng.random(logits_NC.shape) < expit(logits_NC / 4)).astype(np.int8)
    scale_C, bias_C = temperature(logits_NC, targets_NC)
    assert scale_C == pytest.approx([0.25, 0.25], abs=0.01)
    assert bias_C.tolist() == [0, 0]


def test_labels_separated_without_a_fault_and_classes_without_positives_stay_finite() -> None:
    logits_NC = np.linspace(-5, 5, 40)[:, None] * np.ones(2)
    targets_NC = np.zeros((40, 2), np.int8)
    targets_NC[20:, 0] = 1
    for fit in (temperature, platt(1.0)):
        scale_C, bias_C = fit(logits_NC, targets_NC)
        assert np.isfinite(bias_C).all()
        assert ((scale_C > 0) & np.isfinite(scale_C)).all()


def test_errors_are_those_of_others_and_unknown_labels_take_no_part() -> None:
    logits_NC, targets_NC = draw(400)
    targets_NC[:50, 1] = -1
    known_NC = targets_NC >= 0
    probabilities_NC = sigmoid(logits_NC)
    found = errors(probabilities_NC, targets_NC, seed=0)
    theirs = brier_score_loss(targets_NC[known_NC], probabilities_NC[known_NC])
    assert found["Brier"][0] == pytest.approx(theirs, abs=1e-12)
    assert found["ECE"][0] == pytest.approx(reliability(probabilities_NC, targets_NC, BINS).ece)
    flat, present = probabilities_NC[known_NC], targets_NC[known_NC] == 1
    parts = np.array_split(np.argsort(flat), BINS)
    literal = sum(abs((present[p] - flat[p]).sum()) for p in parts) / len(flat)
    assert found["adaptive ECE"][0] == pytest.approx(literal, abs=3 / len(flat))
    for value, spread in found.values():
        assert spread.low < value < spread.high + 0.01
    expected = sklearn_log_loss(targets_NC[known_NC], probabilities_NC[known_NC])
    assert log_loss(logits_NC, targets_NC) == pytest.approx(expected)


def test_calibration_lowers_ece_to_a_third_out_of_fold() -> None:
    logits_NC, targets_NC = draw()
    fold_N = np.arange(len(logits_NC)) % 5
    before = errors(sigmoid(logits_NC), targets_NC, 0)["ECE"][0]
    outside_NC = out_of_fold_logits(platt(1.0), logits_NC, targets_NC, fold_N)
    assert errors(sigmoid(outside_NC), targets_NC, 0)["ECE"][0] < before / 3


def test_thresholds_move_along() -> None:
    logits_NC, _ = draw()
    scale_C, bias_C = np.array([0.5, 2.0, 1.0]), np.array([-1.0, 0.3, 4.0])
    before_C = np.array([0.3, 0.0, 1.0])
    after_C = moved(before_C, scale_C, bias_C)
    assert after_C[1:].tolist() == [0.0, 1.0]
    turned_NC = sigmoid(scale_C * logits_NC + bias_C)
    assert ((turned_NC >= after_C) == (sigmoid(logits_NC) >= before_C)).all()
    assert moved(None, scale_C, bias_C) == pytest.approx(expit(bias_C))
