"""From pixels of any size to the input of a model."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pytest
from model_api.adapters import utils as client
from openvino import opset10
from PIL import Image

from mlc_cli.core.images.decode import read_image
from mlc_cli.core.images.geometry import Geometry, resize
from mlc_cli.core.images.scaled import part_of

SHAPES = [(480, 640), (640, 480), (200, 911), (333, 100), (50, 50), (17, 23), (1, 90), (97, 96)]
ORIENTATION = 0x0112


def blocks(height: int = 5, width: int = 7, seed: int = 0) -> np.ndarray:
    """Even areas with sharp borders."""
    colours = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return colours.repeat(8, 0).repeat(8, 1)


def picture(height: int, width: int) -> np.ndarray:
    """Smooth with some detail, as photographs are."""
    rng = np.random.default_rng(height * width)
    small = rng.integers(0, 256, (height // 6 + 2, width // 6 + 2, 3), np.uint8)
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth.astype(int) + rng.integers(-9, 9, smooth.shape), 0, 255).astype(np.uint8)


def by_the_client(pixels: np.ndarray, way: str, size: tuple[int, int]) -> np.ndarray:
    """What the graph that the stock client puts in front of a model makes of pixels."""
    image = opset10.parameter([1, -1, -1, 3], np.uint8)
    size_wh = size[::-1]
    if way == "squash":
        made = client.resize_image_graph(image.output(0), size_wh, False, "linear", 0)
    elif way == "letterbox":
        made = client.resize_image_letterbox_graph(image.output(0), size_wh, "linear", 0)
    else:
        made = client.crop_resize_graph(image.output(0), size_wh)
    compiled = ov.Core().compile_model(ov.Model([made], [image]), "CPU")
    return compiled(pixels[None])[0][0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", ["squash", "letterbox", "crop"])
def test_pixels_are_those_that_the_stock_client_makes(way: str, shape: tuple[int, int]) -> None:
    size = (96, 96) if way == "crop" else (64, 96)
    pixels = picture(*shape)
    ours = Geometry(size, way).fit(pixels)
    assert ours.shape == (*size, 3)
    apart = np.abs(ours.astype(int) - by_the_client(pixels, way, size))
    assert apart.max() <= 1
    assert apart.mean() < 0.2


def test_a_letterbox_has_black_bars_of_the_same_width() -> None:
    fitted = Geometry((40, 40), "letterbox").fit(np.full((20, 80, 3), 200, np.uint8))
    assert (fitted[:15] == 0).all()
    assert (fitted[15:25] == 200).all()
    assert (fitted[25:] == 0).all()


def test_a_crop_is_the_square_in_the_middle() -> None:
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 30:70] = 255
    assert (Geometry((20, 20), "crop").fit(pixels) == 255).all()


@pytest.mark.parametrize("size", [(10, 7), (17, 40), (90, 8), (100, 200)])
def test_area_is_the_mean_where_it_shrinks_and_linear_where_it_grows(size: tuple[int, int]) -> None:
    pixels = picture(40, 56)
    expected = pixels.astype(np.float64)
    for axis in (0, 1):
        matrix = means(pixels.shape[axis], size[axis])
        expected = np.moveaxis(np.tensordot(matrix, expected, (1, axis)), 0, axis)
    fitted = Geometry(size, interpolation="area").fit(pixels)
    assert np.abs(fitted - expected).max() <= 1.01  # rounded in between where one side grows


def means(old: int, new: int) -> np.ndarray:
    """Matrix new×old: means over new/old, or linear interpolation where that is above 1."""
    matrix = np.zeros((new, old))
    for row in range(new):
        if new <= old:
            low, high = row * old / new, (row + 1) * old / new
            for column in range(old):
                matrix[row, column] = max(0, min(high, column + 1) - max(low, column))
        else:
            place = min(max((row + 0.5) * old / new - 0.5, 0), old - 1)
            matrix[row, int(place)] = 1 - place % 1
            matrix[row, min(int(place) + 1, old - 1)] += place % 1
    return matrix / matrix.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("shown", "least", "part"),
    [
        ((3000, 4000), (448, 448), 4),
        ((3584, 3584), (448, 448), 8),
        ((3583, 3584), (448, 448), 4),
        ((895, 4000), (448, 448), 1),
        ((896, 4000), (448, 448), 2),
        ((40_000, 40_000), (448, 448), 8),
    ],
)
def test_the_part_leaves_at_least_what_is_needed(
    shown: tuple[int, int], least: tuple[int, int], part: int
) -> None:
    assert part_of(shown, least) == part


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("way", "longer"), [("squash", 600), ("letterbox", 300), ("crop", 600)])
def test_scaled_decoding_shows_the_same_at_half_the_size(
    tmp_path: Path, way: str, longer: int, orientation: int
) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    pixels = cv2.resize(blocks(10, 20), (1200, 600), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(pixels).save(path, quality=95, exif=exif)
    full = Geometry((100, 100), way, "area")
    scaled = Geometry((100, 100), way, "area", "scaled")
    assert max(read_image(path, part=scaled.part).shape) == longer
    assert max(read_image(path, part=partial(scaled.part, least_side=601)).shape) == 1200
    assert max(read_image(path, part=full.part).shape) == 1200
    whole, part = (one.fit(read_image(path, part=one.part)).astype(int) for one in (full, scaled))
    assert np.abs(whole - part).mean() < 1


def test_formats_that_have_no_parts_are_decoded_whole(tmp_path: Path) -> None:
    Image.fromarray(blocks(100, 100)).save(tmp_path / "a.png")
    scaled = Geometry((9, 9), decode="scaled")
    assert read_image(tmp_path / "a.png", part=scaled.part).shape == (800, 800, 3)


def test_a_large_image_is_resized_as_a_small_one_is() -> None:
    pixels = picture(400, 500)
    for size in (
        (99, 126),
        (100, 125),
        (30, 40),
        (1, 1),
    ):  # the first two on both sides of the line
        exact = bilinear(bilinear(pixels, size[0]).swapaxes(0, 1), size[1]).swapaxes(0, 1)
        assert np.abs(resize(pixels, size) - exact).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("size", [(17, 40), (40, 17), (40, 56), (100, 3)])
def test_resize_is_bilinear_to_height_and_width(size: tuple[int, int]) -> None:
    resized = resize(blocks(), size)
    assert resized.shape == (*size, 3)
    exact = bilinear(bilinear(blocks(), size[0]).swapaxes(0, 1), size[1]).swapaxes(0, 1)
    assert np.abs(resized - exact).max() <= 0.5 + 1e-4


def bilinear(pixels: np.ndarray, length: int) -> np.ndarray:
    """Linear interpolation along the first axis, centres of pixels at halves, in float64."""
    place = (np.arange(length) + 0.5) * len(pixels) / length - 0.5
    place = np.clip(place, 0, len(pixels) - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, len(pixels) - 1)
    part = (place - low)[:, None, None]
    return pixels[low] * (1 - part) + pixels[high] * part


def test_resize_does_not_swap_height_and_width() -> None:
    upper_white = np.zeros((60, 20, 3), np.uint8)
    upper_white[:30] = 255
    resized = resize(upper_white, (10, 30))
    assert (resized[:4] == 255).all()
    assert (resized[6:] == 0).all()
