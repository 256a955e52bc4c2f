"""How a data set of YOLO is laid out: the file that names its classes, and where its images are."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mlc_cli.core.datasets.formats.shared.images import is_image, walk_images
from mlc_cli.core.datasets.formats.shared.json_files import opening
from mlc_cli.core.datasets.formats.shared.lines import is_file, is_folder, other_files, text_lines
from mlc_cli.core.datasets.formats.shared.split_names import SPLITS, meaning
from mlc_cli.core.datasets.formats.yolo_labels import LISTS, class_of
from mlc_cli.core.system.files import read_text
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_NAMES = re.compile(r"^(names|nc)\s*:", re.MULTILINE)
_HIDDEN = re.compile(r"/\.[^./]")
_PATTERN = re.compile(r"[*?[]")
_NOTHING = ("", "null", "~")
_PLACES = ("*.yaml", "*.yml", "*.data", "*.names", "classes.txt", "labels/classes.txt",
           "images/classes.txt", "*/classes.txt")  # fmt: skip
_KEYS = {"train": "train", "valid": "val", "val": "val", "test": "test"}
_LOOKED = 50
"""Text files that are looked at for boxes."""


class Layout(NamedTuple):
    """Where the images of a data set are, and what its classes are called.

    Attributes:
        folder: Folder of the data set.
        names: Name of each class by its number, if a file tells.
        named: Folder from there that entries are relative to; may be empty.
        entries: Split, and a folder, pattern or list of images.
    """

    folder: Path
    names: dict[int, str] | None
    named: str
    entries: list[tuple[str, str]]


def find_names(source: Path) -> Path | None:
    """The file at a place that names classes: `data.yaml` before others, YAML before lists."""
    files = [source]
    if source.is_dir():
        files = [path for pattern in _PLACES for path in sorted(source.glob(pattern))]
        files.sort(key=lambda file: file.name not in ("data.yaml", "data.yml"))
    return next(filter(_names_classes, files), None)


def _names_classes(file: Path) -> bool:
    if not is_file(file):
        return False
    if file.suffix not in (".yaml", ".yml"):
        return file.name == "classes.txt" or file.suffix in (".names", ".data")
    return bool(_NAMES.search(opening(file)))


def find_boxes(folder: Path) -> Path | None:
    """The first of some text files below a folder whose lines are all boxes."""
    found = (
        Path(own, name)
        for own, name in chain(*other_files(folder))
        if name.endswith(".txt") and name not in LISTS
    )
    for file in islice(found, _LOOKED):
        lines = [line for line in opening(file).splitlines() if line.strip()]
        if lines and all(map(_is_box, lines)):
            return file
    return None


def _is_box(line: str) -> bool:
    """Whether a line is a box of YOLO, whose corners are parts of the image and no pixels."""
    return class_of(line) is not None and all(-1 <= float(word) <= 2 for word in line.split()[-4:])


def data_folder(file: Path) -> Path:
    """Folder of a data set that a file, or the folder of its labels, is in."""
    folder = file if file.is_dir() else file.parent
    return folder.parent if folder.name in ("labels", "images") else folder


def open_layout(source: Path) -> Layout:
    """Look at a place.

    Raises:
        DataError: No file there names classes and none has boxes, or one is damaged.
    """
    file = find_names(source)
    folder = source if source.is_dir() else data_folder(source)
    if file is None:
        if not source.is_dir() or find_boxes(source) is None:
            raise DataError(
                f"{source}: has no data.yaml, obj.names or classes.txt with names of classes, and"
                " no files of boxes"
            )
        return Layout(source, None, "", [("", ".")])
    if file.suffix in (".yaml", ".yml"):
        content = _load(file)
        given = content.get("path")
        named = given if isinstance(given, str) and given not in _NOTHING else ""
        return Layout(file.parent, _names(content, file), named, _split_entries(content))
    file, entries = _darknet(file, folder)
    names = [line for _, line in text_lines(file)]
    if file.suffix == ".data" or not names:
        raise DataError(f"{file}: has no names of classes", "Each line is a name: cat")
    if not entries:
        lists = [path for path in sorted(folder.glob("*.txt")) if meaning(path.stem)]
        entries = [(path.stem, path.name) for path in lists] or [("", ".")]
    return Layout(folder, dict(enumerate(names)), "", entries)


def _darknet(file: Path, folder: Path) -> tuple[Path, list[tuple[str, str]]]:
    """The file of names, and the lists of images that a .data file names."""
    data = file if file.suffix == ".data" else next(iter(sorted(folder.glob("*.data"))), None)
    if data is None:
        return file, []
    pairs = [line.partition("=") for _, line in text_lines(data)]
    told = {key.strip(): value.strip() for key, _, value in pairs}
    if file == data:
        given = told.get("names", "")
        places = [folder / given, folder / Path(given).name, *sorted(folder.glob("*.names"))]
        file = next(filter(is_file, places), file)
    return file, [(split, told[key]) for key, split in _KEYS.items() if told.get(key)]


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


def resolve(root: Path, entry: str, dropped: IssueLog) -> list[str]:
    """Places of an entry; `../train/images` may mean `train/images`, as Roboflow writes it.

    So may `data/train.txt` mean `train.txt`, as CVAT writes it.
    """
    lists = entry.endswith(".txt")
    places = _places(root, entry, lists=lists)
    if not places and (entry.startswith("../") or lists) and "/" in entry.lstrip("/"):
        places = _places(root, entry.partition("/")[2], lists=lists)
    if not places:
        kind = "folders and lists of images that are not there"
        dropped.add(kind, f"{absolute(root / entry)!s:.200}")
    return places


def _places(root: Path, entry: str, *, lists: bool) -> list[str]:
    """The folder or file of this name, else folders and images, or lists, that fit the pattern."""
    place = absolute(root / entry)
    if is_file(place) or is_folder(place):
        return [place.as_posix()]
    found = {absolute(match) for match in _matches(root, entry)}
    folders = {match for match in found if not is_image(match.name) and is_folder(match)}
    return sorted(
        match.as_posix()
        for match in found
        if match in folders or is_image(match.name) or (lists and match.suffix == ".txt")
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


def absolute(path: Path) -> Path:
    """An absolute path without `..`, links as they are."""
    return Path(posixpath.normpath(path.absolute().as_posix()))


def images_of(place: str, dropped: IssueLog) -> Iterator[str]:
    """Images at a place: itself, those of a folder, or those of a list."""
    if is_folder(Path(place)):
        kind = "files in the folders of images that are no images"
        found = walk_images(Path(place), lambda other: dropped.add(kind, f"{place}/{other}"))
        yield from (f"{place}/{path}" for path in found)
    elif is_image(place):
        yield place
    else:
        yield from _listed(Path(place), dropped)


def _listed(file: Path, dropped: IssueLog) -> Iterator[str]:
    """Images of a list, whose lines are relative to its own folder."""
    base = file.parent
    for number, text in text_lines(file):
        line = text.replace("\\", "/").removeprefix("./")
        folder, _, name = line.rpartition("/")
        if is_image(line) and not _PATTERN.search(line):  # without a look at the disk
            yield f"{_folder(base, folder)}/{name}"
        elif places := _places(base, line, lists=False):
            yield from (found for place in places for found in images_of(place, dropped))
        elif "*" in line or "?" in line:
            kind = "patterns of a list that no image fits"
            dropped.add(kind, f"{file}, line {number}: {line:.80}")
        else:
            yield posixpath.normpath(posixpath.join(base.as_posix(), line))


@lru_cache(maxsize=64)
def _folder(base: Path, folder: str) -> str:
    """Place of a folder of a list, perhaps without its first part: CVAT puts `data/` before."""
    rest = folder.partition("/")[2]
    short = rest and not is_folder(base / folder) and is_folder(base / rest)
    return posixpath.normpath((base / (rest if short else folder)).as_posix())
