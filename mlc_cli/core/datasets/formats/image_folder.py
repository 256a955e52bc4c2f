"""A folder for each class: `<split>/<class>/*.jpg` or `<class>/*.jpg`.

The folders at the top are splits if all of them bear names of splits (train, val, test and the
like), or those that do have folders of images; else classes. An image with several labels lies in
several folders: files of a split that have the same bytes are one image, under the first of their
paths. Files that only have the same name are not, as many tools number the images of each class.
"""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.images import is_image, walk_images
from mlc_cli.core.datasets.formats.shared.lines import is_folder
from mlc_cli.core.datasets.formats.shared.split_names import meaning
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_FOLDERS_OF_OTHERS = {
    "images", "labels", "annotations", "imagesets", "jpegimages", "data", "img_align_celeba",
    "image", "img", "imgs",
}  # fmt: skip
_MASKS = re.compile(r"(.*[_-])?(masks|segmentations?|ground_?truths?|gt|depth|label_?maps?)")
_BAND = re.compile(r"(?:^|_)(?:B\d\d?A?|V[VH]|nir|swir\d?|red|green|blue)\.tiff?", re.IGNORECASE)
"""A channel of an image of several."""
_LOOKED = 20
"""Folders of classes that are looked into."""
_ANNOTATIONS = (".json", ".jsonl", ".csv", ".xml", ".xmp", ".yaml", ".yml")


def _detect(source: Path) -> str | None:
    """Name folders that have images, where no file beside them looks like annotations."""
    splits, classes = _layout(source)
    parents = [source, *(source / split for split in splits)]
    lower = {name.lower() for name in classes}
    if len(classes) < 2 or any(map(_MASKS.fullmatch, lower)):
        return None
    if sum(bool(_BAND.search(entry.name)) for entry in _entries(source / classes[0])) > 1:
        return None
    inside = (parent / name for parent in parents for name in classes[:_LOOKED])
    if lower & _FOLDERS_OF_OTHERS or any(map(has_annotations, chain(parents, inside))):
        return None
    has_images = (name for name in classes if any(_has_image(parent / name) for parent in parents))
    found = list(islice(has_images, 3))
    return f"images in {', '.join(found)}" if len(found) > 1 else None


def below(source: Path) -> dict[str, str]:
    """Folders up to two levels down that have folders of classes, and which: a few of them."""
    top = _folders(source)[:_LOOKED]
    places = [*top, *(f"{name}/{own}" for name in top for own in _folders(source / name)[:_LOOKED])]
    return dict(islice(((own, seen) for own in places if (seen := _detect(source / own))), 3))


def _read(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a folder."""
    root = images or source
    splits, classes = _layout(root)
    if not classes:
        raise DataError(
            f"{root}: has no folders of classes", "Images are looked for in <class>/*.jpg."
        )
    others = ", ".join(name for name in _folders(root) if name not in splits and splits)
    return Source(
        image_root=root,
        samples=chain.from_iterable(_samples(root, own, dropped) for own in splits or [""]),
        classes=classes,
        remarks=(f"folders that are no splits are left out: {others:.300}",) if others else (),
    )


def _layout(root: Path) -> tuple[list[str], list[str]]:
    """Names of the splits, and of the classes of all of them."""
    top = _folders(root)
    splits = [name for name in top if meaning(name)]
    if len(splits) < len(top):  # a class may be called test; a split has folders of images
        below = (root / name / own for name in splits for own in _folders(root / name))
        splits = splits if any(map(_has_image, below)) else []
    if not splits:
        return [], top
    return splits, sorted({name for split in splits for name in _folders(root / split)})


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:  # a file, or a folder without permission
        return []


def _folders(root: Path) -> list[str]:
    return sorted(entry.name for entry in _entries(root) if is_folder(Path(entry)))


def has_annotations(folder: Path, ignored: Sequence[str] = ()) -> bool:
    """Whether a folder has a file that another format would have.

    Such as train.txt, or 1.txt beside 1.jpg.
    """
    names = [Path(entry.name) for entry in _entries(folder)]
    stems = {name.stem for name in names if is_image(name.name)}
    return any(
        name.suffix.lower() in _ANNOTATIONS
        or (name.suffix == ".txt" and (meaning(name.stem) or name.stem in stems))
        for name in names
        if name.suffix.lower() not in ignored
    )


def _has_image(folder: Path) -> bool:
    return any(is_image(entry.name) for entry in _entries(folder))


def _samples(root: Path, split: str, dropped: IssueLog) -> Iterator[Sample]:
    prefix = f"{split}/" if split else ""
    paths = []

    def other(path: str) -> None:
        if "/" in path:
            dropped.add("files in the folders of classes that are no images", prefix + path)

    for path in walk_images(root / split, other):
        if "/" in path:
            paths.append(path)
        else:
            dropped.add("images outside the folders of classes", prefix + path)
    for same in _same_content(root / split, paths):
        labels = list(dict.fromkeys(path.partition("/")[0] for path in same))
        if len(labels) == 1:  # copies in one folder are for others to judge
            yield from (Sample(prefix + path, labels, (), split) for path in same)
            continue
        if len(labels) < len(same):
            kind = "further copies of an image in the folder of one class"
            dropped.add(kind, prefix + same[0], len(same) - len(labels))
        yield Sample(prefix + same[0], labels, (), split)


def _same_content(root: Path, paths: Sequence[str]) -> list[list[str]]:
    """Files with the same bytes together, in the order of the first of each.

    Only files of one size in folders of several classes are read.
    """
    by_size: dict[int, list[str]] = defaultdict(list)
    for path in paths:
        by_size[_size(root / path)].append(path)
    groups: dict[tuple[int, bytes | str], list[str]] = defaultdict(list)
    for size, alike in by_size.items():
        several = size > 0 and len({path.partition("/")[0] for path in alike}) > 1
        for path in alike:
            groups[size, _digest(root / path) if several else path].append(path)
    return sorted(groups.values())


def _size(path: Path) -> int:
    """Bytes of a file; 0 for what cannot be read, which has its own message later."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _digest(path: Path) -> bytes | str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError:
        return str(path)


IMAGE_FOLDER_READER = Reader("image-folder", "a folder for each class", _detect, _read)
