"""How folders of data sets are laid out: which split a file is of, and where its images are."""

import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.formats.shared.lines import is_file
from mlc_cli.core.datasets.formats.shared.split_names import split_of_name

PROBED = 100
_SPLIT = re.compile(r"(?:instances|labels)_(.+)", re.IGNORECASE)


def split_of(file: Path) -> str:
    """The split that the name of an annotation file tells; empty if it tells none."""
    if file.name == "_annotations.coco.json":
        return file.absolute().parent.name
    match = _SPLIT.fullmatch(file.stem)
    split = match[1] if match else ""
    return split_of_name(file.stem) or ("" if split == "default" else split)


def root_of(source: Path) -> Path:
    """Folder of a data set of which it, its folder `annotations`, or a file of either is named."""
    folder = source if source.is_dir() else source.parent
    if folder.absolute().name != "annotations":
        return folder
    return folder.parent if folder.name else folder.absolute().parent


def image_prefix(root: Path, split: str, names: Iterable[str]) -> str:
    """Where below a root the images of a split are: `images/train/`, `train/`, `images/`, or empty.

    Args:
        root: Folder of the data set.
        split: The split; may be empty.
        names: Image names as annotations give them. The place that has most of the first hundred
            counts; without any, the first place that is there.
    """
    places = [f"images/{split}/", f"{split}/"] if split else []
    places += ["images/", ""]
    probed = list(islice(names, PROBED))
    hits = {place: sum(is_file(root / place / name) for name in probed) for place in places}
    if any(hits.values()):
        return max(places, key=lambda place: hits[place])
    return next(place for place in places if not place or (root / place).is_dir())


def common_prefix(annotation: Annotation, split: str) -> str:
    """`images/<split>/` if all images are below it, as some formats expect them; else empty."""
    prefix = f"images/{split}/"
    return prefix if all(path.startswith(prefix) for path in annotation.paths) else ""
