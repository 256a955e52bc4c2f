"""Settings of the data set, its reading and its augmentation."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlc_cli.settings.base import (
    Count,
    Names,
    Pattern,
    Positive,
    Probability,
    Settings,
    SizeHW,
    as_renames,
)


def _check_renames(texts: tuple[str, ...]) -> tuple[str, ...]:
    as_renames(texts)
    return texts


def _as_groups(value: Any) -> Any:
    """A mapping as the list that it stands for."""
    if not isinstance(value, dict):
        return value
    return [[name, *([own] if isinstance(own, str | int) else own)] for name, own in value.items()]


def _absolute(place: str) -> str:
    """A path as it is found from everywhere, which an address is."""
    return place if re.match(r"\w+://", place) else str(Path(place).absolute())


class RuleSettings(Settings):
    """Label rules beside those of the annotation files."""

    implies: Annotated[tuple[Names, ...], BeforeValidator(_as_groups)] = ()
    """Labels that are present wherever a label is, `{dog: animal, puppy: [dog, young]}`; as a list
    `[[dog, animal], [puppy, dog, young]]`, of which the first implies the others."""
    exclusive: tuple[Names, ...] = ()
    """Groups of which at most one label is present, `[[day, night]]`."""
    separator: str | None = None
    """Between the parts of names that are paths: with ` / `, `animal / dog` implies `animal`."""


class DataSettings(Settings):
    """Where the images are and how they are read."""

    root: str = Field(json_schema_extra={"flag": "--data DIR"})
    """Folder of the data set, or its address (`s3://`, `gs://`, `hf://`, `https://`); the
    annotation files below are relative to it."""
    train: str = "train.json"
    """Annotation file of the training split; an index of shards or, as a pattern, tar or Parquet
    files with images: `train-*.tar`."""
    val: str = "val.json"
    """Annotation file of the validation split: chooses the best epoch and the thresholds."""
    test: str = "test.json"
    """Annotation file of the test split; read only by commands that are asked for it."""
    cross_validate: Annotated[int, Field(ge=2, le=100)] | None = None
    """Learn from the images of both splits, shared out in so many parts: each is scored by a model
    that has not seen it, and the model that is kept has seen all."""
    group_by: Pattern | None = None
    """Images whose paths agree in what this regular expression matches stay in one part of a
    cross-validation; by default those with one value in the column that was kept for it."""
    unlabelled: str | None = None
    """Folder of images without labels, of which teachers say what is on them."""
    image_root: str | None = None
    """Folder that image paths are relative to; by default the folder of the annotation file."""
    unknown_in: tuple[str, ...] = ()
    """Older annotation files: on their images, classes that they do not have are unknown."""
    rename: Annotated[tuple[str, ...], AfterValidator(_check_renames)] = ()
    """Classes of older annotation files and of `model.weights` that have another name now,
    `old=new`."""
    rules: RuleSettings | None = None
    """Label rules beside those of the annotation files, which every decision keeps."""
    generate: Literal["digits"] | None = None
    """Make this small data set at `root` when the folder does not exist yet."""
    input_size: SizeHW = (448, 448)
    """Height and width that images are resized to, in pixels."""
    resize: Literal["squash", "letterbox", "crop"] = "squash"
    """How an image of another shape gets there: `squash` changes its shape, `letterbox` keeps it
    between black bars, `crop` takes the square in the middle."""
    interpolation: Literal["linear", "area"] = "linear"
    """`linear` reads four pixels for each, as most clients do; `area` takes the mean of all, which
    is better on large photographs."""
    decode: Literal["auto", "full", "scaled"] = "auto"
    """`scaled` reads a JPEG at a part of its size that is at least twice the input size, in less
    time; `auto` does with `area`, and not with `linear`."""
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Processes that read images; `auto` takes what the machine has."""
    cache: Literal["none", "ram", "auto"] = "auto"
    """Keep resized images: `auto` in a file of the folder `download.cache`, where the next training
    on them finds them, or in memory where that has no room; `ram` in memory alone."""
    repeat_rare: Annotated[float, Field(gt=0, le=1)] | None = None
    """Show images of classes in fewer than this part of the images more often, sqrt(part /
    frequency) times an epoch (Gupta et al. 2019)."""
    epoch_part: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Part of the images that an epoch shows, each going on where the last one ended; for data sets
    that are too large for whole epochs."""
    on_bad_image: Literal["error", "skip"] = "error"
    """Stop at an image that cannot be read, or name it, count it and go on without it."""
    on_damaged: Literal["warn", "error", "skip"] = "warn"
    """`warn` uses a picture with a hole in its data, grey or shifted from there on, and names it;
    `error` stops at it, `skip` leaves it out."""
    on_leak: Literal["error", "warn"] = "error"
    """What to do when an image of the training split is also in the validation split."""
    allow_outside_root: bool = False
    """Accept absolute paths, `..` and links that lead out of the image folder."""
    allow_remote: bool = False
    """Read images whose paths in the annotation file are addresses (`https://`, `s3://`), but for
    those that lead into private networks."""
    shuffle: Literal["images", "blocks"] = Field("images", json_schema_extra={"flag": "--shuffle"})
    """Order of training: `images` one by one; `blocks` reads shards in pieces of 8 MB, in random
    order, and mixes the images of many: for stores where single reads are slow."""
    max_megapixels: Positive = 200.0
    """Larger images are refused before they are decoded."""

    @property
    def renames(self) -> dict[str, str]:
        """Names of classes now, by the old ones."""
        return as_renames(self.rename)

    @property
    def decoding(self) -> Literal["full", "scaled"]:
        """`decode`, with `auto` resolved."""
        if self.decode == "auto":
            return "scaled" if self.interpolation == "area" else "full"
        return self.decode

    def absolute(self) -> "DataSettings":
        """The same with folders that are found from everywhere."""
        older = tuple(str(Path(file).absolute()) for file in self.unknown_in)
        found = {key: getattr(self, key) for key in ("root", "image_root", "unlabelled")}
        places = {key: place and _absolute(place) for key, place in found.items()}
        return self.model_copy(update={**places, "unknown_in": older})

    @model_validator(mode="after")
    def _a_crop_is_square(self) -> "DataSettings":
        if self.resize == "crop" and self.input_size[0] != self.input_size[1]:
            raise ValueError("resize: crop takes a square, and input_size is none")
        return self


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
