"""Runs beside each other, against scikit-learn on a literal loop over the draws."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from mlc_cli.core.evaluation.bootstrap import draw_weights
from mlc_cli.core.evaluation.comparing import METRICS, Judged, compare, paired
from mlc_cli.core.evaluation.scores import SavedScores
from mlc_cli.errors import DataError

CLASSES = ["a", "b", "c"]


def judged(name: str, probabilities: np.ndarray, targets: np.ndarray, **names: list[str]) -> Judged:
    classes = names.get("classes", CLASSES[: probabilities.shape[1]])
    paths = names.get("paths", [f"{row}.jpg" for row in range(len(probabilities))])
    scores = SavedScores(probabilities, targets.astype(np.int8), classes, paths)
    return Judged(name, scores, probabilities >= 0.5)


def two(seed: int, unknown: float = 0.15) -> tuple[Judged, Judged]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, (40, 3))
    targets[rng.random(targets.shape) < unknown] = -1
    both = (
        np.clip(rng.random((40, 3)) * scale + shift * (targets == 1), 0, 1)
        for scale, shift in ((0.9, 0.1), (0.6, 0.4))
    )
    return tuple(judged(n, p.round(2), targets) for n, p in zip("xy", both, strict=True))


def literal(run: Judged, weights_N: np.ndarray) -> tuple[list[float], list[float]]:
    """The metrics and the AP of classes by scikit-learn, images weighted by their copies."""
    aps, f1s, flat = [], [], []
    for c in range(3):
        known = run.scores.targets_NC[:, c] >= 0
        truth, weights = run.scores.targets_NC[known, c], weights_N[known].astype(float)
        aps.append(average_precision_score(truth, run.scores.probabilities_NC[known, c],
                                           sample_weight=weights))  # fmt: skip
        made = run.decisions_NC[known, c].astype(int)
        f1s.append(f1_score(truth, made, sample_weight=weights))
        flat.append((truth, made, weights))
    together = [np.concatenate(parts) for parts in zip(*flat, strict=True)]
    micro = f1_score(together[0], together[1], sample_weight=together[2])
    return [np.mean(aps), micro, np.mean(f1s)], aps


@pytest.mark.parametrize("seed", [0, 1])
def test_differences_are_those_of_a_literal_loop(seed: int) -> None:
    first, second = two(seed)
    _, found = compare([first, second], draws=40, seed=5)
    weights_BN = draw_weights(40, 40, 5)
    drawn = [[np.concatenate(literal(r, w)) for r in (first, second)] for w in weights_BN]
    differences_BK = np.array([b - a for a, b in drawn])
    whole = [np.concatenate(literal(r, np.ones(40))) for r in (first, second)]
    changes = [*found.metrics.values(), *(found.classes[name] for name in CLASSES)]
    assert tuple(found.metrics) == METRICS
    for k, change in enumerate(changes):
        assert change.value == pytest.approx(whole[1][k], rel=1e-9)
        assert change.difference == pytest.approx(whole[1][k] - whole[0][k], abs=1e-9)
        drawn_B = differences_BK[1:, k] + (differences_BK[0, k] - differences_BK[1:, k].mean())
        low, high = np.quantile(drawn_B, [0.025, 0.975])
        assert (change.interval.low, change.interval.high) == pytest.approx((low, high), abs=1e-6)
        above = np.mean(drawn_B > 1e-12)
        ties = np.mean(np.abs(drawn_B) <= 1e-12)
        assert change.better == pytest.approx(np.clip(above + ties / 2, 1 / 80, 79 / 80))
    assert any(change.is_clear for change in changes), "the second is better by far"


def test_paired_intervals_are_narrower_than_those_of_two_samples() -> None:
    first, _ = two(2)
    close = Judged("y", first.scores, first.decisions_NC.copy())
    close.decisions_NC[0] ^= True
    change = compare([first, close], draws=200, seed=0)[1].metrics["micro F1"]
    width = change.interval.high - change.interval.low
    f1_B = [literal(first, w)[0][1] for w in draw_weights(40, 100, 1)]
    assert 0 < width < np.ptp(np.quantile(f1_B, [0.025, 0.975])) / 2


def test_a_run_is_as_good_as_itself() -> None:
    first, _ = two(3)
    itself, copy = compare([first, Judged("y", first.scores, first.decisions_NC)], 100, 0)
    assert itself.metrics == copy.metrics
    for change in (*copy.metrics.values(), *copy.classes.values()):
        assert (change.difference, change.interval.low, change.interval.high) == (0, 0, 0)
        assert change.better == 0.5
        assert not change.is_clear
    assert copy.images == {}


def test_changed_images_say_what_was_repaired_and_broken_most_first() -> None:
    targets = np.array([[1, 0, -1], [1, 1, 0], [0, 0, 0], [1, 0, 0]])
    before = np.array([[0.1, 0.1, 0.1], [0.9, 0.9, 0.1], [0.4, 0.1, 0.1], [0.9, 0.1, 0.1]])
    after = np.array([[0.9, 0.9, 0.9], [0.1, 0.9, 0.1], [0.6, 0.1, 0.1], [0.7, 0.2, 0.1]])
    runs = [judged("x", before, targets), judged("y", after, targets)]
    found = compare(runs, draws=100, seed=0)[1].images
    assert list(found) == ["0.jpg", "1.jpg", "2.jpg"]
    assert found["0.jpg"] == {"repaired": ["a"], "broken": ["b"], "unknown": ["c"]}
    assert found["1.jpg"] == {"repaired": [], "broken": ["a"], "unknown": []}


def test_clear_changes_of_classes_come_first_and_classes_without_positives_are_left_out() -> None:
    rng = np.random.default_rng(0)
    targets = np.column_stack([rng.integers(0, 2, 80), np.arange(80) < 1, np.zeros(80)])
    good = np.where(targets == 1, 0.9, 0.1) + rng.random((80, 3)) * 0.05
    poor = good.copy()
    poor[:, 0] = rng.random(80)  # far worse, and sure
    poor[0, 1] = 0.0  # worse yet, in every draw that has it, but by one image
    found = compare([judged("x", good, targets), judged("y", poor, targets)], 200, 0)[1]
    assert list(found.classes) == ["a", "b"]
    assert found.classes["b"].difference < found.classes["a"].difference < 0
    assert (found.classes["b"].interval, found.classes["b"].better) == (None, None)
    assert found.classes["a"].is_clear
    assert found.classes["a"].better < 0.01


def test_what_runs_have_in_common_is_found_by_names() -> None:
    first, second = two(4, unknown=0)
    rows, columns = np.random.default_rng(1).permutation(40)[:30], [2, 0]
    cells = np.ix_(rows, columns)
    other = judged("y", second.scores.probabilities_NC[cells], second.scores.targets_NC[cells],
                   classes=["c", "a"], paths=[f"{row}.jpg" for row in rows])  # fmt: skip
    (one, two_), notes = paired([first, other])
    assert one.scores.classes == two_.scores.classes == ["a", "c"]
    assert one.scores.paths == two_.scores.paths == [f"{row}.jpg" for row in sorted(rows)]
    kept = np.ix_(sorted(rows), [0, 2])
    for part, whole in ((one, first), (two_, second)):
        np.testing.assert_array_equal(part.scores.probabilities_NC,
                                      whole.scores.probabilities_NC[kept])  # fmt: skip
        np.testing.assert_array_equal(part.decisions_NC, whole.decisions_NC[kept])
    assert notes == ["compared on the 30 images of all runs: 10 more in x",
                     "compared on the 2 classes of all runs: 1 more in x"]  # fmt: skip


def test_other_labels_are_told_and_those_of_the_first_run_count() -> None:
    first, second = two(5, unknown=0)
    targets = first.scores.targets_NC.copy()
    targets[:2, 0] = 1 - targets[:2, 0]
    parts, notes = paired([first, judged("y", second.scores.probabilities_NC, targets)])
    assert notes == ["2 labels were others for y; those of x count"]
    plain = compare(paired([first, second])[0], 100, 0)[1]
    assert compare(parts, 100, 0)[1].metrics == plain.metrics


@pytest.mark.parametrize("names", [{"paths": ["z.jpg"]}, {"classes": ["z"]}])
def test_nothing_in_common_is_an_error(names: dict[str, list[str]]) -> None:
    one = np.array([[0.5]])
    with pytest.raises(DataError, match=r"in common: .*; z") as caught:
        paired([judged("x", one, one * 2), judged("y", one, one * 2, **names)])
    assert "mlc eval --run RUN" in caught.value.hint


def test_without_any_label_there_is_nothing_to_compare() -> None:
    one = np.array([[0.5]])
    with pytest.raises(DataError, match="none of these images has a label"):
        paired([judged("x", one, one * 0), judged("y", one, one * 0)])
