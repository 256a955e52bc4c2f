"""Settings of the random changes of training images."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from mlc_cli.settings.base import Count, Positive, Probability, Settings

Level = Annotated[int, Field(ge=0, le=255)]


class CropSettings(Settings):
    """Random resized crop."""

    scale_min: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """Smallest part of the image area that a crop may take."""
    ratio_max: Annotated[float, Field(ge=1)] = 1.2
    """Largest stretch of width against height, and the reverse."""
    p: Probability = 1.0
    """Part of the images that are cropped; the others are used whole."""
    any_interpolation: bool = False
    """Resize each crop in one of four ways at random, as the programs of others do."""


class RotateSettings(Settings):
    """Turn by a random angle; grey where nothing is."""

    degrees: Annotated[float, Field(gt=0, le=180)] = 10.0
    """Largest angle, to either side."""
    p: Probability = 0.3
    """Part of the images that are turned."""


class PerspectiveSettings(Settings):
    """Look at the picture from aside; grey where nothing is."""

    distortion: Annotated[float, Field(gt=0, le=1)] = 0.2
    """How far corners move at most, as a part of half of the side."""
    p: Probability = 0.2
    """Part of the images that are changed."""


class ColourSettings(Settings):
    """Random brightness, contrast, saturation and hue."""

    brightness: Probability = 0.2
    """Largest change, as a part."""
    contrast: Probability = 0.2
    """Largest change, as a part."""
    saturation: Probability = 0.2
    """Largest change, as a part."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    """Largest turn of the circle of colours."""
    p: Probability = 0.5
    """Part of the images that are changed."""


class BlurSettings(Settings):
    """Gaussian blur of random width."""

    sigma_max: Annotated[float, Field(gt=0.1, le=5)] = 1.5
    """Largest standard deviation, in pixels of the input."""
    p: Probability = 0.1
    """Part of the images that are blurred."""


class JpegSettings(Settings):
    """Traces of compression."""

    quality_min: Annotated[int, Field(ge=1, le=100)] = 40
    """Worst quality."""
    p: Probability = 0.1
    """Part of the images that are compressed."""


class EraseSettings(Settings):
    """A grey rectangle of random size and shape (Zhong et al. 2020)."""

    area_max: Annotated[float, Field(gt=0.02, le=1)] = 0.2
    """Largest part of the area."""
    p: Probability = 0.25
    """Part of the images that are erased."""


class CutoutSettings(Settings):
    """One rectangle of each chosen image is painted over (DeVries & Taylor 2017)."""

    factor: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Side of the rectangle as a part of the side of the image."""
    p: Probability = 0.5
    """Part of the images that are cut."""
    fill: tuple[Level, Level, Level] | Literal["random"] = "random"
    """Colour of the rectangle: RGB, or a random one for each image."""


class PairRandAugmentSettings(Settings):
    """Two random operations of random magnitude, each applied with probability one half."""

    name: Literal["pair"] = "pair"


class TorchvisionRandAugmentSettings(Settings):
    """RandAugment of torchvision (Cubuk et al. 2020)."""

    name: Literal["torchvision"] = "torchvision"
    num_ops: Count = 2
    """Operations on each image."""
    magnitude: Annotated[int, Field(ge=0, le=30)] = 9
    """Strength of all operations, 0 to 30."""


class MixupSettings(Settings):
    """Blend two images and their targets (Zhang et al. 2018)."""

    name: Literal["mixup"] = "mixup"
    alpha: Positive = 0.2
    """Both parameters of the Beta distribution of the blend."""
    p: Probability = 1.0
    """Part of the batches that are mixed."""


class CutmixSettings(Settings):
    """Paste a rectangle of another image and mix the targets by area (Yun et al. 2019)."""

    name: Literal["cutmix"] = "cutmix"
    alpha: Positive = 1.0
    """Both parameters of the Beta distribution of the area that stays."""
    p: Probability = 1.0
    """Part of the batches that are mixed."""


RandAugmentSettings = Annotated[
    PairRandAugmentSettings | TorchvisionRandAugmentSettings, Field(discriminator="name")
]
MixSettings = Annotated[MixupSettings | CutmixSettings, Field(discriminator="name")]


class AugmentSettings(Settings):
    """Random changes of the training images, in this order; `null` turns a part off."""

    level: Literal["none", "light", "medium", "strong", "aerial"] | None = None
    """All that follows in one word, in place of the preset's; `aerial` is for pictures without an
    upper side. What is set beside it goes over it."""
    crop: CropSettings | None = None
    quarter_turns: Probability = 0.0
    """Part of the images that are turned by one to three quarters; if not square, by two."""
    rotate: RotateSettings | None = None
    perspective: PerspectiveSettings | None = None
    rand_augment: RandAugmentSettings | None = None
    colour: ColourSettings | None = None
    grey: Probability = 0.0
    """Part of the images that lose their colour."""
    blur: BlurSettings | None = None
    jpeg: JpegSettings | None = None
    cutout: CutoutSettings | None = None
    erase: EraseSettings | None = None
    flip: Probability = 0.5
    """Part of the images that are mirrored left to right."""
    flip_vertical: Probability = 0.0
    """Part of the images that are turned upside down as in a mirror."""
    mix: MixSettings | None = None


_LIGHT: dict[str, Any] = {"crop": {"scale_min": 0.5, "ratio_max": 1.33}, "flip": 0.5}
_MEDIUM: dict[str, Any] = {**_LIGHT, "rotate": {}, "colour": {}}
LEVELS: dict[str, dict[str, Any]] = {
    "none": {"flip": 0.0},
    "light": _LIGHT,
    "medium": _MEDIUM,
    "strong": {
        **_MEDIUM,
        "crop": {"scale_min": 0.3, "ratio_max": 1.33, "any_interpolation": True},
        "perspective": {},
        "grey": 0.05,
        "blur": {},
        "jpeg": {},
        "erase": {},
    },
    "aerial": {**_LIGHT, "flip_vertical": 0.5, "quarter_turns": 0.75, "colour": {}},
}


def with_level(below: Mapping[str, Any], layer: Mapping[str, Any]) -> dict[str, Any]:
    """Settings below a layer, the augmentation replaced if the layer names a level."""
    augment = layer.get("augment")
    level = augment.get("level") if isinstance(augment, Mapping) else None
    if not isinstance(level, str) or level not in LEVELS:  # validation names the fault
        return dict(below)
    return {**below, "augment": LEVELS[level]}
