"""Which images an epoch shows."""

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.loading.sampling import EpochSampler, repeat_factors
from mlc_cli.core.system.distributed import Group


def keys(sampler: EpochSampler, epoch: int) -> list[list[tuple[int, int]]]:
    return list(sampler.keys(epoch))


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first, again, other = (EpochSampler(50, 7, seed) for seed in (1, 1, 2))
    keys(again, 0)
    assert keys(first, 4) == keys(again, 4)
    assert keys(first, 4) != keys(first, 5)
    assert keys(first, 4) != keys(other, 4)


@pytest.mark.parametrize("seed", [None, 1])
def test_every_image_comes_once_in_an_epoch(seed: int | None) -> None:
    batches = keys(EpochSampler(50, 7, seed), 3)
    assert [len(batch) for batch in batches] == [7] * 7 + [1]
    flat = [key for batch in batches for key in batch]
    assert sorted(flat) == [(3, index) for index in range(50)]
    assert (flat == sorted(flat)) == (seed is None)


@pytest.mark.parametrize(
    ("images", "drop_last", "count"), [(50, True, 7), (50, False, 8), (49, True, 7), (3, True, 1)]
)
def test_length_is_the_number_of_batches(images: int, drop_last: bool, count: int) -> None:
    sampler = EpochSampler(images, 7, 0, drop_last=drop_last)
    assert len(sampler) == len(keys(sampler, 0)) == count


def test_fewer_images_than_a_batch_are_one_batch() -> None:
    (batch,) = keys(EpochSampler(3, 7, 0, drop_last=True), 0)
    assert len(batch) == 3


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_processes_share_each_shuffled_batch_in_nearly_equal_parts(size: int) -> None:
    whole = EpochSampler(50, 7, 3)
    shares = [keys(EpochSampler(50, 7, 3, group=Group(rank, size)), 2) for rank in range(size)]
    for batch, parts in zip(keys(whole, 2), zip(*shares, strict=True), strict=True):
        assert [key for part in parts for key in part] == batch
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_whole_batches_are_dealt_out_in_the_order_of_the_file(size: int) -> None:
    whole = keys(EpochSampler(50, 7), 0)
    samplers = [EpochSampler(50, 7, group=Group(rank, size)) for rank in range(size)]
    rounds = list(zip(*(keys(sampler, 0) for sampler in samplers), strict=True))
    assert [len(sampler) for sampler in samplers] == [len(rounds)] * size
    shard = [batch for batches in rounds for batch in batches]
    assert shard == whole + [[]] * (len(shard) - len(whole))
    assert len(shard) - len(whole) < size


def test_images_of_a_batch_are_known_without_reading_it() -> None:
    sampler = EpochSampler(50, 7, 3, group=Group(1, 2))
    batches = keys(EpochSampler(50, 7, 3), 4)
    for number, batch in enumerate(batches):
        images = sampler.images_of(4, range(number, number + 1))
        assert images == [index for _, index in batch]
    assert sampler.images_of(4, range(2, 4)) == [i for batch in batches[2:4] for _, i in batch]


def test_factors_are_those_of_the_formula(tmp_path: Path) -> None:
    labels = [["a"], ["a", "b"], [], ["a"], ["a"], ["b", "a"], ["c"], []]
    unknown = [["b"], [], ["b"], ["b", "c"], [], [], [], []]
    entries = zip(map(str, range(8)), labels, unknown, strict=True)
    source = tmp_path / "train.json"
    source.write_text(json.dumps({"classes": ["a", "b", "c", "d"], "images": [*entries]}))
    split = read_annotation(source)
    part = 0.7
    frequency = {"a": 5 / 8, "b": 2 / 5, "c": 1 / 7}
    expected = [
        max([1.0, *(math.sqrt(part / frequency[name]) for name in names)]) for names in labels
    ]
    np.testing.assert_allclose(repeat_factors(split, part), expected, rtol=1e-12)


@pytest.mark.parametrize("factors", [[1, 1, 1], [1, 2.5, 1.25, 1], [1, 1.2, 1.2], [3.0, 2.0]])
def test_epochs_are_equally_long_and_show_each_image_as_often_as_told(
    factors: list[float],
) -> None:
    repeats_N = np.array(factors, np.float64)
    images, drawn = len(factors), math.floor(sum(factors) + 1e-9)
    sampler = EpochSampler(images, 2, 5, repeats_N=repeats_N)
    assert sampler.drawn == drawn
    assert len(sampler) == math.ceil(drawn / 2)
    times_N = np.zeros(images)
    for epoch in range(400):
        shown = sampler.images_of(epoch, range(len(sampler)))
        assert len(shown) == drawn
        counts_N = np.bincount(shown, minlength=images)
        assert (counts_N >= np.floor(repeats_N)).all()
        assert (counts_N <= np.ceil(repeats_N)).all()
        times_N += counts_N / 400
    rest_N = repeats_N % 1
    rest_N *= (drawn - np.floor(repeats_N).sum()) / max(rest_N.sum(), 1)
    np.testing.assert_allclose(times_N, np.floor(repeats_N) + rest_N, atol=0.1)


def test_lengths_do_not_hang_on_rounding() -> None:
    for count in (3, 7, 10, 49, 1000):
        repeats_N = np.full(count, 1 + 1 / count)
        sampler = EpochSampler(count, 1, 0, repeats_N=repeats_N)
        assert sampler.drawn == count + 1
        assert all(len(sampler.images_of(e, range(count + 1))) == count + 1 for e in range(100))


def test_an_image_that_comes_again_is_told_apart() -> None:
    sampler = EpochSampler(3, 4, 0, repeats_N=np.array([1.0, 3.0, 2.0]))
    drawn = sorted(key for batch in keys(sampler, 2) for key in batch)
    assert drawn == [(2, draw) for draw in (0, 1, 2, 1 + 3, 2 + 3, 1 + 6)]


def test_processes_share_repeated_images() -> None:
    repeats_N = np.linspace(1, 2.5, 20)
    whole = keys(EpochSampler(20, 7, 3, drop_last=True, repeats_N=repeats_N), 1)
    shares = [
        keys(EpochSampler(20, 7, 3, drop_last=True, repeats_N=repeats_N, group=Group(rank, 2)), 1)
        for rank in range(2)
    ]
    assert [one + two for one, two in zip(*shares, strict=True)] == whole


@pytest.mark.parametrize("part", [0.3, 0.5, 0.77])
def test_parts_of_epochs_show_all_images_equally_often(part: float) -> None:
    sampler = EpochSampler(50, 4, seed=3, part=part)
    assert sampler.drawn == round(50 * part)
    shown = Counter[int]()
    for epoch in range(20):
        images = sampler.images_of(epoch, range(len(sampler)))
        assert len(images) == sampler.drawn
        shown.update(images)
        counts = [shown[image] for image in range(50)]
        assert max(counts) - min(counts) <= 1
    again = EpochSampler(50, 4, seed=3, part=part)
    assert list(again.keys(7, 2)) == list(sampler.keys(7))[2:]  # taken up in the middle
