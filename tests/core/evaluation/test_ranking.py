"""Ranks of positives against a literal count, on both ways to find them."""

from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.evaluation import ranking
from mlc_cli.core.evaluation.ranking import RankedPositives, over_classes, rank_all, rank_positives

FLOATS = (np.float16, np.float32, np.float64)


def ranked(scores_NC: np.ndarray, targets_NC: np.ndarray) -> dict[int, RankedPositives]:
    found: dict[int, RankedPositives] = {}
    over_classes(scores_NC, targets_NC, found.__setitem__)
    return found


def check(scores_NC: np.ndarray, targets_NC: np.ndarray) -> None:
    found = ranked(scores_NC, targets_NC)
    assert sorted(found) == list(range(scores_NC.shape[1]))
    for c, ranks in found.items():
        known = scores_NC[:, c][targets_NC[:, c] >= 0]
        positives = np.sort(scores_NC[:, c][targets_NC[:, c] == 1])
        lower = [max((k for k in known if k < s), default=-np.inf) for s in positives]
        np.testing.assert_array_equal(ranks.scores_P, positives)
        np.testing.assert_array_equal(ranks.hits_P, [sum(positives >= s) for s in positives])
        np.testing.assert_array_equal(ranks.sorted_rank_P, [sum(known >= s) for s in positives])
        np.testing.assert_array_equal(ranks.above_P, [sum(known > s) for s in positives])
        np.testing.assert_array_equal(ranks.lower_P, lower)


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("unknown", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shift", [0.0, -0.5])
@pytest.mark.parametrize("values", [3, 10_000])
def test_ranks_equal_a_count(kind: type, unknown: float, shift: float, values: int) -> None:
    rng = np.random.default_rng(1)
    for images in (0, 1, 2, 300):
        scores_NC = (rng.integers(0, values, (images, 7)) / values + shift).astype(kind)
        targets_NC = (rng.random((images, 7)) < np.linspace(0, 1, 7)).astype(np.int8)
        targets_NC[rng.random((images, 7)) < unknown] = -1
        check(scores_NC, targets_NC)


@pytest.mark.parametrize("kind", FLOATS)
def test_the_ends_of_the_range_are_in_order(kind: type) -> None:
    info = np.finfo(kind)
    column = [0.0, -0.0, info.smallest_subnormal, info.tiny, 1.0, 1 - info.epsneg, info.max]
    scores_NC = np.array(column, kind)[:, None].repeat(4, axis=1)
    targets_NC = np.array([[c in (row % 4, 3) for c in range(4)] for row in range(7)], np.int8)
    check(scores_NC, targets_NC)
    targets_NC[4] = -1
    check(scores_NC, targets_NC)


def test_columns_of_a_wider_array_are_ranked_in_place() -> None:
    rng = np.random.default_rng(2)
    wide = rng.random((50, 12), np.float32)
    targets_NC = (rng.random((50, 12)) < 0.4).astype(np.int8)
    check(wide[::2, 3:10:2], targets_NC[::2, 3:10:2])
    check(np.asfortranarray(wide), np.asfortranarray(targets_NC))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("values", [20, 10**6])
def test_ranks_of_all_classes_block_by_block_are_those_at_once(
    order: str, values: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    made = {"s": rng.integers(0, values, (300, 7)) / values, "t": rng.integers(-1, 2, (300, 7))}
    for name, array in made.items():
        np.save(tmp_path / f"{name}.npy", np.asarray(array, order=order))
    scores_NC, targets_NC = (np.load(tmp_path / f"{n}.npy", mmap_mode="r") for n in made)
    at_once = rank_positives(made["s"].ravel(), made["t"].ravel())
    monkeypatch.setattr(ranking, "BLOCK_CELLS", 600)
    found = rank_all(scores_NC, targets_NC)
    for name, value in vars(at_once).items():
        np.testing.assert_array_equal(getattr(found, name), value)
    check(scores_NC, targets_NC)
