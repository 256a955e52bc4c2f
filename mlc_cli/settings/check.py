"""Settings of `mlc dataset-check`."""

from typing import Annotated, Literal

from pydantic import Field

from mlc_cli.settings.base import Count, Positive, Settings
from mlc_cli.settings.data import RuleSettings


class CheckSettings(Settings):
    """What is examined, and what is made of it."""

    data: str = Field(json_schema_extra={"flag": "DATA"})
    """Folder of the data set, or one annotation file."""
    images: bool = True
    """Open the image files; without, labels and names alone are examined."""
    near: Annotated[int, Field(ge=0, le=12)] = 6
    """Bits of 64 in which the hashes of nearly equal pictures differ at most."""
    html: str | None = None
    """HTML file for people, with pictures."""
    fix: str | None = None
    """Folder, not there yet, for a cleaned copy of the data set."""
    strict: bool = False
    """Exit with code 3 if there is an error or a warning."""
    rules: RuleSettings | None = None
    """Label rules beside those of the annotation files, as in `data.rules` of a training."""
    image_root: str | None = None
    """Folder that image paths are relative to; by default the folder of the annotation file."""
    allow_outside_root: bool = False
    """Accept absolute paths, `..` and links that lead out of the image folder."""
    max_megapixels: Positive = 200.0
    """Larger images are an error, found before they are decoded."""
    threads: Count | Literal["auto"] = "auto"
    """Threads that read images."""
