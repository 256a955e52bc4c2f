"""Settings of `mlc dataset-convert`."""

import re
from math import isclose
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mlc_cli.settings.base import Names, NotNegative, Pattern, Positive, Renames, Settings


class ImageSettings(Settings):
    """Where the images are and what becomes of them."""

    root: str | None = None
    """Folder of the images; by default where the format has them."""
    link: Literal["reference", "copy", "symlink", "hardlink"] = "reference"
    """Leave images where they are, or put them in the result in one of three ways."""
    folder: Annotated[str, Field(pattern=r"^[^/\\.][^/\\]*$")] | None = None
    """Folder in the result for images that are put there; by default `images`, and `data` in the
    folder of each split for FiftyOne."""
    check: bool = True
    """Leave out images that are missing, or that lead out of their folder, and count them."""


class CocoSettings(Settings):
    """Which objects of COCO files count."""

    crowd: Literal["keep", "drop"] = "keep"
    """Whether objects that stand for a crowd are labels."""
    min_area: NotNegative = 0.0
    """Objects of a smaller area, in square pixels, are left out."""


class VocSettings(Settings):
    """What objects of Pascal VOC mean."""

    difficult: Literal["positive", "unknown", "negative"] = "positive"
    """State of a class of which an image has only objects marked difficult."""


class OpenImagesSettings(Settings):
    """What Open Images leaves open."""

    unverified: Literal["unknown", "absent"] = "unknown"
    """State of labels that nobody has verified."""


class CvatSettings(Settings):
    """What of CVAT is a label."""

    attributes: Literal["ignore", "labels"] = "ignore"
    """Whether attributes of tags are labels: a checkbox of its name, a choice of its value."""


class FiftyOneSettings(Settings):
    """What FiftyOne leaves open."""

    null: Literal["unknown", "absent"] = "unknown"
    """State of all labels of an image that has `null` in place of a list."""


class CsvSettings(Settings):
    """How tables are read."""

    separator: str | None = None
    """Between the labels of a cell; by default what the file is seen to use."""
    minus_one: Literal["unknown", "absent", "present"] = "unknown"
    """What -1 means in a one-hot table that has 0 too; with 1 alone it is absent."""
    zero: Literal["absent", "unknown", "present"] = "absent"
    """What 0 means in a one-hot table."""
    blank: Literal["unknown", "absent", "present"] = "unknown"
    """What a blank cell means in a one-hot table."""
    image: str | None = None
    """Column of the images; by default that whose cells end like image files."""
    labels: Names = ()
    """Columns that list labels; by default those that are called so."""
    split: str | None = None
    """Column of the split; by default one that is called so, or whose cells all mean splits."""
    group: str | None = None
    """Column of what belongs together, such as the patient; a division keeps it in one split."""
    keep: bool = False
    """Keep the columns that are not used in a file beside the annotation."""


class Vg500Settings(Settings):
    """What the lists of VG-500 leave open."""

    names: str | None = None
    """File with the names of the 500 classes, one a line."""


def _parse_split(value: Any) -> Any:
    """Read `0.8,0.1,0.1` as numbers; a word stays a word."""
    try:
        if isinstance(value, str) and "," in value:
            value = [float(part) for part in value.split(",")]
        if isinstance(value, str) and re.fullmatch(r"(?!convert$)[A-Za-z][\w-]*", value):
            return value
        shares = tuple(map(float, value))
    except (TypeError, ValueError):
        shares = ()
    if len(shares) not in (2, 3) or min(shares) <= 0 or not isclose(sum(shares), 1):
        raise ValueError("expected 2 or 3 parts that sum to 1 (0.8,0.1,0.1), or keep, or a name")
    return shares


class ConvertSettings(Settings):
    """What is converted, and to what."""

    format: str = Field("auto", json_schema_extra={"flag": "FORMAT"})
    """auto, mlc, coco, voc, yolo, csv-onehot, csv-list, image-folder, open-images, datumaro, cvat,
    label-studio, labelme, via, fiftyone, nus-wide, vg500, mmpretrain, imagenet-txt,
    celeba, jsonl, parquet, shards, tag-files or xmp."""
    source: str = Field(min_length=1, json_schema_extra={"flag": "SOURCE"})
    """File, folder, or zip or tar file to convert. Images of the latter go to the result."""
    dest: str = Field(min_length=1, json_schema_extra={"flag": "DEST"})
    """Folder of the result; if it exists, splits are added to it."""
    to: str = "mlc"
    """Format of the result: mlc, coco, datumaro, fiftyone, csv-onehot, csv-list or shards."""
    images: ImageSettings = ImageSettings()
    classes: str | tuple[str | int, ...] | None = None
    """The classes: names, or a file of them (.txt, .json); by default those of the source."""
    on_unknown_class: Literal["error", "drop"] = "error"
    """What becomes of labels that are not among the classes."""
    label_names: str | None = None
    """Table of names for labels that are numbers; by default one that lies beside them."""
    rename_class: Renames = Field(default_factory=dict)
    """New names for classes, `old=new`; several that get one name become one class."""
    drop_class: Names = ()
    """Classes to leave out, by their old or new names; images stay."""
    min_images: Annotated[int, Field(ge=0)] = 0
    """Classes on fewer images are left out."""
    split: Annotated[str | tuple[float, ...], BeforeValidator(_parse_split)] = "auto"
    """`0.8,0.2` or `0.8,0.1,0.1` divide the images anew; `keep` keeps the splits of the source; a
    name makes the whole source this split. `auto` keeps them too, but divides a source without
    any in 0.8,0.2."""
    rename: dict[str, str] = Field(default_factory=dict)
    """New names for splits of the source; those that get one name are joined."""
    group_by: Pattern | None = None
    """Images whose paths agree in what this regular expression matches stay together."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the division."""
    keep_empty: bool = True
    """Keep images without labels: negatives of every class."""
    strict: bool = False
    """Write nothing and exit with code 3 if anything of the source would be dropped."""
    max_unpacked: Positive = 100.0
    """Gigabytes that a zip or tar file may have unpacked."""
    overwrite: bool = False
    """Replace files of the result that exist."""
    coco: CocoSettings = CocoSettings()
    voc: VocSettings = VocSettings()
    open_images: OpenImagesSettings = OpenImagesSettings()
    cvat: CvatSettings = CvatSettings()
    fiftyone: FiftyOneSettings = FiftyOneSettings()
    csv: CsvSettings = CsvSettings()
    vg500: Vg500Settings = Vg500Settings()
