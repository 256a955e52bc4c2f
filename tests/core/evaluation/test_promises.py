"""Promised floors against scipy's beta quantiles and against draws from a known source."""

from math import comb, sqrt

import numpy as np
import pytest
from scipy.stats import beta, norm
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from mlc_cli.core.evaluation.objectives import Objective
from mlc_cli.core.evaluation.promises import Floor, at_least
from mlc_cli.core.evaluation.ranking import rank_positives
from mlc_cli.core.evaluation.thresholds import fit_thresholds, share_error
from tests.core.evaluation.deciding import decision_metrics

SHARES = np.array([0.08, 0.2, 0.35, 0.6])
LIFT = np.array([1.5, 2.0, 2.5, 3.0])


def draw(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets_NC = (rng.random((images, 4)) < SHARES).astype(np.int8)
    return norm.cdf(rng.normal(size=(images, 4)) + LIFT * targets_NC - 1), targets_NC


def truth(measure: str, thresholds_C: np.ndarray) -> np.ndarray:
    """The measure on infinitely many images, from the normal distributions."""
    cut_C = norm.ppf(thresholds_C) + 1
    recall_C, fpr_C = norm.sf(cut_C - LIFT), norm.sf(cut_C)
    if measure == "precision":
        right_C = SHARES * recall_C
        return right_C / (right_C + (1 - SHARES) * fpr_C + 1e-300)
    return recall_C if measure == "recall" else fpr_C


def misses(text: str, draws: int = 400) -> tuple[float, float]:
    """Share of missed promises, and of classes that got one."""
    objective = Objective.parse(text)
    floor = objective.floors[0]
    missed = made = 0
    for seed in range(draws):
        found = fit_thresholds(*draw(600, seed), objective, 5)
        promised_C = ~np.isin(np.arange(4), list(found.unpromised))
        real_C = truth(floor.measure, found.per_class_C)
        wrong_C = real_C > floor.bound if floor.measure == "fpr" else real_C < floor.bound
        missed += int((wrong_C & promised_C).sum())
        made += int(promised_C.sum())
    return missed / (4 * draws), made / (4 * draws)


@pytest.mark.parametrize("floor", ["recall>=0.9", "precision>=0.8", "fpr<=0.05"])
def test_promises_are_missed_in_at_most_five_percent(floor: str) -> None:
    missed, made = misses(f"{floor}@95%")
    assert missed <= 0.05 + 2 * sqrt(0.05 * 0.95 / 1600)
    assert made > 0.5  # it is not kept by promising nothing
    estimated, _ = misses(floor)
    assert estimated > 0.3


def test_precision_is_promised_nearly_wherever_the_exact_test_finds_a_cut() -> None:
    """Against the best of all cuts that pass by themselves, which no promise may look for."""
    objective, feasible, gaps = Objective.parse("precision>=0.8@95%"), 0, []
    for seed in range(300):
        scores_NC, targets_NC = draw(600, seed)
        found = fit_thresholds(scores_NC, targets_NC, objective, 5)
        for c in range(4):
            present_N = targets_NC[np.argsort(-scores_NC[:, c]), c]
            hits_N, ranks_N = np.cumsum(present_N), np.arange(1, 601)
            limit_N = beta.ppf(0.05, np.maximum(hits_N, 1e-9), ranks_N - hits_N + 1)
            passed = np.flatnonzero((limit_N >= 0.8) & (present_N == 1))
            feasible += len(passed) > 0
            if len(passed) and c not in found.unpromised:
                decided_N = scores_NC[:, c] >= found.per_class_C[c]
                best = hits_N[passed[-1]] / ranks_N[passed[-1]]
                gaps.append(abs(targets_NC[decided_N, c].mean() - best))
    assert feasible > 800
    assert len(gaps) >= 0.95 * feasible - 2 * sqrt(0.05 * 0.95 * feasible)
    assert np.median(gaps) <= 0.01


@pytest.mark.parametrize("prevalence", [0.3, 0.7999])
def test_a_precision_that_never_falls_further_is_not_taken_for_one_that_is_kept(
    prevalence: float,
) -> None:
    """A fifth of the labels is wrong, so that the first ranks are just below the floor for long."""
    objective, draws, made = Objective.parse("precision>=0.8@95%"), 1000, 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        targets_N = rng.random(600) < prevalence
        scores_N = rng.normal(size=600) + (3 * targets_N if prevalence < 0.5 else 0)
        if prevalence < 0.5:
            targets_N ^= rng.random(600) < 0.2001
        drawn = norm.cdf(scores_N - 1)[:, None], targets_N.astype(np.int8)[:, None]
        made += not fit_thresholds(*drawn, objective, 5).unpromised
    assert 0 < made / draws <= 0.05 + 2 * sqrt(0.05 * 0.95 / draws)


def test_promises_hold_on_real_scores() -> None:
    """Handwritten digits of scikit-learn under noise, scored by a logistic regression."""
    images, names = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    model = LogisticRegression(max_iter=2000).fit(images[:600] / 16, names[:600])
    rows = rng.integers(600, len(images), 40_000)
    table_NC = model.predict_proba(images[rows] / 16 + rng.normal(0, 0.35, (40_000, 64)))
    table_NC = np.round(table_NC, 12)
    truth_NC = (names[rows, None] == np.arange(10)).astype(np.int8)
    for text in ("recall>=0.7@95%", "precision>=0.7@95%", "fpr<=0.05@95%"):
        objective, missed, made, draws = Objective.parse(text), 0, 0, 100
        for _ in range(draws):
            drawn = rng.choice(40_000, 600, replace=False)
            found = fit_thresholds(table_NC[drawn], truth_NC[drawn], objective, 5)
            kept = decision_metrics(table_NC, truth_NC, found.per_class_C)
            promised_C = ~np.isin(np.arange(10), list(found.unpromised))
            measured_C = getattr(kept, f"{objective.kind}_C")
            bound = objective.value
            wrong_C = measured_C > bound if objective.kind == "fpr" else measured_C < bound
            missed += int((wrong_C & promised_C).sum())
            made += int(promised_C.sum())
        assert missed <= (0.05 + 2 * sqrt(0.05 * 0.95 / (10 * draws))) * 10 * draws
        assert made > 500


@pytest.mark.parametrize(("trials", "hits"), [(29, 29), (100, 95), (40, 0), (7, 3)])
def test_the_test_is_clopper_and_pearsons_limit(trials: int, hits: int) -> None:
    literal = sum(comb(trials, k) * 0.9**k * 0.1 ** (trials - k) for k in range(hits, trials + 1))
    found = at_least(np.array([hits]), trials, 0.9)[0]
    assert found == pytest.approx(literal, abs=1e-12)
    limit = beta.ppf(0.05, hits, trials - hits + 1) if hits else 0
    assert (found <= 0.05) == (limit >= 0.9)


@pytest.mark.parametrize("seed", range(20))
def test_recall_takes_every_cut_that_the_exact_test_allows(seed: int) -> None:
    scores_NC, targets_NC = draw(600, seed)
    found = fit_thresholds(scores_NC, targets_NC, Objective.parse("recall>=0.9@95%"), 5)
    for c in range(4):
        scores_P = scores_NC[targets_NC[:, c] == 1, c]
        best = -1.0
        for cut in np.sort(scores_P):
            hits = int((scores_P >= cut).sum())
            if beta.ppf(0.05, hits, len(scores_P) - hits + 1) >= 0.9:
                best = max(best, hits / (scores_NC[:, c] >= cut).sum())
        assert (c in found.unpromised) == (best < 0)
        if best >= 0:
            decided = scores_NC[:, c] >= found.per_class_C[c]
            assert targets_NC[decided, c].mean() == pytest.approx(best)


def test_the_number_of_positives_that_would_do_does() -> None:
    floor = Floor("recall", 0.9, 0.95)
    assert floor.least() == 29  # 0.9 ** 29 = 0.047
    for positives, promised in ((28, False), (29, True)):
        ranked = rank_positives(np.linspace(0.1, 0.9, positives), np.ones(positives, np.int8))
        assert floor.allowed(ranked).any() == promised
    few = np.array([1] * 28 + [0] * 10, np.int8)[:, None]
    found = fit_thresholds(
        np.linspace(0.9, 0.1, 38)[:, None], few, Objective.parse(f"f1;{floor}"), 5
    )
    assert found.per_class_C.tolist() == [0.0]
    assert "28 positives, and 29 would do" in found.unpromised[0]


@pytest.mark.parametrize("text", ["precision>=0.99@95%", "fpr<=0.001@95%"])
def test_without_a_promise_nothing_is_predicted(text: str) -> None:
    rng = np.random.default_rng(1)
    scores_N1, targets_N1 = rng.random((200, 1)), (rng.random((200, 1)) < 0.3).astype(np.int8)
    found = fit_thresholds(scores_N1, targets_N1, Objective.parse(text), 5)
    assert found.per_class_C.tolist() == [1.0]
    assert list(found.unpromised) == [0]


def test_ties_are_not_cut() -> None:
    scores_N1 = np.repeat([0.9, 0.5], [60, 40])[:, None]
    targets_N1 = np.repeat([1, 0, 1], [58, 2, 40]).astype(np.int8)[:, None]
    found = fit_thresholds(scores_N1, targets_N1, Objective.parse("precision>=0.8@95%"), 5)
    assert found.per_class_C[0] <= 0.5


@pytest.mark.parametrize(("positives", "promised"), [(165, True), (164, False)])
def test_equal_scores_are_one_cut_and_one_test(positives: int, promised: bool) -> None:
    targets_N1 = (np.arange(300) < positives).astype(np.int8)[:, None]
    assert (beta.ppf(0.05, positives, 301 - positives) >= 0.5) == promised
    objective = Objective.parse("precision>=0.5@95%")
    found = fit_thresholds(np.full((300, 1), 0.5), targets_N1, objective, 5)
    assert (found.per_class_C[0] <= 0.5) == promised


def test_two_floors_are_kept_at_once_or_not_at_all() -> None:
    scores_NC, targets_NC = draw(4000, 3)
    both = Objective.parse("f1;recall>=0.7@95%;precision>=0.7@95%")
    found = fit_thresholds(scores_NC, targets_NC, both, 5)
    kept_C = ~np.isin(np.arange(4), list(found.unpromised))
    assert kept_C.tolist() == [False, False, True, True]
    for measure in ("recall", "precision"):
        assert (truth(measure, found.per_class_C)[kept_C] >= 0.7).all()


def test_jointly_no_class_is_missed_in_95_of_100_draws() -> None:
    objective, missed, draws = Objective.parse("recall>=0.9@95%"), 0, 400
    for seed in range(draws):
        drawn = draw(600, seed)
        found = fit_thresholds(*drawn, share_error(drawn[1], objective), 5)
        missed += bool((truth("recall", found.per_class_C) < 0.9).any())
    assert missed / draws <= 0.05 + 2 * sqrt(0.05 * 0.95 / draws)


def test_classes_without_images_enough_leave_their_share_to_the_others() -> None:
    targets_NC = draw(600, 0)[1]
    targets_NC[:, 0] = 0
    targets_NC[:10, 0] = 1
    assert share_error(targets_NC, Objective.parse("recall>=0.9@95%")).jointly == 3
