"""Orders that are evaluated as they go, against their definition."""

import itertools
import time
import tracemalloc

import numpy as np
import pytest
from scipy.stats import chisquare

from mlc_cli.core.loading import orders, sampling
from mlc_cli.core.loading.orders import InBlocks, Keyed
from mlc_cli.core.loading.sampling import EpochSampler
from mlc_cli.core.system.distributed import Group


@pytest.mark.parametrize("length", [1, 2, 3, 5, 16, 17, 1000, 4096, 65_537])
def test_a_keyed_order_has_every_number_once(length: int) -> None:
    order = Keyed(length, np.random.default_rng(length))
    whole = order[:]
    assert sorted(whole.tolist()) == list(range(length))
    parts = [order[start : start + 7] for start in range(0, length, 7)]
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_keyed_orders_are_as_random_as_they_should_be() -> None:
    """Where the first and the next number go, over many keys, against a uniform choice."""
    firsts = np.array([Keyed(30, np.random.default_rng(seed))[:2] for seed in range(6000)])
    assert chisquare(np.bincount(firsts[:, 0], minlength=30)).pvalue > 1e-3
    steps = (firsts[:, 1] - firsts[:, 0]) % 30
    assert chisquare(np.bincount(steps, minlength=30)[1:]).pvalue > 1e-3


def test_small_orders_are_those_of_numpy_and_large_ones_keyed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flat = [draw for batch in EpochSampler(50, 7, 3).keys(2) for _, draw in batch]
    assert flat == np.random.default_rng((3, 2)).permutation(50).tolist()
    monkeypatch.setattr(sampling, "LARGE", 49)
    for repeats_N in (None, np.linspace(1, 2.5, 50)):
        sampler = EpochSampler(50, 7, 3, repeats_N=repeats_N, part=0.5)
        own = [
            draw % 50 for epoch in range(2) for batch in sampler.keys(epoch) for _, draw in batch
        ]
        assert set(own) == set(range(50))
        assert len(own) == 2 * sampler.drawn
        assert own != sorted(own)


def test_an_order_of_a_hundred_million_begins_at_once_and_takes_no_memory() -> None:
    tracemalloc.start()
    started = time.perf_counter()
    sampler = EpochSampler(10**8, 64, 0, drop_last=True)
    batches = sampler.keys(5)
    seen = [next(batches) for _ in range(20)]
    seconds, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 5
    assert peak < 10e6
    assert len({draw for batch in seen for _, draw in batch}) == 20 * 64
    assert sampler.images_of(5, range(3, 4)) == [draw for _, draw in seen[3]]


SIZES = [5, 1, 80, 3, 40, 40, 17, 1, 1, 64, 9, 2]
STARTS = np.concatenate([[0], np.cumsum(SIZES)])


@pytest.mark.parametrize("window", [1, 4, 100])
@pytest.mark.parametrize("nodes", [1, 3])
def test_blocks_show_each_image_once_however_many_nodes_there_are(
    monkeypatch: pytest.MonkeyPatch, window: int, nodes: int
) -> None:
    monkeypatch.setattr(orders, "WINDOW", window)
    images = int(STARTS[-1])
    shares = [
        list(EpochSampler(images, 16, 1, starts_B=STARTS,
                          group=Group(rank, nodes)).keys(4))
        for rank in range(nodes)
    ]  # fmt: skip
    steps = [
        sorted(draw for share in step for _, draw in share) for step in zip(*shares, strict=True)
    ]
    assert sorted(draw for step in steps for draw in step) == list(range(images))
    alone = EpochSampler(images, 16, 1, starts_B=STARTS).keys(4)
    assert steps == [sorted(draw for _, draw in batch) for batch in alone]


def test_blocks_come_one_after_another_through_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "WINDOW", 4)
    starts_B = np.arange(0, 2001, 20)
    order = InBlocks(starts_B, (1, 2))
    whole = order[:]
    assert (
        np.concatenate([order[n : n + 33] for n in range(0, 2000, 33)]).tolist() == whole.tolist()
    )
    blocks = whole.reshape(100, 20) // 20  # of each step
    assert all(len(set(step)) == 4 for step in blocks.tolist())
    begun = [set(step) - set(before) for before, step in itertools.pairwise(blocks)]
    assert {len(own) for own in begun} == {1}
    assert whole.tolist() != InBlocks(starts_B, (1, 3))[:].tolist()
    assert sorted(whole.tolist()) == list(range(2000))
