"""Folders, patterns and lists of images, as YOLO names them."""

import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from mlc_cli.core.datasets.formats.shared.images import is_image, walk_images
from mlc_cli.core.datasets.formats.shared.lines import is_file, is_folder, text_lines
from mlc_cli.core.system.issues import IssueLog

_HIDDEN = re.compile(r"/\.[^./]")
_PATTERN = re.compile(r"[*?[]")


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
    if is_image(place) or is_folder(Path(place)):
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
        if is_image(line) and not _PATTERN.search(line):  # without a look at the disk
            yield _without_data(base, line) or image
        elif places := _places(base, line, lists=False):
            yield from (found for place in places for found in _itself_or_inside(place))
        elif "*" in line or "?" in line:
            kind = "patterns of a list that no image fits"
            dropped.add(kind, f"{file}, line {number}: {line:.80}")
        else:
            yield image


def _without_data(base: Path, line: str) -> str:
    """An image of a list without its first folder, where it is there: CVAT puts `data/` before."""
    folder, _, name = line.removeprefix("./").rpartition("/")
    short = _shortened(base, folder) if "/" in folder else ""
    return f"{short}/{name}" if short else ""


@lru_cache(maxsize=64)
def _shortened(base: Path, folder: str) -> str:
    rest = base / folder.partition("/")[2]
    found = not is_folder(base / folder) and is_folder(rest)
    return posixpath.normpath(rest.as_posix()) if found else ""
