"""Settings of the data set, its reading and its augmentation."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlc_cli.settings.base import Names, Pattern, Positive, Settings, SizeHW, as_renames


def _check_renames(texts: tuple[str, ...]) -> tuple[str, ...]:
    as_renames(texts)
    return texts


def _as_groups(value: Any) -> Any:
    """A mapping as the list that it stands for."""
    if not isinstance(value, dict):
        return value
    return [[name, *([own] if isinstance(own, str | int) else own)] for name, own in value.items()]


def _absolute(place: str) -> str:
    """A path as it is found from everywhere, which an address is: without passwords and queries."""
    if re.match(r"\w+://", place):
        return re.sub(r"://[^/@]*@", "://", place).partition("?")[0]
    return str(Path(place).absolute())


class RuleSettings(Settings):
    """Label rules beside those of the annotation files."""

    implies: Annotated[tuple[Names, ...], BeforeValidator(_as_groups)] = ()
    """Labels that are present wherever a label is, `{dog: animal, puppy: [dog, young]}`; as a list
    `[[dog, animal], [puppy, dog, young]]`, of which the first implies the others."""
    exclusive: tuple[Names, ...] = ()
    """Groups of which at most one label is present, `[[day, night]]`."""
    separator: str | None = None
    """Between the parts of names that are paths: with ` / `, `animal / dog` implies `animal`."""


SizePart = Annotated[float, Field(ge=0.25, le=1.5)]


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
    train_sizes: tuple[SizePart, SizePart] = (1.0, 1.0)
    """Height and width in the first and the last epoch of a training as parts of `input_size`, in
    steps of 32 pixels; small images train faster (progressive resizing, Tan & Le 2021)."""
    resize: Literal["squash", "letterbox", "crop"] = "squash"
    """How an image of another shape gets there: `squash` changes its shape, `letterbox` keeps it
    between black bars, `crop` takes the square in the middle."""
    interpolation: Literal["linear", "area"] = "linear"
    """`linear` reads four pixels for each, as most clients do; `area` takes the mean of all, which
    is better on large photographs."""
    decode: Literal["auto", "full", "scaled"] = "auto"
    """`scaled` reads a JPEG at a part of its size that is at least twice the input size, in less
    time; `auto` does with `area`, and not with `linear`."""
    bits: Annotated[int, Field(ge=8, le=16)] = 16
    """Bits that PNG and TIFF of 16 bits a channel use: 12 for the raw values of many cameras,
    microscopes and X-ray machines. What is brighter is white; `dataset-check` tells."""
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
    shuffle: Literal["images", "blocks"] = "images"
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
