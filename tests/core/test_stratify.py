import numpy as np
import pytest

from mlc_cli.core.stratify import stratify


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
