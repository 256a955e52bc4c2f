"""Finding the image files that annotations name."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize
from urllib.parse import unquote

from cv2 import haveImageReader

from mlc_cli.core.images.suffixes import IMAGE_SUFFIXES

_IMAGES = frozenset(IMAGE_SUFFIXES)
_SUFFIXES = _IMAGES | {".txt"}
"""Suffixes whose case says nothing: of images, and of the files of labels beside them."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/(?:/[^/]*)?", re.IGNORECASE)
_LEFT_OUT = (".", "SegmentationClass", "SegmentationObject")
"""How folders begin that are hidden, or have the masks of Pascal VOC."""
_UPLOAD_MARK = re.compile(r"[0-9a-f]{8}-")
_FEW = 8
_BESIDE = (
    ".txt", ".xml", ".json", ".csv", ".yaml", ".yml", ".names", ".data", ".cache", ".npy", ".md",
    ".html", ".xmp", ".zip", "thumbs.db", "desktop.ini",
)  # fmt: skip
"""How names end of what people and programs put beside images."""


class Found(NamedTuple):
    """Files of references, but of those that say where theirs is.

    Attributes:
        moved: The path of the only file that a reference can mean.
        unclear: References that several files fit, or none.
    """

    moved: dict[str, str]
    unclear: dict[str, list[str]]

    def of(self, reference: str) -> list[str]:
        """The files that a reference can mean, as `ImageIndex.find` says."""
        found = self.unclear.get(reference)
        return [self.moved.get(reference, reference)] if found is None else found


class ImageIndex:
    """Files below a folder, found by the tail of a path.

    The folder is walked once, when it is first asked; hidden folders are left out. Tables of names
    are made only when a file is asked for that is not where the reference says.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._again: dict[str, list[str]] = {}

    @cached_property
    def _listed(self) -> dict[str, list[str]]:
        """Names of the files of each folder, by what stands before them."""
        return dict(_folders(self._root))

    @cached_property
    def _prefix(self) -> dict[str, str]:
        """What stands before each name; for a name in several folders all are in `_again`."""
        found: dict[str, str] = {}
        for prefix, names in self._listed.items():
            found |= dict.fromkeys(names, prefix)
        if len(found) < sum(map(len, self._listed.values())):
            for prefix, names in self._listed.items():
                for name in names:
                    if found[name] != prefix:
                        self._again.setdefault(name, []).append(prefix)
            for name, places in self._again.items():
                places.append(found[name])
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
        reference = reference.replace("\\", "/")
        cut = reference.rfind("/") + 1
        if reference in self._paths(reference[cut:]):
            return [reference]
        *folders, name = reference_parts(reference)
        found = self._called(name) or self._called(_UPLOAD_MARK.sub("", name, count=1))
        if len(found) > 1:
            found = _best(found, lambda own: (_shared(folders, own), own == folders))
        if len(found) > 1 and near:
            found = _best(found, lambda own: near in own)
        return found

    def find_all(self, references: Iterable[str], near: str = "") -> Found:
        """What `find` says of many references, in a fraction of the time.

        Those of one folder mostly lie in one, under names that are theirs or differ in one way;
        only the others are looked for one by one.
        """
        found, folders = Found({}, {}), defaultdict[str, list[str]](list)
        for reference in references:
            cut = (reference.rfind("\\") if "\\" in reference else reference.rfind("/")) + 1
            folders[reference[:cut]].append(reference)
        for folder, own in folders.items():
            if self._has(folder, own):
                continue
            if together := self._together(own, len(folder)):
                found.moved.update(zip(own, together, strict=True))
                continue
            for reference in own:
                paths = self.find(reference, near)
                if len(paths) != 1:
                    found.unclear[reference] = paths
                elif paths[0] != reference:
                    found.moved[reference] = paths[0]
        return found

    def _has(self, folder: str, paths: Sequence[str]) -> bool:
        """Whether a folder has all of some files, which are not far fewer than those in it."""
        names = self._listed.get(folder, ())
        few = len(names) > _FEW * len(paths)  # one by one they are found sooner
        return not few and {folder + name for name in names}.issuperset(paths)

    def _together(self, references: Sequence[str], cut: int) -> list[str]:
        """Paths of images that one folder has and that nothing else can mean; empty if not so."""
        first = self.find(references[0])
        if len(first) != 1:
            return []
        names = [reference[cut:] for reference in references]
        if is_address(references[0]):
            names = [name.partition("?")[0] for name in names]
        place = first[0][: first[0].rfind("/") + 1]
        if (name := first[0].removeprefix(place)) != names[0]:
            names = self._with_ending(names, name)
        endings = {own[-4:]: own[own.rfind(".") :].lower() for own in names}
        if not _SUFFIXES.issuperset(endings.values()) or not self._again.keys().isdisjoint(names):
            return []
        paths = [place + own for own in names]
        return paths if self._has(place, paths) else []

    def _with_ending(self, names: list[str], found: str) -> list[str]:
        """Names with the ending that the first was found with, where no other fits any of them."""
        stem, _, _ = found.rpartition(".")
        new, old = found.removeprefix(stem), names[0].removeprefix(stem)
        if not stem or not names[0].startswith(stem) or not all(own.endswith(old) for own in names):
            return []
        stems = [own.removesuffix(old) for own in names]
        others = {old, new.lower(), new.upper()} if old else {*self._endings}
        if any(not self._prefix.keys().isdisjoint(own + end for own in stems)
               for end in others - {new}):  # fmt: skip
            return []
        return [own + new for own in stems]

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
        alike = self._loosely.get(_loose(stem), ())
        fits = (own for own in alike if (own.lower().endswith(ending) if ending else is_image(own)))
        return [path for own in fits for path in self._paths(own)]

    def _paths(self, name: str) -> list[str]:
        if (prefix := self._prefix.get(name)) is None:
            return []
        return [own + name for own in self._again.get(name, (prefix,))]


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
    pairs = zip(reversed(folders), reversed(others), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def holds_images(root: Path) -> bool:
    """Whether there is an image below a folder."""
    return any(any(map(is_image, names)) for _, names in _folders(root))


def walk_images(root: Path, others: Callable[[str], object] = lambda _: None) -> list[str]:
    """Image files below a folder as sorted paths relative to it, with forward slashes.

    A name without a suffix is an image's if the content is; `others` hears of files that may have
    been meant for images.
    """
    found = []
    for prefix, names in _folders(root):
        for name in sorted(names):
            if name[0] == ".":
                continue
            if is_image(name) or ("." not in name and haveImageReader(str(root / prefix / name))):
                found.append(prefix + name)
            elif not name.lower().endswith(_BESIDE):
                others(prefix + name)
    return found


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
