"""Pairs of close hashes, against comparing all with all."""

import numpy as np
import pytest

from mlc_cli.core.datasets.inspection.near import near_pairs

LARGE = 10**6


def all_pairs(hashes: np.ndarray, distance: int) -> list[tuple[int, int, int]]:
    values = hashes.tolist()
    return [
        (i, j, (values[i] ^ values[j]).bit_count())
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if (values[i] ^ values[j]).bit_count() <= distance
    ]


def found(hashes: np.ndarray, distance: int, most: int = LARGE) -> list[tuple[int, int, int]]:
    near = near_pairs(hashes, distance, most)
    assert near.complete
    return list(
        zip(near.first_P.tolist(), near.second_P.tolist(), near.distances_P.tolist(), strict=True)
    )


def crowded(seed: int, count: int = 150) -> np.ndarray:
    """Hashes in families: each a few random bits away from one of five."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2**64, 5, dtype=np.uint64)
    hashes = []
    for _ in range(count):
        flipped = rng.choice(64, rng.integers(0, 9), replace=False)
        noise = sum(1 << int(bit) for bit in flipped)
        hashes.append(int(rng.choice(centres)) ^ noise)
    return np.unique(np.array(hashes, np.uint64))


@pytest.mark.parametrize("distance", [0, 1, 2, 3, 5, 6, 8, 12, 20, 63])
def test_all_pairs_are_found_once(distance: int) -> None:
    hashes = crowded(distance)
    pairs = found(hashes, distance)
    assert pairs == all_pairs(hashes, distance)
    assert pairs or distance == 0


@pytest.mark.parametrize("bit", [0, 1, 31, 32, 62, 63])
def test_every_bit_counts(bit: int) -> None:
    base = np.uint64(0x0123456789ABCDEF)
    assert found(np.array([base, base ^ np.uint64(1 << bit)]), 1) == [(0, 1, 1)]


def test_hashes_that_are_all_in_one_bucket_are_compared() -> None:
    hashes = np.arange(300, dtype=np.uint64)  # the upper 55 bits of all are equal
    assert found(hashes, 2) == all_pairs(hashes, 2)


@pytest.mark.parametrize("count", [0, 1])
def test_few_hashes_have_no_pairs(count: int) -> None:
    assert found(np.zeros(count, np.uint64), 6) == []


def test_too_many_pairs_are_cut_and_it_is_said() -> None:
    hashes = np.arange(256, dtype=np.uint64)
    everything = set(all_pairs(hashes, 8))
    near = near_pairs(hashes, 8, 1000)
    assert not near.complete
    pairs = set(
        zip(near.first_P.tolist(), near.second_P.tolist(), near.distances_P.tolist(), strict=True)
    )
    assert len(pairs) == 1000
    assert pairs < everything
