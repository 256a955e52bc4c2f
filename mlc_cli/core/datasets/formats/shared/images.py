"""Finding the image files that annotations name."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice, takewhile
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from cv2 import haveImageReader

from mlc_cli.core.datasets.formats.shared.references import (
    in_folders,
    loose_stem,
    name_start,
    names_in,
    reference_parts,
)
from mlc_cli.core.images.suffixes import IMAGE_SUFFIXES

_IMAGES = frozenset(IMAGE_SUFFIXES)
_SUFFIXES = _IMAGES | {".txt"}
"""Suffixes whose case says nothing: of images, and of the files of labels beside them."""
_TAIL = itemgetter(slice(-4, None))
_TAILS = {own[-4:] for suffix in _SUFFIXES for own in (suffix, suffix.upper())}
_LEFT_OUT = (".", "SegmentationClass", "SegmentationObject")
"""How folders begin that are hidden, or have the masks of Pascal VOC."""
_FEW = 8
_UPLOAD_MARK = re.compile(r"[0-9a-f]{8}-")
_BESIDE = (
    ".txt", ".xml", ".json", ".csv", ".yaml", ".yml", ".names", ".data", ".cache", ".npy", ".md",
    ".html", ".xmp", ".zip", "thumbs.db", "desktop.ini",
)  # fmt: skip
"""How names end of what people and programs put beside images."""


class Move(NamedTuple):
    """Where the files of a folder of references lie, and which ending theirs have for another."""

    place: str
    old: str = ""
    new: str = ""


class Found(NamedTuple):
    """Files of references.

    Attributes:
        moves: Of each folder of references whose files all lie in one.
        others: References of all other folders, and the files that each can mean.
    """

    moves: dict[str, Move]
    others: dict[str, list[str]]

    def of(self, reference: str) -> list[str]:
        """The files that a reference can mean, as `ImageIndex.find` says."""
        if reference in self.others:
            return self.others[reference]
        cut = name_start(reference)
        place, old, new = self.moves[reference[:cut]]
        return [place + names_in(reference[:cut], [reference[cut:]], old, new)[0]]


class ImageIndex:
    """Images, and text files beside them, below a folder, found by the tail of a path.

    The folder is walked once, when it is first asked; hidden folders are left out. Tables of names
    are made only when a file is asked for that is not where the reference says.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def _walked(self) -> list[tuple[str, list[str], set[str]]]:
        return list(_folders(self._root))

    @cached_property
    def _listed(self) -> dict[str, list[str]]:
        """Names of the images of each folder, by what stands before them."""
        return {
            place: names if tails <= _TAILS else [own for own in names if _suffix(own) in _SUFFIXES]
            for place, names, tails in self._walked
        }

    def _every(self) -> Iterator[str]:
        return chain.from_iterable(self._listed.values())

    @cached_property
    def _again(self) -> dict[str, list[str]]:
        """What stands before each name that several folders have."""
        hashes = np.sort(np.fromiter(map(hash, self._every()), np.int64))
        if np.diff(hashes).all():  # a set of a million names takes longer
            return {}
        again: dict[str, list[str]]
        again = {name: [] for name, times in Counter(self._every()).items() if times > 1}
        for place, names in self._listed.items():
            for name in again.keys() & set(names):
                again[name].append(place)
        return again

    @cached_property
    def _place(self) -> dict[str, str]:
        """What stands before each name, before one of them for those in several folders."""
        return {name: place for place, names in self._listed.items() for name in names}

    @cached_property
    def _tails(self) -> set[str]:
        return set().union(*(tails for _, _, tails in self._walked))

    @cached_property
    def _endings(self) -> list[str]:
        """Suffixes that the images have."""
        both = (ending for suffix in IMAGE_SUFFIXES for ending in (suffix, suffix.upper()))
        return [ending for ending in both if ending[-4:] in self._tails]

    @cached_property
    def _loosely(self) -> dict[str, list[str]]:
        """Names by what those have in common that may mean one file."""
        alike: dict[str, list[str]] = {}
        for name in self._place:
            alike.setdefault(loose_stem(name.rpartition(".")[0]), []).append(name)
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

    def going_on(self, name: str) -> list[str]:
        """A few images whose names go on after a name with `_`."""
        found = (own for own in self._every() if own.startswith(f"{name}_") and is_image(own))
        return sorted(islice(found, _FEW))

    def find_all(self, references: Sequence[str], near: str = "") -> Found:
        """What `find` says of many references, in a fraction of the time.

        Those of one folder mostly lie in one, under names that are theirs or differ in one way;
        only the others are looked for one by one.
        """
        folders = in_folders(references)
        moves = self._moves(folders)
        rest = (f"{f}{name}" for f in folders.keys() - moves.keys() for name in folders[f])
        return Found(moves, {own: self.find(own, near) for own in rest})

    def _moves(self, folders: Mapping[str, list[str]]) -> dict[str, Move]:
        """Folders of references whose files one folder has, that nothing else can mean."""
        there = (own for own in folders if own in self._listed)
        moves = {f: Move(f) for f in there if self._have(f, names_in(f, folders[f]))}
        asked = {
            f: self._ways(names_in(f, own[:1])) for f, own in folders.items() if f not in moves
        }
        wanted = {name for ways in asked.values() for name in ways}
        listed = self._listed.items() if wanted else ()
        places = {n: place for place, own in listed for n in wanted.intersection(own)}
        for folder, ways in asked.items():
            found = [Move(places[name], *way) for name, way in ways.items() if name in places]
            if len(found) == 1 and self._fits(folder, folders[folder], found[0], ways.values()):
                moves[folder] = found[0]
        return moves

    def _ways(self, names: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Names that files of references can have: what they end with in place of what."""
        ways = {}
        for name in filter(None, names):
            stem, endings = self._spelled(name)
            old = name.removeprefix(stem)
            ways.update({stem + own: (old, own) for own in (old, *endings) if own})
        return ways

    def _have(self, place: str, names: Sequence[str]) -> bool:
        """Whether a folder has all of some names; of a few in a large one each is looked for."""
        there = self._listed[place]
        return len(there) <= _FEW * len(names) and set(there).issuperset(names)

    def _fits(
        self, folder: str, own: Sequence[str], move: Move, ways: Iterable[tuple[str, str]]
    ) -> bool:
        """Whether one folder alone has all of some references, with an ending for another."""
        place, old, new = move
        names = names_in(folder, own, old, new)
        if not self._have(place, names):
            return False
        if self._again and not self._again.keys().isdisjoint(names):
            return False
        others = [way for _, way in ways if way != new != old and way[-4:] in self._tails]
        twins = (names_in(folder, own, old, other) for other in others)
        return all(map(self._place.keys().isdisjoint, twins)) if others else True

    def _spelled(self, name: str) -> tuple[str, Sequence[str]]:
        """What a name begins with, and the endings that its file can have."""
        stem, dot, suffix = name.rpartition(".")
        ending = dot + suffix.lower()
        known = ending in _SUFFIXES
        return (stem, [ending, ending.upper()]) if known else (name, self._endings)

    def _called(self, name: str) -> list[str]:
        """Paths of files of a name, or of those that are called alike."""
        stem, endings = self._spelled(name)
        if not stem:
            return []
        ending = endings[0] if stem != name else ""
        exact = self._paths(name) if ending else []  # what is no image is not meant
        if found := exact or [p for own in endings for p in self._paths(stem + own)]:
            return found
        alike = self._loosely.get(loose_stem(stem), ())
        fits = (own for own in alike if (own.lower().endswith(ending) if ending else is_image(own)))
        return [path for own in fits for path in self._paths(own)]

    def _paths(self, name: str) -> list[str]:
        if (place := self._place.get(name)) is None:
            return []
        return [own + name for own in self._again.get(name, (place,))]


def is_image(name: str) -> bool:
    """Whether a name ends like that of an image file."""
    return _suffix(name) in _IMAGES


def _suffix(name: str) -> str:
    return name[name.rfind(".") :].lower()


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
    return any(any(map(is_image, names)) for _, names, _ in _folders(root))


def walk_images(root: Path, others: Callable[[str], object] = lambda _: None) -> list[str]:
    """Image files below a folder as sorted paths relative to it, with forward slashes.

    A name without a suffix is an image's if the content is; `others` hears of files that may have
    been meant for images.
    """
    found = []
    for prefix, names, _ in _folders(root):
        for name in sorted(names):
            if name[0] == ".":
                continue
            if is_image(name) or ("." not in name and haveImageReader(str(root / prefix / name))):
                found.append(prefix + name)
            elif not name.lower().endswith(_BESIDE):
                others(prefix + name)
    return found


def _folders(root: Path) -> Iterator[tuple[str, list[str], set[str]]]:
    """Folders below a root, as what stands before a name, and the names of the files of each.

    The third are the last four characters of the names. Where all are those of images, no folder
    is looked for among them, as listing names alone is faster. Hidden folders, and what links lead
    to, are left out.
    """
    waiting = [("", str(root))]
    while waiting:
        prefix, place = waiting.pop()
        try:
            names = os.listdir(place)  # noqa: PTH208 - fast
            tails, below = set(map(_TAIL, names)), set[str]()
            if not tails <= _TAILS:
                with os.scandir(place) as entries:
                    below = {own.name for own in entries if own.is_dir(follow_symlinks=False)}
        except OSError:  # no folder, or one without permission
            continue
        yield prefix, [name for name in names if name not in below] if below else names, tails
        seen = sorted((name for name in below if not name.startswith(_LEFT_OUT)), reverse=True)
        waiting += [(f"{prefix}{name}/", f"{place}/{name}") for name in seen]
