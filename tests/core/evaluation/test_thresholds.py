import numpy as np
import pytest
from sklearn.metrics import fbeta_score, precision_recall_curve, precision_score, recall_score

from mlc_cli.core.datasets.stratify import stratify
from mlc_cli.core.evaluation.objectives import Objective
from mlc_cli.core.evaluation.out_of_fold import out_of_fold
from mlc_cli.core.evaluation.promises import Floor
from mlc_cli.core.evaluation.thresholds import (
    Thresholds,
    fit_overall,
    fit_thresholds,
    shrink,
)
from tests.core.evaluation.deciding import decision_metrics

F1 = Objective("fbeta", 1.0)


def draw(
    images: int, classes: int, *, digits: int | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets_NC = (rng.random((images, classes)) < rng.uniform(0.05, 0.6, classes)).astype(np.int8)
    logits_NC = rng.normal(size=(images, classes)) + 1.5 * targets_NC - 1
    scores_NC = 1 / (1 + np.exp(-logits_NC))
    if digits is not None:
        scores_NC = scores_NC.round(digits)
    return scores_NC.astype(np.float32), targets_NC


def best_by_brute_force(scores_N: np.ndarray, targets_N: np.ndarray, beta: float) -> float:
    return max(
        fbeta_score(targets_N, scores_N >= score, beta=beta, zero_division=0)
        for score in np.unique(scores_N)
    )


@pytest.mark.parametrize("digits", [None, 1], ids=["distinct", "ties"])
@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_no_threshold_has_a_higher_f(beta: float, digits: int | None) -> None:
    scores_NC, targets_NC = draw(120, 6, digits=digits)
    found = fit_thresholds(scores_NC, targets_NC, Objective("fbeta", beta), 1)
    for c in range(6):
        decided = scores_NC[:, c] >= found.per_class_C[c]
        reached = fbeta_score(targets_NC[:, c], decided, beta=beta)
        best = best_by_brute_force(scores_NC[:, c], targets_NC[:, c], beta)
        assert reached == pytest.approx(best, abs=1e-12)


def test_precision_floor_keeps_the_highest_recall() -> None:
    scores_NC, targets_NC = draw(300, 5)
    found = fit_thresholds(scores_NC, targets_NC, Objective.parse("precision>=0.8"), 1)
    for c in range(5):
        precision, recall, _ = precision_recall_curve(targets_NC[:, c], scores_NC[:, c])
        best = recall[precision >= 0.8].max()
        decided = scores_NC[:, c] >= found.per_class_C[c]
        if c in found.fallbacks:
            assert best == 0  # only the curve's end point, which predicts nothing
        else:
            assert precision_score(targets_NC[:, c], decided) >= 0.8
            assert recall_score(targets_NC[:, c], decided) == pytest.approx(best)


def test_recall_floor_keeps_the_highest_precision() -> None:
    scores_NC, targets_NC = draw(300, 5)
    found = fit_thresholds(scores_NC, targets_NC, Objective.parse("recall>=0.9"), 1)
    for c in range(5):
        precision, recall, _ = precision_recall_curve(targets_NC[:, c], scores_NC[:, c])
        decided = scores_NC[:, c] >= found.per_class_C[c]
        assert recall_score(targets_NC[:, c], decided) >= 0.9
        assert precision_score(targets_NC[:, c], decided) == pytest.approx(
            precision[recall >= 0.9].max()
        )


def test_threshold_lies_halfway_to_the_next_lower_score() -> None:
    scores_N1 = np.array([[0.9], [0.6], [0.2], [0.1]], np.float32)
    targets_N1 = np.array([[1], [1], [0], [0]], np.int8)
    found = fit_thresholds(scores_N1, targets_N1, F1, 1)
    assert found.per_class_C[0] == pytest.approx(0.4)


def test_top_scored_negative_does_not_silence_the_class() -> None:
    logits = np.array([4.0, 3, 2, -1, -2])
    scores_N1 = (1 / (1 + np.exp(-logits)))[:, None]
    targets_N1 = np.array([[0], [1], [1], [0], [0]], np.int8)
    threshold = fit_thresholds(scores_N1, targets_N1, F1, 1).per_class_C[0]
    assert scores_N1[3, 0] < threshold <= scores_N1[2, 0]


def test_unknown_labels_take_no_part() -> None:
    scores_NC, targets_NC = draw(200, 4)
    unknown_NC = np.random.default_rng(5).random(targets_NC.shape) < 0.3
    masked_NC = np.where(unknown_NC, np.int8(-1), targets_NC)
    found = fit_thresholds(scores_NC, masked_NC, F1, 1)
    for c in range(4):
        known = ~unknown_NC[:, c]
        alone = fit_thresholds(scores_NC[known, c : c + 1], targets_NC[known, c : c + 1], F1, 1)
        assert found.per_class_C[c] == alone.per_class_C[0]


def test_rare_classes_take_the_overall_threshold_and_are_listed() -> None:
    scores_NC, targets_NC = draw(200, 3)
    targets_NC[:, 1] = 0
    targets_NC[:4, 1] = 1
    targets_NC[:, 2] = 0
    found = fit_thresholds(scores_NC, targets_NC, F1, min_positives=5)
    overall = fit_overall(scores_NC, targets_NC, F1)
    assert found.fallbacks == {
        1: "4 positives, fewer than 5",
        2: "0 positives, fewer than 5",
    }
    assert found.per_class_C[1] == found.per_class_C[2] == overall != found.per_class_C[0]


def test_out_of_reach_precision_is_listed() -> None:
    scores_NC = np.linspace(0.1, 0.9, 20, dtype=np.float32)[:, None]
    targets_NC = np.array([[1]] * 10 + [[0]] * 10, np.int8)
    found = fit_thresholds(scores_NC, targets_NC, Objective.parse("precision>=0.9"), 1)
    assert list(found.fallbacks) == [0]
    assert "out of reach" in found.fallbacks[0]


def test_no_positives_at_all_leaves_one_half() -> None:
    zeros = np.zeros((5, 2), np.int8)
    found = fit_thresholds(np.full((5, 2), 0.3), zeros, F1, 1)
    assert found.per_class_C.tolist() == [0.5, 0.5]


def test_what_an_objective_comes_to_equals_a_library_and_a_plain_sum() -> None:
    scores_NC, targets_NC = draw(200, 5)
    made = decision_metrics(scores_NC, targets_NC, np.full(5, 0.5))
    decided_NC = scores_NC >= 0.5
    wanted = fbeta_score(targets_NC, decided_NC, beta=2, average="macro", zero_division=0)
    assert Objective("fbeta", 2.0).attained(made, targets_NC) == pytest.approx(wanted, abs=1e-12)
    missed_C = ((targets_NC == 1) & ~decided_NC).sum(0)
    wrong = ((targets_NC == 0) & decided_NC).sum()
    costs = Objective("cost", 3.0, per_class={1: 7.0})
    wanted = (missed_C @ [3, 7, 3, 3, 3] + wrong) / 200
    assert costs.attained(made, targets_NC) == pytest.approx(wanted, abs=1e-12)
    targets_NC[:50] = -1  # unknown costs nothing
    made = decision_metrics(scores_NC, targets_NC, np.full(5, 0.5))
    decided_NC = decided_NC[50:]
    missed_C = ((targets_NC[50:] == 1) & ~decided_NC).sum(0)
    wanted = (missed_C @ [3, 7, 3, 3, 3] + ((targets_NC[50:] == 0) & decided_NC).sum()) / 200
    assert costs.attained(made, targets_NC) == pytest.approx(wanted, abs=1e-12)


def test_out_of_fold_never_sees_the_fold_that_it_decides() -> None:
    # Pure noise: in sample the thresholds seem to help, out of fold they cannot.
    rng = np.random.default_rng(0)
    scores_NC = rng.random((200, 30))
    targets_NC = (rng.random((200, 30)) < 0.1).astype(np.int8)
    inside = decision_metrics(
        scores_NC, targets_NC, fit_thresholds(scores_NC, targets_NC, F1, 1).per_class_C
    )
    fold_N = stratify(targets_NC, [1] * 5, seed=0)
    outside = out_of_fold(scores_NC, targets_NC, F1, 1, strengths=[0], fold_N=fold_N)[0]
    assert outside.macro_f1 < inside.macro_f1 - 0.03


def test_out_of_fold_equals_a_plain_loop() -> None:
    scores_NC, targets_NC = draw(90, 3)
    fold_N = stratify(targets_NC, [1, 1, 1], seed=7)
    outcomes = out_of_fold(scores_NC, targets_NC, F1, 1, strengths=[0, 20], fold_N=fold_N)
    for strength, outcome in outcomes.items():
        decided = np.zeros(targets_NC.shape, bool)
        for fold in range(3):
            rest = fold_N != fold
            found = fit_thresholds(scores_NC[rest], targets_NC[rest], F1, 1)
            overall = fit_overall(scores_NC[rest], targets_NC[rest], F1)
            decided[~rest] = scores_NC[~rest] >= shrink(found, overall, targets_NC[rest], strength)
        expected = decision_metrics(decided.astype(float), targets_NC)
        assert (outcome.CF1, outcome.OF1) == (expected.CF1, expected.OF1)


def test_shrinkage_moves_rare_classes_further_and_half_way_at_its_strength() -> None:
    targets_NC = np.zeros((100, 2), np.int8)
    targets_NC[:10, 0] = 1
    targets_NC[:40, 1] = 1
    found = Thresholds(np.array([0.9, 0.9]), {})
    pulled_C = shrink(found, 0.1, targets_NC, 10)
    assert pulled_C[0] == pytest.approx(0.5)
    assert pulled_C[0] < pulled_C[1] < 0.9
    assert shrink(found, 0.1, targets_NC, 0) is found.per_class_C
    assert shrink(found, 0.1, targets_NC, 1e9) == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f1", Objective("fbeta", 1.0)),
        ("fbeta=2", Objective("fbeta", 2.0)),
        ("precision>=0.9", Objective("precision", 0.9, (Floor("precision", 0.9),))),
        ("recall>=.95@90%", Objective("recall", 0.95, (Floor("recall", 0.95, 0.9),))),
        ("f1;fpr<=0.01@95%", Objective("fbeta", 1.0, (Floor("fpr", 0.01, 0.95),))),
    ],
)
def test_objectives_are_read(text: str, expected: Objective) -> None:
    assert Objective.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "f2",
        "precision>=1.5",
        "recall>=0",
        "fbeta=0",
        "precision=0.9",
        "recall<=0.9",
        "recall>=0.9@100%",
    ],
)
def test_wrong_objectives_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Objective.parse(text)


def test_costs_are_least_by_brute_force() -> None:
    """Against every threshold that decides otherwise, never and always among them."""
    rng, seen = np.random.default_rng(3), set()
    for _ in range(200):
        scores_NC = rng.random((30, 2)).round(int(rng.integers(1, 4)))
        targets_NC = rng.choice([-1, 0, 1], (30, 2), p=[0.1, 0.6, 0.3]).astype(np.int8)
        if ((targets_NC == 1).sum(0) == 0).any():
            continue
        fn, fp, own = rng.choice([0.3, 1, 5], 3)
        objective = Objective.of_costs(f"fn={fn}, fp={fp},cat:fn={own}").over(["cat", "dog"])
        found = fit_thresholds(scores_NC, targets_NC, objective, 1).per_class_C
        for c, missed in enumerate((own, fn)):
            costs = {
                t: missed * ((scores_NC[:, c] < t) & (targets_NC[:, c] == 1)).sum()
                + fp * ((scores_NC[:, c] >= t) & (targets_NC[:, c] == 0)).sum()
                for t in [*np.unique(scores_NC[:, c]), 1.1, found[c]]
            }
            never = scores_NC[:, c].max() >= 1 and found[c] == 1
            assert never or costs[found[c]] == pytest.approx(min(costs.values()))
            seen.add(found[c] == 1)
    assert seen == {True, False}


@pytest.mark.parametrize("text", ["", "fn", "fn=0", "fn=-1", "tn=1", "cow:fn=2", "fn=1;fp=2"])
def test_costs_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"costs above 0|names of classes"):
        Objective.of_costs(text).over(["cat", "dog"])
