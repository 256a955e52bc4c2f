"""How folders of data sets are laid out: which split a file is of, and where its images are."""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from mlc_cli.core.datasets.formats.shared.lines import is_file
from mlc_cli.core.datasets.formats.shared.split_names import meaning, split_of_name

PROBED = 100
_SPLIT = re.compile(r"(?:instances|labels)_(.+)", re.IGNORECASE)


def split_of(file: Path) -> str:
    """The split that the name of an annotation file, or of its folder, tells; else empty."""
    if file.name == "_annotations.coco.json":
        return file.absolute().parent.name
    match = _SPLIT.fullmatch(file.stem)
    split = match[1] if match else ""
    own, parent = split_of_name(file.stem), file.absolute().parent.name
    if own or not meaning(parent):
        return own or ("" if split == "default" else split)
    return parent


def unsplit(sizes: Mapping[Path, int]) -> tuple[str, ...]:
    """Names of the files, of some number of images each, that tell no split; none of one image."""
    if all(size <= 1 for size in sizes.values()):
        return ()
    return tuple(file.name for file in sizes if not split_of(file))


def root_of(source: Path) -> Path:
    """Folder of a data set of which it, its folder `annotations`, or a file of either is named."""
    folder = source if source.is_dir() else source.parent
    if folder.absolute().name != "annotations":
        return folder
    return folder.parent if folder.name else folder.absolute().parent


def image_prefix(root: Path, split: str, names: Iterable[str]) -> str:
    """Where below a root the images of a split are: `images/train/`, `train/`, `images/`, ...

    The place that has most of the first hundred images counts, by the names that annotations give
    them; without any, the first place that is there. The split may be empty.
    """
    own = ("images/{}/", "{}/", "{}/images/", "{}/data/") if split else ()
    places = [place.format(split) for place in own]
    places += ["images/", "data/", ""]
    probed = list(islice(names, PROBED))
    hits = {place: sum(is_file(root / place / name) for name in probed) for place in places}
    if any(hits.values()):
        return max(places, key=lambda place: hits[place])
    return next(place for place in places if not place or (root / place).is_dir())
