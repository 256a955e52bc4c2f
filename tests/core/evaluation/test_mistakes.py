"""Mistakes against literal loops."""

import numpy as np
import pytest

from mlc_cli.core.evaluation.mistakes import error_pairs, joint_mistakes, worst_mistakes


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, targets and decisions of 120 images and 5 classes."""
    rng = np.random.default_rng(0)
    targets_NC = (rng.random((120, 5)) < 0.4).astype(np.int8)
    targets_NC[rng.random((120, 5)) < 0.1] = -1
    scores_NC = (rng.random((120, 5)) * 30).round() / 30
    return scores_NC, targets_NC, scores_NC >= 0.6


def test_worst_mistakes_are_those_of_a_loop(data: tuple[np.ndarray, ...]) -> None:
    scores_NC, targets_NC, decisions_NC = data
    found = worst_mistakes(scores_NC, targets_NC, decisions_NC, limit=4)
    for c, mistakes in enumerate(found):
        extra = [n for n in range(120) if decisions_NC[n, c] and targets_NC[n, c] == 0]
        missed = [n for n in range(120) if not decisions_NC[n, c] and targets_NC[n, c] == 1]
        assert mistakes.extra == sorted(extra, key=lambda n: -scores_NC[n, c])[:4]
        assert mistakes.missed == sorted(missed, key=lambda n: scores_NC[n, c])[:4]
        assert (mistakes.extra_total, mistakes.missed_total) == (len(extra), len(missed))
        assert mistakes.total == len(extra) + len(missed)


def test_joint_mistakes_are_those_of_a_loop(data: tuple[np.ndarray, ...]) -> None:
    _, targets_NC, decisions_NC = data
    counts_CC, expected_CC = joint_mistakes(targets_NC, decisions_NC)
    for m in range(5):
        for e in range(5):
            missed = [targets_NC[n, m] == 1 and not decisions_NC[n, m] for n in range(120)]
            extra = [targets_NC[n, e] == 0 and decisions_NC[n, e] for n in range(120)]
            both = sum(a and b for a, b in zip(missed, extra, strict=True))
            assert counts_CC[m, e] == both
            assert expected_CC[m, e] == pytest.approx(sum(missed) * sum(extra) / 120)
    assert (np.diag(counts_CC) == 0).all()


def test_a_label_taken_for_another_comes_first(data: tuple[np.ndarray, ...]) -> None:
    _, targets_NC, decisions_NC = data
    decisions_NC = decisions_NC.copy()
    rows = np.flatnonzero((targets_NC[:, 1] == 1) & (targets_NC[:, 3] == 0))
    assert len(rows) > 10
    decisions_NC[rows, 1], decisions_NC[rows, 3] = False, True
    (first, *others), counts_CC = error_pairs(targets_NC, decisions_NC, limit=6)
    assert first.count == counts_CC[1, 3]
    assert (first.missed, first.extra) == (1, 3)
    assert first.count >= len(rows)
    assert first.missed_total >= first.count > first.expected
    gains = [pair.count - pair.expected for pair in (first, *others)]
    assert gains == sorted(gains, reverse=True)
    assert all(gain > 0 for gain in gains)
    assert len(others) <= 5


def test_without_mistakes_there_are_no_pairs() -> None:
    targets_NC = np.array([[1, 0], [0, 1]], np.int8)
    assert error_pairs(targets_NC, targets_NC == 1, limit=5)[0] == []
    assert error_pairs(targets_NC, targets_NC == 0, limit=5)[0] == []  # each pair is seen once only
    nothing = np.zeros((0, 2), np.int8)
    assert error_pairs(nothing, nothing == 1, limit=5)[0] == []
