"""Finding the image files that annotations name."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, takewhile
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from cv2 import haveImageReader

from mlc_cli.core.datasets.formats.shared.references import (
    is_address,
    loose_stem,
    name_start,
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
_UPLOAD_MARK = re.compile(r"[0-9a-f]{8}-")
_FEW = 8
_BESIDE = (
    ".txt", ".xml", ".json", ".csv", ".yaml", ".yml", ".names", ".data", ".cache", ".npy", ".md",
    ".html", ".xmp", ".zip", "thumbs.db", "desktop.ini",
)  # fmt: skip
"""How names end of what people and programs put beside images."""


class Move(NamedTuple):
    """Where the files of a folder of references lie, and which ending theirs have for another."""

    place: str
    old: str
    new: str


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
        return [place + reference[cut:].removesuffix(old) + new]


class ImageIndex:
    """Files below a folder, found by the tail of a path.

    The folder is walked once, when it is first asked; hidden folders are left out. Tables of names
    are made only when a file is asked for that is not where the reference says.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def _listed(self) -> dict[str, list[str]]:
        """Names of the files of each folder, by what stands before them."""
        return dict(_folders(self._root))

    @cached_property
    def _names(self) -> set[str]:
        return set().union(*self._listed.values())

    @cached_property
    def _again(self) -> dict[str, list[str]]:
        """What stands before each name that several folders have."""
        if len(self._names) == sum(map(len, self._listed.values())):
            return {}
        counts = Counter(chain.from_iterable(self._listed.values()))
        again: dict[str, list[str]] = {name: [] for name, times in counts.items() if times > 1}
        for prefix, names in self._listed.items():
            for name in again.keys() & set(names):
                again[name].append(prefix)
        return again

    @cached_property
    def _prefix(self) -> dict[str, str]:
        """What stands before each name, before one of them for those in several folders."""
        return {name: prefix for prefix, names in self._listed.items() for name in names}

    @cached_property
    def _endings(self) -> list[str]:
        """Suffixes that the images have."""
        last = set(map(_TAIL, self._names))
        both = (ending for suffix in IMAGE_SUFFIXES for ending in (suffix, suffix.upper()))
        return [ending for ending in both if ending[-4:] in last]

    @cached_property
    def _loosely(self) -> dict[str, list[str]]:
        """Names by what those have in common that may mean one file."""
        alike: dict[str, list[str]] = {}
        for name in self._names:
            stem, dot, suffix = name.rpartition(".")
            if dot + suffix.lower() in _SUFFIXES:
                alike.setdefault(loose_stem(stem), []).append(name)
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

    def find_all(self, references: Sequence[str], near: str = "") -> Found:
        """What `find` says of many references, in a fraction of the time.

        Those of one folder mostly lie in one, under names that are theirs or differ in one way;
        only the others are looked for one by one.
        """
        folders = defaultdict[str, list[str]](list)
        for reference in references:
            folders[reference[: name_start(reference)]].append(reference)
        moves = self._moves(folders)
        rest = (own for folder in folders.keys() - moves.keys() for own in folders[folder])
        return Found(moves, {own: self.find(own, near) for own in rest})

    def _moves(self, folders: Mapping[str, list[str]]) -> dict[str, Move]:
        """Folders of references whose files one folder has, that nothing else can mean."""
        moves, asked = {}, {}
        for folder, own in folders.items():
            if folder in self._listed and self._has(folder, own, Move(folder, "", "")):
                moves[folder] = Move(folder, "", "")
            else:
                asked[folder] = self._ways(folder, own[0].removeprefix(folder))
        wanted = {name for ways in asked.values() for name in ways}
        listed = self._listed.items() if wanted else ()
        places = {n: place for place, own in listed for n in wanted.intersection(own)}
        for folder, ways in asked.items():
            found = [Move(places[name], *way) for name, way in ways.items() if name in places]
            if len(found) == 1 and self._has(folder, folders[folder], found[0], {*ways.values()}):
                moves[folder] = found[0]
        return moves

    def _ways(self, folder: str, name: str) -> dict[str, tuple[str, str]]:
        """Names that the file of a reference can have: what it ends with in place of what."""
        address = is_address(folder)
        if address and ("%" in name or "#" in name):
            return {}
        bare, mark, query = name.partition("?") if address else (name, "", "")
        stem, endings = self._spelled(bare)
        ways = {stem + own: (name.removeprefix(stem), own) for own in endings}
        return ways if stem == bare else {**ways, bare: (mark + query, "")}

    def _has(
        self,
        folder: str,
        references: Sequence[str],
        move: Move,
        ways: Collection[tuple[str, str]] = (),
    ) -> bool:
        """Whether a folder has the images of all references, and nothing those of other ways."""
        place, old, new = move
        names = self._listed[place]
        if len(names) > _FEW * len(references):  # one by one they are found sooner
            return False
        if ways and not new and not set(map(_TAIL, names)) <= _TAILS:
            names = [name for name in names if is_image(name)]
        if old or new:
            names = [name[: len(name) - len(new)] + old for name in names if name.endswith(new)]
        if not {folder + name for name in names}.issuperset(references):
            return False
        others = {other for _, other in ways if other not in (new, "")} if new else set()
        if not others and not (ways and self._again):
            return True
        stems = [own[len(folder) :].removesuffix(old) for own in references]
        alone = self._again.keys().isdisjoint([stem + new for stem in stems])
        return alone and all(
            self._names.isdisjoint([stem + own for stem in stems]) for own in others
        )

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
        if (prefix := self._prefix.get(name)) is None:
            return []
        return [own + name for own in self._again.get(name, (prefix,))]


def is_image(name: str) -> bool:
    """Whether a name ends like that of an image file."""
    return name[name.rfind(".") :].lower() in _IMAGES


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
