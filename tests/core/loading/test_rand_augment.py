import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torchvision.transforms import v2

from mlc_cli.core.loading.augment import Torchvision
from mlc_cli.core.loading.rand_augment import OPERATIONS, pair_rand_augment

GREY, SPOT = (128, 128, 128), (125, 122, 113)
(
    INVERT,
    SPOT_OF_COLOUR,
    SHARPNESS,
    AUTO_CONTRAST,
    POSTERIZE,
    SHEAR_X,
    TRANSLATE_X,
    TRANSLATE_Y,
    SHEAR_Y,
    ROTATE,
    EQUALIZE,
    CONTRAST,
    COLOUR,
    SOLARIZE,
    BRIGHTNESS,
) = OPERATIONS


def picture(height: int = 48, width: int = 64) -> Image.Image:
    """Smooth colours that differ everywhere, without the extremes."""
    rows, columns = np.mgrid[:height, :width]
    channels = [40 + rows * 3, 200 - columns * 2, 30 + rows + columns]
    return Image.fromarray(np.dstack(channels).astype(np.uint8))


class Draws:
    """A generator whose next draws are known."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def random(self) -> float:
        return self.values.pop(0)

    def integers(self, _high: int) -> int:
        return int(self.values.pop(0))


def apply(operation, level: int, *draws: float) -> np.ndarray:
    return np.asarray(operation(picture(), level, Draws(*draws)))


def affine(*matrix: float, resample: int) -> np.ndarray:
    size = picture().size
    turned = picture().transform(size, Image.Transform.AFFINE, matrix, resample, fillcolor=GREY)
    return np.asarray(turned)


PLUS, MINUS = 0.1, 0.9


@pytest.mark.parametrize(("draw", "sign"), [(PLUS, 1), (MINUS, -1)])
def test_shears_and_shifts_at_full_magnitude(draw: float, sign: int) -> None:
    cubic, nearest = Image.Resampling.BICUBIC, Image.Resampling.NEAREST
    shear, shift = sign * 0.3, sign * 150 / 331
    for operation, matrix, resample in (
        (SHEAR_X, (1, shear, 0, 0, 1, 0), cubic),
        (SHEAR_Y, (1, 0, 0, shear, 1, 0), cubic),
        (TRANSLATE_X, (1, 0, shift * 64, 0, 1, 0), nearest),
        (TRANSLATE_Y, (1, 0, 0, 0, 1, shift * 48), nearest),
    ):
        expected = affine(*matrix, resample=resample)
        np.testing.assert_array_equal(apply(operation, 9, draw), expected)


@pytest.mark.parametrize("level", [1, 5, 9])
@pytest.mark.parametrize(("draw", "sign"), [(PLUS, 1), (MINUS, -1)])
def test_enhancements(level: int, draw: float, sign: int) -> None:
    for operation, kind in (
        (SHARPNESS, ImageEnhance.Sharpness),
        (CONTRAST, ImageEnhance.Contrast),
        (COLOUR, ImageEnhance.Color),
        (BRIGHTNESS, ImageEnhance.Brightness),
    ):
        expected = kind(picture()).enhance(1 + sign * level / 10)
        np.testing.assert_array_equal(apply(operation, level, draw), expected)


def test_rotation_is_counter_clockwise_with_grey_corners() -> None:
    expected = picture().rotate(30, Image.Resampling.NEAREST, fillcolor=GREY)
    rotated = apply(ROTATE, 9)
    np.testing.assert_array_equal(rotated, expected)
    assert tuple(rotated[0, 0]) == GREY


def test_point_operations() -> None:
    for level, bits in enumerate((8, 8, 7, 7, 6, 6, 5, 5, 4, 4)):
        mask = 256 - 2 ** (8 - bits)
        np.testing.assert_array_equal(apply(POSTERIZE, level), np.asarray(picture()) & mask)
    pixels = np.asarray(picture())
    np.testing.assert_array_equal(apply(INVERT, 3), 255 - pixels)
    np.testing.assert_array_equal(apply(SOLARIZE, 9), 255 - pixels)
    middle = 256 - 256 * 4 / 9
    expected = np.where(pixels < middle, pixels, 255 - pixels)
    np.testing.assert_array_equal(apply(SOLARIZE, 4), expected)
    np.testing.assert_array_equal(apply(AUTO_CONTRAST, 3), ImageOps.autocontrast(picture()))
    np.testing.assert_array_equal(apply(EQUALIZE, 3), ImageOps.equalize(picture()))


def test_spot_is_a_square_of_its_size() -> None:
    changed = apply(SPOT_OF_COLOUR, 9, 30.0, 20.0)
    mask = (changed == SPOT).all(-1)
    assert mask[10:30, 20:40].all()
    assert mask.sum() == 20 * 20
    odd = (apply(SPOT_OF_COLOUR, 3, 30.0, 20.0) == SPOT).all(-1)
    assert odd[17:23, 27:33].all()
    assert odd.sum() == 6 * 6, "7 pixels are halved by whole numbers"


@pytest.mark.parametrize("place", [0.0, 1.0])
def test_spot_is_clipped_at_the_border(place: float) -> None:
    changed = apply(SPOT_OF_COLOUR, 9, place * 63.9, place * 47.9)
    assert changed.shape == (48, 64, 3)
    assert 0 < (changed == SPOT).all(-1).sum() < 20 * 20


def test_pair_leaves_a_quarter_of_the_images_as_they_are() -> None:
    pixels = np.asarray(picture(16, 20))
    rng = np.random.default_rng(0)
    untouched = sum(pair_rand_augment(pixels, rng) is pixels for _ in range(4000))
    assert untouched / 4000 == pytest.approx(0.25, abs=0.02)


def test_pair_draws_every_operation_and_magnitude(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()

    def note(number: int):
        def operation(image: Image.Image, level: int, _: np.random.Generator) -> Image.Image:
            seen.add((number, level))
            return image

        return operation

    operations = tuple(note(number) for number in range(15))
    monkeypatch.setattr("mlc_cli.core.loading.rand_augment.OPERATIONS", operations)
    rng = np.random.default_rng(0)
    for _ in range(3000):
        pair_rand_augment(np.zeros((2, 2, 3), np.uint8), rng)
    assert seen == {(number, level) for number in range(15) for level in range(1, 10)}


def test_torchvision_does_not_depend_on_the_global_generator_of_torch() -> None:
    augment = Torchvision(v2.RandAugment(2, 9))
    changed = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        changed.append(augment(np.asarray(picture()), np.random.default_rng(0)))
    np.testing.assert_array_equal(*changed)


def test_torchvision_changes_nearly_all_images_at_high_magnitude() -> None:
    augment, pixels = Torchvision(v2.RandAugment(3, 20)), np.asarray(picture())
    changed = [augment(pixels, np.random.default_rng(seed)) for seed in range(30)]
    assert sum((image != pixels).any() for image in changed) > 25
    assert len({image.tobytes() for image in changed}) > 25
