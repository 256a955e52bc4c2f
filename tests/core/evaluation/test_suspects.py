"""Suspected labels against the rule, written as a loop."""

import math

import numpy as np

from mlc_cli.core.evaluation.probabilities import logit
from mlc_cli.core.evaluation.suspects import find_suspects


def literal(scores_NC: np.ndarray, targets_NC: np.ndarray) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[float, int, int]]] = {"missing": [], "wrong": []}
    for c in range(scores_NC.shape[1]):
        present = [s for s, t in zip(scores_NC[:, c], targets_NC[:, c], strict=True) if t == 1]
        absent = [s for s, t in zip(scores_NC[:, c], targets_NC[:, c], strict=True) if t == 0]
        if not present or not absent or np.mean(present) <= np.mean(absent):
            continue
        high, low = np.mean(present), np.mean(absent)
        for n, (score, target) in enumerate(zip(scores_NC[:, c], targets_NC[:, c], strict=True)):
            odds = math.log(score / (1 - score))
            if target == 0 and score > high:
                found["missing"].append((odds - math.log(high / (1 - high)), n, c))
            if target == 1 and score < low:
                found["wrong"].append((math.log(low / (1 - low)) - odds, n, c))
    return {
        kind: [(n, c) for _, n, c in sorted(rows, reverse=True)] for kind, rows in found.items()
    }


def test_the_rule_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    targets_NC = (rng.random((200, 5)) < 0.3).astype(np.int8)
    scores_NC = 1 / (1 + np.exp(-(rng.normal(0, 2, targets_NC.shape) + 3 * targets_NC - 2)))
    scores_NC[:, 4] = rng.random(200) * 0.5 + 0.4 * (targets_NC[:, 4] == 0)  # worse than chance
    targets_NC[rng.random(targets_NC.shape) < 0.1] = -1
    targets_NC[targets_NC[:, 3] == 1, 3] = 0  # without positives
    expected = literal(scores_NC, targets_NC)
    found = find_suspects(scores_NC, targets_NC, limit=1000)
    assert len(expected["missing"]) > 10
    assert len(expected["wrong"]) > 3
    assert [(s.image, s.label) for s in found.missing] == expected["missing"]
    assert [(s.image, s.label) for s in found.wrong] == expected["wrong"]
    assert {s.label for s in (*found.missing, *found.wrong)} <= {0, 1, 2}


def test_labels_that_were_turned_over_come_first() -> None:
    rng = np.random.default_rng(1)
    truth_NC = (rng.random((300, 3)) < 0.4).astype(np.int8)
    scores_NC = np.where(truth_NC == 1, 0.9, 0.1) + rng.normal(0, 0.02, truth_NC.shape)
    targets_NC = truth_NC.copy()
    turned = [(3, 0), (50, 1), (120, 2), (7, 2)]
    for image, label in turned:
        targets_NC[image, label] = 1 - targets_NC[image, label]
        scores_NC[image, label] = 0.99 if truth_NC[image, label] else 0.01
    found = find_suspects(scores_NC, targets_NC, limit=3)
    missing = [(n, c) for n, c in turned if truth_NC[n, c] == 1]
    wrong = [(n, c) for n, c in turned if truth_NC[n, c] == 0]
    assert {(s.image, s.label) for s in found.missing[: len(missing)]} == set(missing)
    assert {(s.image, s.label) for s in found.wrong[: len(wrong)]} == set(wrong)
    assert len(found.wrong) == len(wrong) == found.wrong_total
    assert found.missing[0].probability > found.missing[0].typical
    assert found.wrong[0].probability < found.wrong[0].typical


def test_only_so_many_are_listed() -> None:
    rng = np.random.default_rng(2)
    targets_NC = (rng.random((100, 2)) < 0.5).astype(np.int8)
    found = find_suspects(0.4 + 0.1 * targets_NC + rng.random((100, 2)) * 0.3, targets_NC, limit=3)
    assert len(found.missing) == 3 < found.missing_total
    assert found.missing[0].margin >= found.missing[2].margin


def test_equal_scores_and_unknown_labels_make_no_suspect() -> None:
    targets_NC = np.array([[1, -1], [0, -1], [1, -1]], np.int8)
    found = find_suspects(np.full((3, 2), 0.5, np.float32), targets_NC, limit=9)
    assert (found.missing_total, found.wrong_total) == (0, 0)
    assert find_suspects(np.zeros((0, 2)), np.zeros((0, 2), np.int8), 9).missing == []


def test_certainties_stay_finite() -> None:
    scores_NC, targets_NC = np.array([[1.0], [0.5], [0.0]]), np.array([[0], [1], [0]], np.int8)
    found = find_suspects(scores_NC, targets_NC, limit=9)
    assert found.missing == []  # the mean of those absent is not below that of those present
    assert np.isfinite(logit([0.0, 1.0])).all()
