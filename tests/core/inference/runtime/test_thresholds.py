import math

import numpy as np
import pytest

from mlc_cli.core.inference.runtime.metadata import ExportInfo
from mlc_cli.core.inference.runtime.thresholds import threshold_logits, unfold
from mlc_cli.core.runs.card import ModelCard


def info(thresholds: list[float] | None, *, folded: bool) -> ExportInfo:
    card = ModelCard(["a", "b"], {}, (8, 8), (0.5,) * 3, (0.5,) * 3, 1.0, thresholds=thresholds)
    return ExportInfo(card, folded=folded)


def test_what_is_subtracted_is_the_logit() -> None:
    expected = [math.log(t / (1 - t)) for t in (0.1, 0.5, 0.97)]
    assert threshold_logits([0.1, 0.5, 0.97]).tolist() == pytest.approx(expected, abs=1e-6)


def test_thresholds_of_nothing_and_all_stay_finite_and_decide_alike() -> None:
    low, high = threshold_logits([0.0, 1.0]).tolist()
    assert low == pytest.approx(-high)
    assert 27 < high < 28


def test_unfolding_gives_the_logits_back_only_where_they_were_folded() -> None:
    logits = np.array([[0.3, -2.0]], np.float32)
    both = [0.2, 0.9]
    unfolded = unfold(logits - threshold_logits(both), info(both, folded=True))
    np.testing.assert_allclose(unfolded, logits, rtol=1e-6)
    assert unfold(logits, info(both, folded=False)) is logits
    assert unfold(logits, info(None, folded=True)) is logits
