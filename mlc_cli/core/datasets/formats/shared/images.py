"""Finding the image files that annotations name."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from unicodedata import normalize
from urllib.parse import unquote

from mlc_cli.core.images.suffixes import IMAGE_SUFFIXES

_IMAGES = frozenset(IMAGE_SUFFIXES)
_SUFFIXES = _IMAGES | {".txt"}
"""Suffixes whose case says nothing: of images, and of the files of labels beside them."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/(?:/[^/]*)?", re.IGNORECASE)
_LEFT_OUT = (".", "SegmentationClass", "SegmentationObject")
"""How folders begin that are hidden, or have the masks of Pascal VOC."""
_UPLOAD_MARK = re.compile(r"[0-9a-f]{8}-")
_NOWHERE = ("", frozenset[str]())


class ImageIndex:
    """Files below a folder, found by the tail of a path.

    The folder is walked once, when it is first asked; hidden folders are left out. Tables of names
    are made only when a file is asked for that is not where the reference says.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._again: dict[str, list[str]] = {}

    @cached_property
    def _known(self) -> dict[str, tuple[str, frozenset[str]]]:
        """Folder and names by what stands before a name in references; first as it is."""
        return {prefix: (prefix, frozenset(names)) for prefix, names in _folders(self._root)}

    @cached_property
    def _prefix(self) -> dict[str, str]:
        """What stands before each name; for a name in several folders all are in `_again`."""
        found: dict[str, str] = {}
        for prefix, names in list(self._known.values()):
            own = dict.fromkeys(names, prefix)
            if not own.keys().isdisjoint(found.keys()):
                for name in own.keys() & found.keys():
                    self._again.setdefault(name, [found[name]]).append(prefix)
            found |= own
        return found

    @cached_property
    def _endings(self) -> list[str]:
        """Suffixes that the images have."""
        last = {name[-4:] for name in self._prefix}
        both = (ending for suffix in IMAGE_SUFFIXES for ending in (suffix, suffix.upper()))
        return [ending for ending in both if ending[-4:] in last]

    @cached_property
    def _loosely(self) -> dict[str, list[str]]:
        """Names by what those have in common that may mean one file."""
        alike: dict[str, list[str]] = {}
        for name in self._prefix:
            stem, dot, suffix = name.rpartition(".")
            if dot + suffix.lower() in _SUFFIXES:
                alike.setdefault(_loose(stem), []).append(name)
        return alike

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
        prefix, names = self._known.get(reference[:cut], _NOWHERE)
        if (name := reference[cut:]) in names:
            return [prefix + name]
        found = [] if "?" in name else self._called(name)  # most are found without taking it apart
        if len(found) == 1:
            own = self._prefix.get(name)
            if own is not None and reference[:cut] not in self._known:  # so are others from there
                self._known[reference[:cut]] = own, self._known[own][1] - self._again.keys()
            return found
        *folders, name = reference_parts(reference)
        found = found or self._called(name) or self._called(_UPLOAD_MARK.sub("", name, count=1))
        if len(found) > 1:
            found = _best(found, lambda own: (_shared(folders, own), own == folders))
        if len(found) > 1 and near:
            found = _best(found, lambda own: near in own)
        return found

    def _called(self, name: str) -> list[str]:
        """Paths of files of a name, or of those that are called alike."""
        stem, dot, suffix = name.rpartition(".")
        ending = dot + suffix.lower()
        endings = [ending, ending.upper()]
        if ending not in _SUFFIXES:
            stem, ending, endings = name, "", self._endings
        if not stem:
            return []
        exact = self._paths(name) if ending else []  # what is no image is not meant
        if found := exact or [p for own in endings for p in self._paths(stem + own)]:
            return found
        alike = (own for own in self._loosely.get(_loose(stem), ()) if _has_ending(own, ending))
        return [path for own in alike for path in self._paths(own)]

    def _paths(self, name: str) -> list[str]:
        if (prefix := self._prefix.get(name)) is None:
            return []
        return [own + name for own in self._again.get(name, (prefix,))]


def _has_ending(name: str, ending: str) -> bool:
    return name.lower().endswith(ending) if ending else is_image(name)


def is_image(name: str) -> bool:
    """Whether a name ends like that of an image file."""
    return name[name.rfind(".") :].lower() in _IMAGES


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


def _loose(stem: str) -> str:
    """What stems have in common that may mean one file: decoded, composed, in one case."""
    stem = normalize("NFC", unquote(stem)).casefold()
    return stem.lstrip("0") if stem.isdigit() else stem


def _best(paths: Sequence[str], merit: Callable[[list[str]], Any]) -> list[str]:
    """The paths whose folders have most merit."""
    merits = [merit(path.split("/")[:-1]) for path in paths]
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
    return any(any(map(is_image, names)) for _, names in _folders(root))


def walk_images(root: Path) -> list[str]:
    """Image files below a folder as sorted paths relative to it, with forward slashes."""
    return [prefix + name for prefix, names in _folders(root)
            for name in sorted(names) if name[0] != "." and is_image(name)]  # fmt: skip


def _folders(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders below a root, as what stands before a name, and the names of the files of each.

    Hidden folders, and what links lead to, are left out.
    """
    waiting = [("", str(root))]
    while waiting:
        prefix, place = waiting.pop()
        below, names = [], []
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        names.append(entry.name)
                    elif not entry.name.startswith(_LEFT_OUT):
                        below.append((f"{prefix}{entry.name}/", entry.path))
        except OSError:  # no folder, or one without permission
            continue
        yield prefix, names
        waiting += sorted(below, reverse=True)
