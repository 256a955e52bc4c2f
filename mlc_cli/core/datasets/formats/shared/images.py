"""Finding the image files that annotations name."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote

from mlc_cli.core.images.suffixes import IMAGE_SUFFIXES

_SHORT = frozenset((".jpg", ".png"))
"""The usual ones, which are looked for first."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/(?:/[^/]*)?", re.IGNORECASE)
_LEFT_OUT = (".", "SegmentationClass", "SegmentationObject")
"""How folders begin that are hidden, or have the masks of Pascal VOC."""
_UPLOAD_MARK = re.compile(r"[0-9a-f]{8}-")


class ImageIndex:
    """Image files below a folder, found by the tail of a path.

    The folder is walked once, when it is first asked. Hidden folders are left out.
    """

    def __init__(self, root: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> None:
        self._root = root
        self._suffixes = tuple(suffixes)
        self._again: dict[str, list[str]] = {}
        self._alike_again: dict[str, list[str]] = {}

    @cached_property
    def _names(self) -> dict[str, set[str]]:
        """Names of the files of each folder, which is told by what stands before a name."""
        return {prefix: set(names) for prefix, names in _folders(self._root, self._suffixes)}

    @cached_property
    def _first(self) -> dict[str, str]:
        """The first folder of each name; all folders of a name of several are in `_again`."""
        first: dict[str, str] = {}
        for prefix, names in reversed(self._names.items()):  # so that the first counts
            first.update(dict.fromkeys(names, prefix))
        if len(first) < sum(map(len, self._names.values())):
            for prefix, names in self._names.items():
                for name in names:
                    if first[name] != prefix:
                        self._again.setdefault(name, [first[name]]).append(prefix)
        return first

    @cached_property
    def _loosely(self) -> dict[str, str]:
        """The first path of each loose name; all paths of several are in `_alike_again`."""
        loosely: dict[str, str] = {}
        for prefix, names in self._names.items():
            for name in names:
                path, key = prefix + name, _loose(name)
                if (first := loosely.setdefault(key, path)) is not path:
                    self._alike_again.setdefault(key, [first]).append(path)
        return loosely

    def stemmed(self, stem: str) -> list[str]:
        """Paths of files whose name without suffix is this one, sorted."""
        found = self._keyed(_loose(f"{stem}."))
        return sorted(path for path in found if _stem(path) == stem)

    def find(self, reference: str, near: str = "") -> list[str]:
        """Files that a reference can mean; more than one if that is not clear.

        That counts which is there; else of several with the name of the reference that which agrees
        with most of the folders before the name, then that below `near`. A name that no file has
        may differ in percent-encoding, Unicode form, case, leading zeros, a missing suffix, and the
        mark of eight hexadecimal digits that an upload puts before it.
        """
        if "\\" in reference:
            reference = reference.replace("\\", "/")
        cut = reference.rfind("/") + 1
        name = reference[cut:]
        if name in self._names.get(reference[:cut], ()):  # most of those that are there
            return [reference]
        if (prefix := self._first.get(name)) is not None and name not in self._again:
            return [prefix + name]  # without taking the reference apart, as most are found so
        *folders, name = reference_parts(reference)
        found = self._called(name)
        if not found and (bare := _UPLOAD_MARK.sub("", name, count=1)) != name:
            found = self._called(bare)
        if len(found) > 1:
            found = _best(found, lambda path: _shared(folders, path.split("/")[:-1]))
        if len(found) > 1 and near:
            found = _best(found, lambda path: near in path.split("/")[:-1])
        return found

    def _called(self, name: str) -> list[str]:
        """Paths of files of a name, or of those that are called alike."""
        if (prefix := self._first.get(name)) is not None:
            return [own + name for own in self._again.get(name, (prefix,))]
        if not name:
            return []
        stem, dot, suffix = name.rpartition(".")
        suffixed = f"{dot}{suffix.lower()}" in self._suffixes
        found = self._keyed(_loose(name if suffixed else f"{name}."))
        if suffixed:
            suffix = suffix.lower()
            found = [path for path in found if path.rpartition(".")[2].lower() == suffix]
        if len(found) < 2:
            return found
        stem = stem if suffixed else name
        same = [path for path in found if _stem(path) == stem]
        return same or found

    def _keyed(self, key: str) -> list[str]:
        first = self._loosely.get(key)
        return [] if first is None else self._alike_again.get(key, [first])


def _stem(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]


def is_image(name: str) -> bool:
    """Whether a name ends like that of an image file."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def is_address(reference: str) -> bool:
    """Whether it is an address such as `https://host/a.jpg` or `s3://bucket/a.jpg`."""
    return _ADDRESS.match(reference) is not None


def reference_parts(reference: str) -> list[str]:
    """Folders and name of a path or an address, without host, query and escapes."""
    address = _ADDRESS.match(reference)
    if address is None and not reference.startswith("/data/"):
        return reference.replace("\\", "/").split("/")
    place, _, query = reference[address.end() if address else 0 :].partition("#")[0].partition("?")
    local = query.partition("d=")[2] if place.endswith("local-files/") else ""
    return unquote(local or place).split("/")


def same_name(name: str) -> str:
    """A name for comparing: percent-decoded, in composed Unicode form."""
    decoded = unquote(name) if "%" in name else name
    return decoded if decoded.isascii() else normalize("NFC", decoded)


def _loose(name: str) -> str:
    """What names that may mean one file have in common."""
    stem = name.rpartition(".")[0]
    stem = stem.lower() if stem.isascii() and "%" not in stem else same_name(stem).casefold()
    return stem.lstrip("0") if stem.isdigit() else stem


def _best(paths: Sequence[str], merit: Callable[[str], int]) -> list[str]:
    merits = [merit(path) for path in paths]
    return [path for path, own in zip(paths, merits, strict=True) if own == max(merits)]


def _shared(folders: list[str], others: list[str]) -> int:
    """How many folders agree, counted from the last."""
    count = 0
    for one, other in zip(reversed(folders), reversed(others), strict=False):
        if one != other:
            break
        count += 1
    return count


def holds_images(root: Path) -> bool:
    """Whether there is an image below a folder."""
    return any(names for _, names in _folders(root, IMAGE_SUFFIXES))


def walk_images(root: Path) -> list[str]:
    """Image files below a folder as sorted paths relative to it, with forward slashes."""
    return [prefix + name for prefix, names in _folders(root, IMAGE_SUFFIXES)
            for name in sorted(names)]  # fmt: skip


def _folders(root: Path, suffixes: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Folders below a root, as what stands before a name, and the files of each with a suffix.

    What is hidden, and what links lead to, is left out.
    """
    short, every = _SHORT.intersection(suffixes), frozenset(suffixes)
    waiting = [("", str(root))]
    while waiting:
        prefix, place = waiting.pop()
        below, files = [], []
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if not entry.is_dir():
                        files.append(entry.name)
                    elif not entry.name.startswith(_LEFT_OUT) and not entry.is_symlink():
                        below.append((f"{prefix}{entry.name}/", entry.path))
        except OSError:  # no folder, or one without permission
            continue
        yield (
            prefix,
            [
                name
                for name in files
                if (name[-4:] in short or name[name.rfind(".") :].lower() in every)
                and name[0] != "."
            ],
        )
        waiting += sorted(below, reverse=True)
