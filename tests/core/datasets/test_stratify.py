from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pytest

from mlc_cli.core.datasets.stratify import Units, share_out, stratify


def draw(images: int, frequencies: list[float], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((images, len(frequencies))) < frequencies).astype(np.int8)


def test_every_class_is_shared_out_as_wanted() -> None:
    targets_NC = draw(1000, [0.5, 0.2, 0.05, 0.02])
    part_N = stratify(targets_NC, [0.8, 0.1, 0.1], seed=0)
    for part, share in enumerate([0.8, 0.1, 0.1]):
        wanted_C = targets_NC.sum(axis=0) * share
        assert np.abs(targets_NC[part_N == part].sum(axis=0) - wanted_C).max() <= 2
        assert abs((part_N == part).sum() - 1000 * share) <= 5


def test_rare_class_reaches_every_part_where_plain_chance_would_not() -> None:
    targets_NC = draw(500, [0.5])
    rare = np.zeros((500, 1), np.int8)
    rare[:5] = 1
    part_N = stratify(np.hstack([targets_NC, rare]), [1] * 5, seed=3)
    assert sorted(part_N[:5]) == [0, 1, 2, 3, 4]


def test_same_seed_same_parts_and_another_seed_others() -> None:
    targets_NC = draw(200, [0.3, 0.3])
    first = stratify(targets_NC, [1, 1], seed=1)
    assert (first == stratify(targets_NC, [1, 1], seed=1)).all()
    assert (first != stratify(targets_NC, [1, 1], seed=2)).any()


@pytest.mark.parametrize("value", [0, -1])
def test_images_without_positives_are_shared_out_too(value: int) -> None:
    part_N = stratify(np.full((9, 2), value, np.int8), [1, 2], seed=0)
    assert np.bincount(part_N).tolist() == [3, 6]


def covered(has_UC: np.ndarray, part_U: np.ndarray, parts: int) -> np.ndarray:
    """Which class is in which part."""
    return np.array([has_UC[part_U == part].any(axis=0) for part in range(parts)]).T


def steps(part_U: np.ndarray, parts: int) -> Iterator[np.ndarray]:
    """All divisions that differ by one unit elsewhere, or two in each other's places."""
    for unit in range(len(part_U)):
        for part in range(parts):
            yield np.where(np.arange(len(part_U)) == unit, part, part_U)
    for one, other in combinations(range(len(part_U)), 2):
        after_U = part_U.copy()
        after_U[[one, other]] = part_U[[other, one]]
        yield after_U


def gap(sizes_U: np.ndarray, part_U: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    wanted_K = sizes_U.sum() * np.array(shares) / np.sum(shares)
    return np.abs(np.bincount(part_U, sizes_U, len(shares)) - wanted_K)


SHARES = [(0.8, 0.2), (1, 1), (0.7, 0.2, 0.1), (1, 1, 1, 1)]


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("largest", [1, 4])
@pytest.mark.parametrize("density", [0.15, 0.3])
def test_no_step_is_left_that_gives_a_class_to_a_part_and_takes_none(
    shares: Sequence[float], largest: int, density: float
) -> None:
    rng = np.random.default_rng(1)
    for seed in range(30):
        units, classes = int(rng.integers(2, 14)), int(rng.integers(1, 9))
        unit_N = np.repeat(np.arange(units), rng.integers(1, largest + 1, units))
        present_NC = rng.random((len(unit_N), classes)) < density
        shared = Units.of_images(unit_N, *np.nonzero(present_NC), classes)
        part_U = share_out(shared, shares, seed)
        has_UC = np.array([present_NC[unit_N == unit].any(axis=0) for unit in range(units)])
        before, near = covered(has_UC, part_U, len(shares)), gap(shared.sizes_U, part_U, shares)
        for after_U in steps(part_U, len(shares)):
            after = covered(has_UC, after_U, len(shares))
            changed = np.unique(np.concatenate([a[after_U != part_U] for a in (part_U, after_U)]))
            moved = gap(shared.sizes_U, after_U, shares)[changed].max(initial=0)
            allowed = moved <= max(1, near[changed].max(initial=0)) + 1e-6
            assert not (allowed and (after >= before).all() and (after > before).any())


def test_classes_of_two_or_three_images_are_in_both_parts_wherever_any_division_does_it() -> None:
    """Nearly: one step at a time does not find every way there is."""
    rng = np.random.default_rng(0)
    possible = reached = 0
    for seed in range(400):
        images, classes = int(rng.integers(4, 10)), int(rng.integers(2, 6))
        has_NC = np.zeros((images, classes), bool)
        for label in range(classes):
            has_NC[rng.choice(images, int(rng.integers(2, 4)), replace=False), label] = True
        part_N = stratify(has_NC.astype(np.int8), SHARES[seed % 2], seed)
        divisions = (
            np.isin(np.arange(images), second).astype(np.int64)
            for second in combinations(range(images), int((part_N == 1).sum()))
        )
        if any(covered(has_NC, other_N, 2).all() for other_N in divisions):
            possible += 1
            reached += bool(covered(has_NC, part_N, 2).all())
    assert possible > 300
    assert reached >= 0.99 * possible


@pytest.mark.parametrize("seed", range(6))
def test_a_class_that_goes_along_with_rarer_ones_is_in_both_parts_too(seed: int) -> None:
    rows = [[0, 0, 1, 1], [0, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    part_N = stratify(np.array(rows, np.int8), [1, 1], seed)
    assert covered(np.array(rows) == 1, part_N, 2).all()
    assert sorted(np.bincount(part_N)) == [2, 3]


def test_repair_is_decided_by_the_seed() -> None:
    targets_NC = draw(60, [0.04] * 60, seed=4)
    first = stratify(targets_NC, [0.8, 0.2], seed=1)
    assert (first == stratify(targets_NC, [0.8, 0.2], seed=1)).all()
    assert (first != stratify(targets_NC, [0.8, 0.2], seed=2)).any()


@pytest.mark.parametrize("value", [0, 1, -1])
def test_one_image_goes_to_the_larger_part(value: int) -> None:
    assert stratify(np.array([[value]], np.int8), [0.8, 0.2], seed=0).tolist() == [0]


def test_unknown_labels_do_not_count_as_images_of_a_class() -> None:
    targets_NC = draw(60, [0.04] * 60, seed=4)
    unknown_NC = np.where((targets_NC == 0) & (draw(60, [0.5] * 60) == 1), -1, targets_NC)
    assert (stratify(unknown_NC, [0.8, 0.2], 1) == stratify(targets_NC, [0.8, 0.2], 1)).all()
