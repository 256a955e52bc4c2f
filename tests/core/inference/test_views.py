"""Mirror images and tiles."""

from typing import Any

import numpy as np
import pytest

from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.inference.views import ViewsEngine, with_views
from mlc_cli.errors import UsageError


class Corner:
    """Two logits: brightness of the left half, and of the whole."""

    on_host = True

    def __call__(self, images_NHWC: np.ndarray) -> np.ndarray:
        left = images_NHWC[:, :, : images_NHWC.shape[2] // 2]
        means = [part.mean((1, 2, 3)) for part in (left, images_NHWC)]
        return np.stack(means, 1).astype(np.float32)


def test_a_flip_is_the_mean_of_both_logits() -> None:
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[0, :, :4] = 100
    images[1, :, 4:] = 60
    found = ViewsEngine(Corner(), flip=True)(images)
    np.testing.assert_array_equal(found, [[50, 50], [30, 30]])


def test_the_largest_of_the_views_counts_for_each_class() -> None:
    views = np.zeros((2, 3, 8, 8, 3), np.uint8)
    views[0, 0] = 10
    views[0, 2, :, :4] = 80
    found = ViewsEngine(Corner(), flip=False)(views)
    np.testing.assert_array_equal(found, [[80, 40], [0, 0]])


def test_one_view_is_the_engine_itself() -> None:
    engine = Corner()
    assert with_views(engine, "none", 0) is engine
    assert with_views(engine, "none", 1) is engine
    assert with_views(engine, "flip", 0) is not engine


@pytest.mark.parametrize(("tta", "tiles"), [("flop", 0), ("flip", -1), ("none", 17), ("none", "2")])
def test_other_views_are_refused(tta: Any, tiles: Any) -> None:
    with pytest.raises(UsageError, match="expected tta 'none' or 'flip' and 0 to 16 tiles"):
        with_views(Corner(), tta, tiles)


@pytest.mark.parametrize("tiles", [2, 3, 5])
def test_tiles_overlap_by_half_and_cover_the_picture(tiles: int) -> None:
    rows, columns = np.mgrid[:120, :240].astype(np.uint8)
    pixels = np.dstack([rows, columns, rows])
    side = 120 * 2 // (tiles + 1), 240 * 2 // (tiles + 1)
    views = Geometry(side).tiled(tiles).fit(pixels)
    assert views.shape == (1 + tiles**2, *side, 3)
    np.testing.assert_array_equal(views[0], Geometry(side).fit(pixels))
    for number, tile in enumerate(views[1:]):
        top, left = number // tiles * side[0] // 2, number % tiles * side[1] // 2
        np.testing.assert_array_equal(tile, pixels[top : top + side[0], left : left + side[1]])


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 2)])
def test_small_pictures_have_as_many_tiles(shape: tuple[int, int]) -> None:
    views = Geometry((8, 8)).tiled(4).fit(np.full((*shape, 3), 7, np.uint8))
    assert views.shape == (17, 8, 8, 3)
    assert (views == 7).all()


def test_tiles_are_decoded_at_a_size_that_is_enough_for_them() -> None:
    geometry = Geometry((100, 100), decode="scaled")
    assert geometry.part((800, 800)) == 4
    assert geometry.tiled(3).part((800, 800)) == 2  # a tile is half of a side
