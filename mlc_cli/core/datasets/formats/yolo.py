"""YOLO: `data.yaml`, and a text file of boxes for each image.

    path: ../coco8            names: [cat, dog] or {0: cat, 1: dog}
    train: images/train       a folder, a pattern such as images/*/a_*.jpg, a .txt list of images,
                              folders and patterns, or several of these: [images/a, b.txt]

The boxes of `images/train/1.jpg` are in `labels/train/1.txt`, a line `class x y width height` each,
or the points of an outline. An image without such a file, or with an empty one, has no labels.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from mlc_cli.core.datasets.formats.base import Sample, Source
from mlc_cli.core.datasets.formats.shared.images import SUFFIXES, same_name, walk_images
from mlc_cli.core.datasets.formats.shared.lines import is_file, is_folder, text_lines
from mlc_cli.core.system.files import read_text
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

SPLITS = ("train", "val", "test")
_NAMES = re.compile(rb"^(names|nc)\s*:", re.MULTILINE)
_NOTHING = ("", "null", "~")
_HIDDEN = re.compile(r"/\.[^./]")
_PATTERN = re.compile(r"[*?[]")


class YoloReader:
    """Reads YOLO."""

    name = "yolo"
    title = "YOLO"

    def detect(self, source: Path) -> str | None:
        """Name the YAML file with names of classes."""
        file = _find(source)
        return None if file is None else f"names of classes in {file.name}"

    def read(self, source: Path, images: Path | None, dropped: IssueLog) -> Source:
        """Open a data.yaml, or the folder that has it.

        Raises:
            DataError: There is none, or it is damaged.
        """
        file = _find(source)
        if file is None:
            raise DataError(f"{source}: has no data.yaml with names of classes")
        content = _load(file)
        names = _names(content, file)
        entries = _split_entries(content)
        root = _root(file, content, images, [entry for _, entry in entries])
        image_root = images or root
        below = f"{_absolute(image_root).as_posix().rstrip('/')}/"
        places = [
            (split, place) for split, entry in entries for place in _resolve(root, entry, dropped)
        ]
        return Source(
            image_root=image_root,
            samples=(
                Sample(image.removeprefix(below), labels, (), split)
                for split, place in places
                for image in _images(place, dropped)
                if (labels := _labels(_label_file(image), names, dropped)) is not None
            ),
            classes=list(dict.fromkeys(names.values())),
            remarks=tuple(_remarks(places)),
        )


def _find(source: Path) -> Path | None:
    """The file at a place that names classes; `data.yaml` before others."""
    files = [source]
    if source.is_dir():
        found = sorted([*source.glob("*.yaml"), *source.glob("*.yml")])
        files = sorted(found, key=lambda file: file.stem != "data")
    for file in files:
        if file.suffix in (".yaml", ".yml") and is_file(file):
            try:
                with file.open("rb") as stream:
                    if _NAMES.search(stream.read(1 << 20)):
                        return file
            except OSError:
                continue
    return None


def _load(file: Path) -> Mapping[str, Any]:
    """Content of the file; every value stays text, be it called `no` or `1e3`."""
    try:
        content = yaml.load(read_text(file), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{file}: is not valid YAML: {error!s:.300}") from None
    if not isinstance(content, dict):
        raise DataError(f"{file}: has no names of classes")
    return content


def _names(content: Mapping[str, Any], file: Path) -> dict[int, str]:
    """Name of each class by its number; numbers alone, if there is only their count."""
    names = content.get("names")
    count = content.get("nc")
    if names is None and isinstance(count, str) and re.fullmatch("[0-9]{1,6}", count):
        return {number: f"class_{number}" for number in range(int(count))}
    if isinstance(names, list):
        names = {str(number): name for number, name in enumerate(names)}
    if isinstance(names, dict) and names:
        texts = all(isinstance(name, str) and name.strip() for name in names.values())
        numbers = all(isinstance(key, str) and re.fullmatch(r"[0-9]{1,9}", key) for key in names)
        if texts and numbers:
            return {int(number): name.strip() for number, name in names.items()}
    raise DataError(
        f"{file}: 'names' is neither a list of names nor names by number",
        "It looks like `names: [cat, dog]`.",
    )


def _split_entries(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Folders and lists of each split."""
    entries = [(split, content.get(split, "")) for split in SPLITS]
    return [
        (split, entry.strip().replace("\\", "/"))
        for split, given in entries
        for entry in (given if isinstance(given, list) else [given])
        if isinstance(entry, str) and entry.strip() not in _NOTHING
    ]


def _root(file: Path, content: Mapping[str, Any], images: Path | None, entries: list[str]) -> Path:
    """The folder that entries are relative to: the first choice where one of them is."""
    given = content.get("path")
    named = given if isinstance(given, str) and given not in _NOTHING else ""
    choices = [file.parent / named, file.parent, *([images] if images else [])]
    for root in choices:
        if any(_resolve(root, entry, IssueLog()) for entry in entries):
            return root
    return choices[0]


def _resolve(root: Path, entry: str, dropped: IssueLog) -> list[str]:
    """Places of an entry; `../train/images` may mean `train/images`, as Roboflow writes it."""
    lists = entry.endswith(".txt")
    places = _places(root, entry, lists=lists)
    if not places and entry.startswith("../"):
        places = _places(root, entry.removeprefix("../"), lists=lists)
    if not places:
        kind = "folders and lists of images that are not there"
        dropped.add(kind, f"{_absolute(root / entry)!s:.200}")
    return places


def _places(root: Path, entry: str, *, lists: bool) -> list[str]:
    """The folder or file of this name, else folders and images, or lists, that fit the pattern."""
    place = _absolute(root / entry)
    if is_file(place) or is_folder(place):
        return [place.as_posix()]
    found = {_absolute(match) for match in _matches(root, entry)}
    folders = {match for match in found if not _is_image(match.name) and is_folder(match)}
    return sorted(
        match.as_posix()
        for match in found
        if match in folders or _is_image(match.name) or (lists and match.suffix == ".txt")
        if folders.isdisjoint(match.parents)
    )


def _matches(root: Path, entry: str) -> list[Path]:
    """All that fits a pattern, hidden files and folders only where it names them."""
    if not _PATTERN.search(entry):
        return []
    anchor = Path(entry).anchor
    base = Path(anchor) if anchor else root.absolute()
    try:
        found = list(base.glob(entry.removeprefix(anchor)))
    except ValueError:  # ** beside other characters, a NUL byte
        return []
    if _HIDDEN.search(f"/{entry}"):
        return found
    return [match for match in found if not _HIDDEN.search(f"/{match.relative_to(base)}")]


def _absolute(path: Path) -> Path:
    return Path(posixpath.normpath(path.absolute().as_posix()))


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _images(place: str, dropped: IssueLog) -> Iterator[str]:
    """Images at a place: itself, those of a folder, or those of a list."""
    if _is_image(place) or is_folder(Path(place)):
        yield from _itself_or_inside(place)
    else:
        yield from _listed(Path(place), dropped)


def _itself_or_inside(place: str) -> list[str]:
    if is_folder(Path(place)):
        return [f"{place}/{path}" for path in walk_images(Path(place))]
    return [place]


def _listed(file: Path, dropped: IssueLog) -> Iterator[str]:
    """Images of a list, whose lines are relative to its own folder."""
    base = file.parent
    for number, text in text_lines(file):
        line = text.replace("\\", "/")
        image = posixpath.normpath(posixpath.join(base.as_posix(), line))
        if _is_image(line) and not _PATTERN.search(line):  # without a look at the disk
            yield image
        elif places := _places(base, line, lists=False):
            yield from (found for place in places for found in _itself_or_inside(place))
        elif "*" in line or "?" in line:
            kind = "patterns of a list that no image fits"
            dropped.add(kind, f"{file}, line {number}: {line:.80}")
        else:
            yield image


def _label_file(image: str) -> Path:
    head, found, tail = image.rpartition("/images/")
    place = f"{head}/labels/{tail}" if found else image
    return Path(re.sub(r"\.[^./]*$", "", place) + ".txt")


def _labels(file: Path, names: Mapping[int, str], dropped: IssueLog) -> list[str] | None:
    """Classes of the boxes in a file; `None` if it cannot be read."""
    if not is_file(file):
        alike = _alike(file)
        if alike is None:
            return []
        file = alike
    try:
        lines = list(text_lines(file))
    except DataError as error:
        dropped.add("images whose boxes cannot be read", error.message)
        return None
    found = dict[str, None]()
    for number, line in lines:
        index = _class_of(line)
        if index is None:
            dropped.add("lines that are no box", f"{file}, line {number}")
        elif index not in names:
            dropped.add("boxes of a class that has no name", f"{file}, line {number}: {index}")
        else:
            found[names[index]] = None
    return list(found)


def _alike(file: Path) -> Path | None:
    """A file of the same folder whose name differs in percent-encoding or Unicode form alone."""
    try:
        changed = file.parent.stat().st_mtime_ns
    except OSError:
        return None
    return _files_by_name(file.parent, changed).get(same_name(file.name))


@lru_cache(maxsize=8)
def _files_by_name(folder: Path, _changed: int) -> dict[str, Path]:
    """Label files of a folder, as it was when it last changed."""
    return {same_name(file.name): file for file in folder.glob("*.txt")}


def _class_of(line: str) -> int | None:
    """Number of the class of a box, `None` if the line is none."""
    try:
        index, *places = map(float, line.split())
    except ValueError:
        return None
    return int(index) if index.is_integer() and len(places) >= 4 else None


def _remarks(places: list[tuple[str, str]]) -> Iterator[str]:
    for split, place in places:
        labels = _label_file(f"{place}/any.jpg").parent
        if not _is_image(place) and is_folder(Path(place)) and not is_folder(labels):
            yield f"{split}: there is no folder {labels}, so that all images are without labels"
