from functools import partial

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from mlc_cli.core.images.geometry import resize
from mlc_cli.core.loading.augment import (
    Compose,
    RandomResizedCrop,
    Sometimes,
    Torchvision,
    compress,
    crop_load_size,
    cutout,
    flip,
    quarter_turns,
)
from mlc_cli.core.loading.rand_augment import pair_rand_augment

SIZE = (32, 48)
TRANSFORMS = {
    "crop": RandomResizedCrop(SIZE, 0.6, 1.2, 1.0),
    "crop or whole": RandomResizedCrop(SIZE, 0.01, 3.0, 0.5),
    "cutout": partial(cutout, factor=0.4),
    "flip": flip,
    "pair": pair_rand_augment,
    "turned": quarter_turns,
    "upside down": partial(flip, axis=0),
    "rotated": Sometimes(0.5, Torchvision(v2.RandomRotation(30, fill=[9, 9, 9]))),
    "compressed": Sometimes(0.9, partial(compress, worst=30)),
    "torchvision": Torchvision(v2.RandAugment(2, 9)),
}


def noise(size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_type_and_size_stay(name: str) -> None:
    load_size = crop_load_size(SIZE, 0.6, whole=False) if "crop" in name else SIZE
    for seed in range(100):
        changed = TRANSFORMS[name](noise(load_size), np.random.default_rng(seed))
        assert changed.dtype == np.uint8
        assert changed.shape == (*SIZE, 3)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_draws_come_from_the_given_generator_alone(name: str) -> None:
    first, second = (
        [TRANSFORMS[name](noise(), np.random.default_rng(seed)) for seed in range(20)]
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_given_pixels_are_not_written_to(name: str) -> None:
    pixels = noise()
    pixels.flags.writeable = False
    for seed in range(50):
        TRANSFORMS[name](pixels, np.random.default_rng(seed))
    np.testing.assert_array_equal(pixels, noise())


def test_compose_applies_transforms_in_order() -> None:
    half = Compose((lambda image, _: image // 2, lambda image, _: image + 1), SIZE)
    changed = half(np.full((*SIZE, 3), 100, np.uint8), np.random.default_rng(0))
    assert (changed == 51).all()


@pytest.mark.parametrize(
    ("size", "scale_min", "expected"),
    [((448, 448), 0.25, (896, 896)), ((100, 200), 0.64, (125, 250)), ((32, 48), 0.6, (42, 62))],
)
def test_images_are_loaded_large_enough_for_the_smallest_crop(
    size: tuple[int, int], scale_min: float, expected: tuple[int, int]
) -> None:
    assert crop_load_size(size, scale_min, whole=False) == expected
    assert crop_load_size(size, scale_min, whole=True) == (2 * size[0], 2 * size[1])


def test_crop_area_and_stretch_stay_in_their_ranges() -> None:
    # Each pixel holds its own place: corners of the crop can be read off the result.
    rows, columns = np.mgrid[:200, :200].astype(np.uint8)
    places = np.dstack([rows, columns, np.zeros_like(rows)])
    crop = RandomResizedCrop((400, 400), 0.25, 1.5, 1.0)
    areas, stretches = [], []
    for seed in range(300):
        cut = crop(places, np.random.default_rng(seed)).astype(int)
        height, width = cut[-1, 0, 0] - cut[0, 0, 0] + 1, cut[0, -1, 1] - cut[0, 0, 1] + 1
        areas.append(height * width / 200**2)
        stretches.append(width / height)
    assert 0.24 < min(areas) < 0.3
    assert max(areas) > 0.9
    assert 1 / 1.55 < min(stretches) < 1 / 1.3
    assert 1.3 < max(stretches) < 1.55


def test_without_a_crop_the_whole_image_is_resized() -> None:
    whole = RandomResizedCrop(SIZE, 0.6, 1.2, 0.0)(noise((42, 62)), np.random.default_rng(0))
    expected = resize(noise((42, 62)), SIZE)
    np.testing.assert_array_equal(whole, expected)


def test_flip_mirrors_left_to_right() -> None:
    flipped = flip(noise(), np.random.default_rng(0))
    np.testing.assert_array_equal(flipped, noise()[:, ::-1])


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kind", ["flip", "cutout"])
def test_probability_is_kept(kind: str, p: float) -> None:
    black = partial(cutout, factor=0.4, fill=(0, 0, 0))
    transform = Sometimes(p, flip if kind == "flip" else black)
    rng = np.random.default_rng(0)
    changed = sum((transform(noise(), rng) != noise()).any() for _ in range(1000))
    assert changed == pytest.approx(1000 * p, abs=50)
    assert p not in (0.0, 1.0) or changed == 1000 * p


def painted(pixels: np.ndarray, before: np.ndarray) -> np.ndarray:
    return (pixels != before).any(-1)


def test_cutout_paints_one_rectangle_of_one_colour() -> None:
    before = np.zeros((40, 60, 3), np.uint8)
    for seed in range(200):
        after = cutout(before, np.random.default_rng(seed), factor=0.4)
        mask = painted(after, before)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert len(np.unique(after[mask], axis=0)) == 1


def test_cutout_is_as_large_as_its_factor_and_clipped_at_the_border() -> None:
    before = np.zeros((40, 60, 3), np.uint8)
    areas = [
        painted(cutout(before, rng, factor=0.4, fill=(9, 8, 7)), before).sum()
        for rng in map(np.random.default_rng, range(500))
    ]
    assert max(areas) == 17 * 25  # sides of 0.4, both ends included
    assert min(areas) < 17 * 25 / 2


def test_cutout_uses_the_given_colour() -> None:
    before = np.zeros((40, 60, 3), np.uint8)
    after = cutout(before, np.random.default_rng(0), factor=1.0, fill=(9, 8, 7))
    assert set(map(tuple, after[painted(after, before)].tolist())) == {(9, 8, 7)}


def test_cutout_draws_a_colour_for_each_image() -> None:
    before = np.zeros((40, 60, 3), np.uint8)
    colours = {
        tuple(cutout(before, np.random.default_rng(seed), factor=1.0).max((0, 1)))
        for seed in range(20)
    }
    assert len(colours) > 15


def test_quarter_turns_are_all_three_and_half_turns_where_it_is_not_square() -> None:
    rng = np.random.default_rng(0)
    square, wide = noise((9, 9)), noise((9, 12))
    made = [quarter_turns(square, rng).tobytes() for _ in range(60)]
    assert set(made) == {np.rot90(square, turns).tobytes() for turns in (1, 2, 3)}
    np.testing.assert_array_equal(quarter_turns(wide, rng), wide[::-1, ::-1])


def test_a_mirror_below_turns_upside_down() -> None:
    np.testing.assert_array_equal(flip(noise(), np.random.default_rng(0), axis=0), noise()[::-1])


def test_crops_are_resized_in_all_of_the_given_ways() -> None:
    ways = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
    crop = RandomResizedCrop((16, 16), 0.5, 1.2, 0.0, ways)
    made = {crop(noise(), np.random.default_rng(seed)).tobytes() for seed in range(40)}
    assert made == {cv2.resize(noise(), (16, 16), interpolation=way).tobytes() for way in ways}


def test_transforms_of_torchvision_leave_its_generator_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    Torchvision(v2.ColorJitter(0.5))(noise(), np.random.default_rng(0))
    assert torch.equal(torch.rand(4), wanted)
