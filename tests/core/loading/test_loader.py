import os
import signal
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
import torch

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.loading import loader
from mlc_cli.core.loading.augment import Compose, Sometimes, cutout, flip
from mlc_cli.core.loading.dataset import Batch, ImageDataset
from mlc_cli.core.loading.image_cache import ImageCache
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.loading.rand_augment import pair_rand_augment
from mlc_cli.core.loading.readers import Readers
from mlc_cli.core.loading.sampling import EpochSampler
from mlc_cli.errors import BadImageError, DataError, MlcError

MakeSplit = Callable[..., Annotation]
SIZE = (16, 24)
AUGMENT = Compose(
    (pair_rand_augment, Sometimes(0.5, partial(cutout, factor=0.4)), Sometimes(0.5, flip)), SIZE
)


def make_batches(
    dataset: ImageDataset,
    size: int,
    *,
    workers: int | Readers,
    on_bad_image: loader.OnBadImage = "error",
    **order: Any,
) -> Batches:
    sampler = EpochSampler(len(dataset), size, **order)
    return Batches(dataset, sampler, workers=workers, on_bad_image=on_bad_image)


def train_batches(split: Annotation, *, workers: int = 0, cached: bool = False) -> Batches:
    cache = ImageCache(len(split), SIZE) if cached else None
    dataset = ImageDataset(split, Geometry(SIZE), AUGMENT, seed=3, cache=cache)
    return make_batches(dataset, 4, workers=workers, seed=3, drop_last=True)


def order(batches: Batches, epoch: int, first_batch: int = 0) -> list[list[int]]:
    return [batch.indices_N.tolist() for batch in batches.epoch(epoch, first_batch)]


def assert_same(found: list[Batch], expected: list[Batch]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.indices_N, other.indices_N)
        assert torch.equal(one.images_NHWC, other.images_NHWC)
        assert torch.equal(one.targets_NC, other.targets_NC)


def test_an_image_that_comes_again_is_changed_otherwise(make_split: MakeSplit) -> None:
    split = make_split(3)
    dataset = ImageDataset(split, Geometry(SIZE), AUGMENT, seed=3)
    batches = make_batches(dataset, 8, workers=0, seed=3, repeats_N=np.array([1.0, 4.0, 1.0]))
    (batch,) = batches.epoch(1)
    assert sorted(batch.indices_N.tolist()) == [0, 1, 1, 1, 1, 2]
    again = batch.images_NHWC[batch.indices_N == 1]
    assert len(torch.unique(again.flatten(1), dim=0)) > 1
    assert (
        batch.targets_NC[batch.indices_N == 1] == batch.targets_NC[batch.indices_N == 1][0]
    ).all()
    assert batches.drawn == 6


def test_evaluation_keeps_the_order_of_the_file(make_split: MakeSplit) -> None:
    batches = make_batches(ImageDataset(make_split(10), Geometry(SIZE)), 4, workers=0)
    assert order(batches, 0) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(batches) == 3


@pytest.mark.parametrize("first_batch", [0, 1, 2, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_interrupted_epoch_goes_on_with_the_same_pixels(
    make_split: MakeSplit, workers: int, first_batch: int
) -> None:
    split = make_split(15)
    whole = list(train_batches(split).epoch(2))
    rest = list(train_batches(split, workers=workers).epoch(2, first_batch))
    assert_same(rest, whole[first_batch:])


@pytest.mark.parametrize(("workers", "cached"), [(0, True), (2, False), (2, True)])
def test_workers_and_cache_change_no_pixel(
    make_split: MakeSplit, workers: int, cached: bool
) -> None:
    split = make_split(15)
    plain, other = train_batches(split), train_batches(split, workers=workers, cached=cached)
    for epoch in range(3):
        assert_same(list(other.epoch(epoch)), list(plain.epoch(epoch)))


def test_workers_fill_the_cache_that_they_share(make_split: MakeSplit) -> None:
    split = make_split(6)
    cache = ImageCache(6, SIZE)
    batches = make_batches(ImageDataset(split, Geometry(SIZE), cache=cache), 2, workers=2)
    first = list(batches.epoch(0))
    for index in range(6):
        assert cache.get(index) is not None
        split.path(index).unlink()
    assert_same(list(batches.epoch(1)), first)


@pytest.mark.parametrize("workers", [0, 2])
def test_epoch_that_was_left_early_does_not_disturb_the_next(
    make_split: MakeSplit, workers: int
) -> None:
    split = make_split(40)
    batches = train_batches(split, workers=workers)
    next(batches.epoch(0))
    assert order(batches, 1) == order(train_batches(split), 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_image_is_an_error_that_names_it(make_split: MakeSplit, workers: int) -> None:
    split = make_split(10, bad=(6,))
    batches = make_batches(ImageDataset(split, Geometry(SIZE)), 4, workers=workers)
    with pytest.raises(BadImageError) as caught:
        list(batches.epoch())
    batches.close()
    assert caught.value.path == str(split.path(6))
    assert "on_bad_image=skip" in caught.value.hint


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_images_are_skipped_and_counted_once(make_split: MakeSplit, workers: int) -> None:
    split = make_split(10, bad=(4, 5, 6, 7, 9))
    dataset = ImageDataset(split, Geometry(SIZE))
    batches = make_batches(dataset, 4, workers=workers, on_bad_image="skip")
    for epoch in range(2):
        assert order(batches, epoch) == [[0, 1, 2, 3], [], [8]]  # each keeps its place
    expected = {str(split.path(index)): "is not an image" for index in (4, 5, 6, 7, 9)}
    assert batches.bad_images == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_no_readable_image_is_an_error(make_split: MakeSplit, workers: int) -> None:
    dataset = ImageDataset(make_split(5, bad=tuple(range(5))), Geometry(SIZE))
    batches = make_batches(dataset, 2, workers=workers, on_bad_image="skip")
    with pytest.raises(DataError, match="no image can be read"):
        list(batches.epoch())


def test_epoch_without_any_batch_is_an_error_when_the_rest_is_dropped(
    make_split: MakeSplit,
) -> None:
    dataset = ImageDataset(make_split(5, bad=tuple(range(5))), Geometry(SIZE))
    batches = make_batches(dataset, 4, workers=0, on_bad_image="skip", seed=0, drop_last=True)
    with pytest.raises(DataError, match="no image can be read"):
        list(batches.epoch())


def test_bad_images_at_the_end_of_a_resumed_epoch_are_no_error(make_split: MakeSplit) -> None:
    dataset = ImageDataset(make_split(4, bad=(2, 3)), Geometry(SIZE))
    batches = make_batches(dataset, 2, workers=0, on_bad_image="skip")
    assert order(batches, 0, first_batch=1) == [[]]


def test_killed_worker_ends_with_a_message(make_split: MakeSplit) -> None:
    here = os.getpid()

    def die(image: np.ndarray, _: np.random.Generator) -> np.ndarray:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return image

    batches = make_batches(ImageDataset(make_split(8), Geometry(SIZE), die), 2, workers=2)
    for _ in range(2):  # and others are started, who meet the same end
        with pytest.raises(MlcError, match="a process that reads images died") as caught:
            list(batches.epoch())
        assert "data.workers" in caught.value.hint


def test_other_faults_in_a_worker_are_not_taken_for_its_death(make_split: MakeSplit) -> None:
    def fail(_: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        raise RuntimeError(f"a fault of the code at {rng.random()}")

    batches = make_batches(ImageDataset(make_split(8), Geometry(SIZE), fail), 2, workers=1)
    with pytest.raises(RuntimeError, match="a fault of the code"):
        list(batches.epoch())
    batches.close()


def test_one_image_is_one_batch(make_split: MakeSplit) -> None:
    (batch,) = train_batches(make_split(1)).epoch(0)
    assert batch.images_NHWC.shape == (1, *SIZE, 3)


def test_closing_ends_the_readers_and_reading_again_starts_new_ones(
    make_split: MakeSplit,
) -> None:
    others = {child.pid for child in psutil.Process().children()}  # of other tests
    batches = train_batches(make_split(12), workers=2)
    first = order(batches, 1)
    readers = {child.pid for child in psutil.Process().children()} - others
    assert len(readers) >= 2
    batches.close()
    assert not any(psutil.pid_exists(pid) for pid in readers)
    assert order(batches, 1) == first
    batches.close()
    batches.close()


@pytest.mark.parametrize("shared_memory", [True, False])
def test_batches_of_workers_are_those_of_one_process_by_either_way(
    make_split: MakeSplit, shared_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_fits_shared_memory", lambda *_: shared_memory)
    dataset = ImageDataset(make_split(12), Geometry(SIZE))
    found, wanted = (make_batches(dataset, 5, workers=workers, seed=1) for workers in (2, 0))
    for first, second in zip(found.epoch(), wanted.epoch(), strict=True):
        assert first.images_NHWC.is_shared() == shared_memory
        assert all(torch.equal(a, b) for a, b in zip(first[:3], second[:3], strict=True))
    found.close()


def test_shared_memory_that_fills_up_is_done_without(
    make_split: MakeSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: torch.Tensor) -> None:
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    split = make_split(12)
    found, wanted = (train_batches(split, workers=workers) for workers in (2, 0))
    assert_same(list(found.epoch()), list(wanted.epoch()))
    found.close()


def test_small_shared_memory_is_named(
    make_split: MakeSplit,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(loader.shutil, "disk_usage", lambda _: SimpleNamespace(free=64e6))
    loader._say_once.cache_clear()
    dataset = ImageDataset(make_split(32), Geometry((448, 448)))
    make_batches(dataset, 32, workers=0)
    assert caplog.text == ""
    make_batches(dataset, 32, workers=2)
    assert "--shm-size" in caplog.text


def hole_in(split: Annotation, index: int) -> str:
    """Make an image a JPEG that is cut and closed again."""
    path = split.path(index)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    content = cv2.imencode(".jpg", pixels)[1].tobytes()
    path.write_bytes(content[: len(content) // 2] + b"\xff\xd9")
    return str(path)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cached", [False, True])
def test_damaged_images_are_used_and_named_once(
    make_split: MakeSplit, workers: int, cached: bool, caplog: pytest.LogCaptureFixture
) -> None:
    split = make_split(10)
    paths = [hole_in(split, index) for index in (2, 7)]
    dataset = ImageDataset(split, Geometry(SIZE), cache=ImageCache(10, SIZE) if cached else None)
    batches = make_batches(dataset, 4, workers=workers)
    assert order(batches, 0) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    (record,) = caplog.records
    assert "2 damaged images" in record.getMessage()
    assert all(f"{path}: Corrupt JPEG data" in record.getMessage() for path in paths)
    order(batches, 1)
    assert len(caplog.records) == 1
    loader._say_once.cache_clear()
    assert order(make_batches(dataset, 10, workers=0), 0) == [[*range(10)]]
    assert len(caplog.records) == 2  # the cache does not hide it
    assert batches.bad_images == {}
    batches.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_images_are_left_out_or_an_error(make_split: MakeSplit, workers: int) -> None:
    split = make_split(6)
    path = hole_in(split, 2)
    dataset = ImageDataset(split, Geometry(SIZE), on_damaged="skip")
    batches = make_batches(dataset, 4, workers=workers)
    assert order(batches, 0) == [[0, 1, 3], [4, 5]]
    assert [*batches.bad_images] == [path]
    batches.close()
    dataset = ImageDataset(split, Geometry(SIZE), on_damaged="error")
    batches = make_batches(dataset, 4, workers=workers, on_bad_image="skip")
    with pytest.raises(BadImageError, match="Corrupt JPEG data") as caught:
        order(batches, 0)
    assert "on_damaged=skip" in caught.value.hint
    batches.close()
