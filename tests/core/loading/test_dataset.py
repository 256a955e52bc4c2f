from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.images.geometry import Geometry, resize
from mlc_cli.core.loading.augment import Compose, Sometimes, cutout, flip
from mlc_cli.core.loading.dataset import BadImage, ImageDataset
from mlc_cli.core.loading.image_cache import ImageCache
from mlc_cli.core.loading.rand_augment import pair_rand_augment

MakeSplit = Callable[..., Annotation]
SIZE = (16, 24)


def test_image_is_read_and_resized(make_split: MakeSplit) -> None:
    split = make_split(3)
    sample = ImageDataset(split, Geometry(SIZE))[(0, 2)]
    original = np.asarray(Image.open(split.path(2)))
    expected = resize(original, SIZE)
    assert sample.position == 2
    np.testing.assert_array_equal(sample.image, expected)


def test_random_changes_depend_on_seed_epoch_and_image_alone(make_split: MakeSplit) -> None:
    split = make_split(4)
    augment = Compose(
        (pair_rand_augment, Sometimes(0.9, partial(cutout, factor=0.4)), Sometimes(0.5, flip)), SIZE
    )

    def pixels(seed: int, epoch: int) -> np.ndarray:
        dataset = ImageDataset(split, Geometry(SIZE), augment, seed)
        return np.stack([dataset[(epoch, index)].image for index in range(4)])

    np.testing.assert_array_equal(pixels(1, 5), pixels(1, 5))
    assert (pixels(1, 5) != pixels(1, 6)).any()
    assert (pixels(1, 5) != pixels(2, 5)).any()


def test_two_images_of_an_epoch_draw_differently(make_split: MakeSplit) -> None:
    def draw(_: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(0, 256, (2, 2, 3), np.uint8)

    dataset = ImageDataset(make_split(4), Geometry(SIZE), draw, seed=0)
    drawn = {dataset[(epoch, index)].image.tobytes() for epoch in range(3) for index in range(4)}
    assert len(drawn) == 12


def test_bad_image_is_named_with_its_reason(make_split: MakeSplit) -> None:
    split = make_split(3, bad=(1,))
    sample = ImageDataset(split, Geometry(SIZE))[(0, 1)]
    assert (sample.image, sample.fault) == (None, BadImage(str(split.path(1)), "is not an image"))


def test_pixel_limit_reaches_the_reader(make_split: MakeSplit) -> None:
    sample = ImageDataset(make_split(1), Geometry(SIZE), max_pixels=599)[(0, 0)]
    assert sample.image is None
    assert sample.fault


def test_cache_gives_the_same_pixels_without_the_file(make_split: MakeSplit) -> None:
    split = make_split(3)
    plain = ImageDataset(split, Geometry(SIZE))
    cached = ImageDataset(split, Geometry(SIZE), cache=ImageCache(3, SIZE))
    expected = [plain[(0, index)].image for index in range(3)]
    for epoch in range(2):
        found = [cached[(epoch, index)].image for index in range(3)]
        np.testing.assert_array_equal(found, expected)
        for index in range(3):
            split.path(index).unlink(missing_ok=True)


def test_random_changes_leave_the_cache_as_it_was(make_split: MakeSplit) -> None:
    split = make_split(2)
    augment = Compose((Sometimes(1.0, partial(cutout, factor=0.5)), Sometimes(0.5, flip)), SIZE)
    cache = ImageCache(2, SIZE)
    dataset = ImageDataset(split, Geometry(SIZE), augment, cache=cache)
    dataset[(0, 0)]
    before = cache.get(0).copy()
    dataset[(1, 0)]
    np.testing.assert_array_equal(cache.get(0), before)
    np.testing.assert_array_equal(before, ImageDataset(split, Geometry(SIZE))[(0, 0)].image)


def test_black_image_is_cached_too() -> None:
    cache = ImageCache(2, SIZE)
    cache.put(0, np.zeros((*SIZE, 3), np.uint8))
    assert cache.get(0) is not None
    assert cache.get(1) is None
    assert ImageCache.bytes_needed(2, SIZE) == 2 * (16 * 24 * 3 + 4)


def test_bad_image_is_not_cached(make_split: MakeSplit) -> None:
    split = make_split(2, bad=(0,))
    dataset = ImageDataset(split, Geometry(SIZE), cache=ImageCache(2, SIZE))
    for epoch in range(2):
        assert dataset[(epoch, 0)].image is None


def test_batch_is_uint8_nhwc_with_states_of_labels(make_split: MakeSplit) -> None:
    split = make_split(5, bad=(1,))
    dataset = ImageDataset(split, Geometry(SIZE))
    batch = dataset.batch([(0, index) for index in (3, 1, 2)])
    assert batch.images_NHWC.dtype == torch.uint8
    assert batch.images_NHWC.shape == (2, *SIZE, 3)
    assert batch.targets_NC.dtype == torch.int8
    assert batch.targets_NC.tolist() == [[0, 1, -1], [1, 0, 0]]  # classes a, b, c
    assert batch.indices_N.tolist() == [3, 2]
    assert [bad.path for bad in batch.bad] == [str(split.path(1))]


@pytest.mark.parametrize("count", [1, 3])
def test_batch_of_bad_images_is_empty(make_split: MakeSplit, count: int) -> None:
    split = make_split(3, bad=(0, 1, 2))
    dataset = ImageDataset(split, Geometry(SIZE))
    batch = dataset.batch([(0, index) for index in range(count)])
    assert len(batch.images_NHWC) == len(batch.indices_N) == 0
    assert batch.targets_NC.shape == (0, 3)
    assert len(batch.bad) == count
