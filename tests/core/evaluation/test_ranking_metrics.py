"""Metrics of the order of scores, against scikit-learn and literal formulas."""

import numpy as np
import pytest
from sklearn import metrics as sk

from mlc_cli.core.evaluation import ranking_metrics as module
from mlc_cli.core.evaluation.metrics import of_classes
from mlc_cli.core.evaluation.ranking_metrics import (
    auroc,
    eleven_point_ap,
    ranking_metrics,
    top_k_NC,
)
from mlc_cli.core.evaluation.results import evaluate


def made(images: int, classes: int, *, levels: int, unknown: float = 0.0):
    """Scores with many ties, and targets."""
    rng = np.random.default_rng(images + classes)
    scores = rng.integers(0, levels, (images, classes)) / levels
    targets = (rng.random((images, classes)) < 0.3).astype(np.int8)
    targets[rng.random((images, classes)) < unknown] = -1
    return scores, targets


@pytest.mark.parametrize("levels", [2, 7, 10**6])
@pytest.mark.parametrize(("images", "classes"), [(40, 5), (7, 1), (1, 4), (300, 17)])
def test_equals_scikit_learn(images: int, classes: int, levels: int, monkeypatch) -> None:
    scores, targets = made(images, classes, levels=levels)
    monkeypatch.setattr(module, "BLOCK_CELLS", 50)
    precision, coverage = ranking_metrics(scores, targets)
    if classes > 1:
        expected = sk.label_ranking_average_precision_score(targets, scores)
        assert precision == pytest.approx(expected, abs=1e-12)
        assert coverage == pytest.approx(sk.coverage_error(targets, scores), abs=1e-12)
    for c, area in enumerate(of_classes(scores, targets, auroc)[0]):
        if 0 < targets[:, c].sum() < images:
            assert area == pytest.approx(sk.roc_auc_score(targets[:, c], scores[:, c]), abs=1e-12)
        else:
            assert np.isnan(area)


def test_unknown_labels_are_as_if_they_were_not_there() -> None:
    scores, targets = made(60, 8, levels=5, unknown=0.3)
    rows = [
        ranking_metrics(s[t >= 0][None], t[t >= 0][None])
        for s, t in zip(scores, targets, strict=True)
    ]
    assert ranking_metrics(scores, targets) == pytest.approx(np.mean(rows, 0), abs=1e-12)
    for c, area in enumerate(of_classes(scores, targets, auroc)[0]):
        known = targets[:, c] >= 0
        expected = sk.roc_auc_score(targets[known, c], scores[known, c])
        assert area == pytest.approx(expected, abs=1e-12)


def test_without_images_they_are_undefined() -> None:
    nothing = np.empty((0, 3)), np.empty((0, 3), np.int8)
    assert np.isnan(ranking_metrics(*nothing)).all()
    assert np.isnan(of_classes(*nothing, auroc)).all()


@pytest.mark.parametrize("levels", [4, 10**6])
def test_eleven_point_ap_equals_its_definition(levels: int) -> None:
    scores, targets = made(200, 6, levels=levels, unknown=0.1)
    targets[:, 5] = np.minimum(targets[:, 5], 0)
    found = of_classes(scores, targets, eleven_point_ap)[0]
    assert np.isnan(found[5])
    for c in range(5):
        known = targets[:, c] >= 0
        precision, recall, _ = sk.precision_recall_curve(targets[known, c], scores[known, c])
        points = [precision[recall >= level - 1e-12].max() for level in np.linspace(0, 1, 11)]
        # the last point of scikit-learn's curve is precision 1 at recall 0, which nobody reached
        points[0] = precision[:-1].max()
        assert found[c] == pytest.approx(np.mean(points), abs=1e-12)


def test_top_k_are_the_k_best_of_each_image() -> None:
    scores, _ = made(50, 9, levels=10**6)
    chosen = top_k_NC(scores, 3)
    assert (chosen.sum(1) == 3).all()
    assert (np.where(chosen, scores, 2).min(1) >= np.where(chosen, -1, scores).max(1)).all()
    assert top_k_NC(scores[:, :2], 3).all()


@pytest.mark.parametrize("levels", [5, 10**6])
def test_decisions_equal_those_of_scikit_learn(levels: int) -> None:
    """Hamming loss, exact match, and what is decided on at most three labels an image."""
    scores, targets = made(200, 9, levels=levels)
    scores += np.arange(9) * 1e-9  # scikit-learn knows no top 3: no ties, so that there is one
    best = np.argsort(-scores, axis=1)[:, :3]
    top = np.zeros_like(targets)
    np.put_along_axis(top, best, 1, axis=1)
    half = (scores >= 0.5).astype(np.int8)
    found = evaluate(scores, targets, [str(c) for c in range(9)])
    for metrics, decided in ((found.decided, half), (found.top_3["at_0.5"], half & top)):
        assert metrics.hamming_loss == pytest.approx(sk.hamming_loss(targets, decided))
        assert metrics.exact_match == pytest.approx(sk.accuracy_score(targets, decided))
        for average, names in (("macro", ("CP", "CR")), ("micro", ("OP", "OR"))):
            expected = sk.precision_recall_fscore_support(
                targets, decided, average=average, zero_division=0
            )
            assert [getattr(metrics, name) for name in names] == pytest.approx(expected[:2])
        assert pytest.approx(sk.f1_score(targets, decided, average="micro")) == metrics.OF1
        harmonic = 2 * metrics.CP * metrics.CR / (metrics.CP + metrics.CR)
        assert pytest.approx(harmonic) == metrics.CF1
