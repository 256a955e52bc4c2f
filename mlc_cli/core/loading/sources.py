"""What a person points at (files, folders, globs, lists, videos) as a stream of images.

Nothing is decoded here but frames of videos, and nothing is collected: a folder is listed while
its images are already being read.
"""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from mlc_cli.core.datasets.shards.open import INDEX, TAR, read_shards
from mlc_cli.core.images.scaled import Pixels
from mlc_cli.core.images.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from mlc_cli.core.system import remote
from mlc_cli.core.system.addresses import Listed, is_remote, shown
from mlc_cli.core.system.downloads.cache import Cache
from mlc_cli.core.system.places import Content
from mlc_cli.errors import DataError

IMAGES, VIDEOS = frozenset(IMAGE_SUFFIXES), frozenset(VIDEO_SUFFIXES)
LISTS = frozenset({".lst", ".txt"})
SHARDS = frozenset({INDEX, TAR})
STDIN = "-"


@dataclass(frozen=True)
class Item:
    """One image of a source, or the reason why a video or a frame cannot be read.

    The name is that in the results: the path as given, for frames, which come decoded, with `#` and
    their number. What is written about it gets `output_name`, a relative path without extension.
    """

    name: str
    path: Path
    output_name: Path
    frame: Pixels | None = None
    error: str = ""
    content: Content | None = None


@dataclass(frozen=True)
class Sources:
    """Images in the order of the sources; each folder is sorted, what comes twice stays twice.

    A folder is searched with all folders below it for names that end as images do, and for files
    without an ending that begin as images do; hidden files and folders are left out. A pattern
    gives images and videos. `.txt` and `.lst` files, and standard input for `-`, list one path a
    line, relative to the working folder. Of a video every n-th frame is taken.

    Attributes:
        every: The n of every n-th frame.
        store: For the indexes of shards that have none.
    """

    sources: Sequence[str]
    every: int = 30
    lines: Iterable[str] = ()
    videos: bool = False
    store: Cache | None = None

    def check(self) -> None:
        """Refuse what is missing or holds no images, before a model is loaded.

        Raises:
            DataError: Naming the source.
        """
        for source in self.sources:
            if source != STDIN:
                self._check(source)

    def count(self) -> int | None:
        """Images in all; `None` where only reading would tell (videos, standard input)."""
        total = 0
        if STDIN in self.sources:
            return None
        for source in self.sources:
            for item in self._items(source):
                if _kind(item.path) in VIDEOS:
                    return None
                total += 1
        return total

    def passed_over(self) -> Iterator[str]:
        """Files in the folders that are not taken, hidden ones aside."""
        for source in self.sources:
            if source != STDIN and _exists(Path(source)) and Path(source).is_dir():
                files = _visible(Path(source))
                yield from (printable(path) for path in files if not self._taken(path))

    def __iter__(self) -> Iterator[Item]:
        for source in self.sources:
            for item in self._items(source, self.lines):
                if _kind(item.path) in VIDEOS and item.path.is_file():
                    yield from _frames(item, self.every)
                else:
                    yield item

    def _check(self, source: str) -> None:
        path = Path(source)
        if is_remote(source):
            if not any(self._items(source)):
                raise DataError(f"{shown(source)}: there is no image at this address")
            return
        if not _exists(path) and not glob.has_magic(source):
            raise DataError(f"{source}: there is no such file or folder")
        if any(self._items(source)):
            return
        if not _exists(path):
            raise DataError(f"{source}: no image or video matches this pattern")
        if path.is_file():
            raise DataError(f"{source}: lists no paths")
        videos = any(_kind(file) in VIDEOS for file in _visible(path))
        is_run = (path / "settings.yaml").exists()
        raise DataError(
            f"{source}: holds no images ({', '.join(sorted(IMAGES))})",
            "It holds videos: --videos takes them." * videos or "A run goes to --run." * is_run,
        )

    def _items(self, source: str, lines: Iterable[str] = ()) -> Iterator[Item]:
        """Files that a source stands for, videos whole; those of a list may be missing."""
        path = Path(source)
        if source == STDIN:
            yield from _listed(lines)
        elif _kind(path) in SHARDS or is_remote(path):
            yield from self._elsewhere(path)
        elif _exists(path) and path.is_dir():
            for found in _visible(path):  # each folder's own first
                if self._taken(found):
                    yield _item(found, found.relative_to(path))
        elif _exists(path) and _kind(path) in LISTS:
            yield from _lines_of(path)
        elif not _exists(path) and glob.has_magic(source):
            for name in sorted(glob.iglob(source, recursive=True)):  # noqa: PTH207 - or absolute
                match = Path(name)
                if _kind(match) in IMAGES | VIDEOS and match.is_file():
                    yield _item(match, Path(match.name))
        else:
            yield _item(path, Path(path.name))

    def _elsewhere(self, path: Path) -> Iterator[Item]:
        """Images of shards and of stores."""
        if _kind(path) in SHARDS:
            assert self.store
            split = read_shards(path, self.store, blocks=False)
            for image, name in enumerate(split.paths):
                yield Item(name, split.path(image), Path(name).with_suffix(""))
        elif _kind(path) in IMAGES and not glob.has_magic(_plain(path)):
            yield _item(path, Path(_plain(path)))
        else:
            for found in remote.matching(path):
                if _kind(found) in IMAGES:
                    below = found.is_relative_to(path)
                    yield _item(found, found.relative_to(path) if below else Path(found.name))

    def _taken(self, path: Path) -> bool:
        """Whether a file of a folder is taken: by its ending; without one, by content."""
        if kind := _kind(path):
            return kind in IMAGES or (self.videos and kind in VIDEOS)
        return path.is_file() and cv2.haveImageReader(str(path))


def distinct_output_names(items: Iterable[Item]) -> Iterator[Item]:
    """Number the output names that come again, so that nothing is written over."""
    taken: set[str] = set()
    for item in items:
        output_name, number = item.output_name, 1
        while str(output_name).casefold() in taken:  # some file systems know no case
            number += 1
            output_name = item.output_name.with_name(f"{item.output_name.name}-{number}")
        taken.add(str(output_name).casefold())
        yield item if number == 1 else replace(item, output_name=output_name)


def printable(path: Path) -> str:
    """A path as text that can be written: bytes that are not UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _kind(path: Path) -> str:
    return (Path(_plain(path)) if is_remote(path) else path).suffix.lower()


def _plain(path: Path) -> str:
    """The name of a file, without the query of an address."""
    return path.name.partition("?")[0] if is_remote(path) else path.name


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, a zero byte
        return False


def _item(path: Path, short: Path) -> Item:
    """An image of which what is written about it gets the name `short`, less its ending."""
    named = Path(printable(short.with_suffix(""))) if short.name else Path("image")
    return Item(shown(path) if is_remote(path) else printable(path), path, named)


def _visible(folder: Path) -> Iterator[Path]:
    """Files in a folder and below it, without hidden ones."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def _lines_of(path: Path) -> Iterator[Item]:
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
            yield from _listed(lines)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _listed(lines: Iterable[str]) -> Iterator[Item]:
    for line in lines:
        name = line.rstrip("\r\n")
        if name.strip():
            place = Listed(name) if is_remote(name) else Path(name)
            yield _item(place, Path(_plain(place)))


def _frames(video: Item, every: int) -> Iterator[Item]:
    """Every n-th frame, or one item with an error if there is none."""
    capture = cv2.VideoCapture(str(video.path))
    number = 0
    try:
        while capture.isOpened() and capture.grab():
            if number % every == 0:
                done, pixels = capture.retrieve()
                frame = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)) if done else None
                error = "" if done else "this frame cannot be decoded"
                place = video.output_name.with_name(f"{video.output_name.name}-{number}")
                yield Item(f"{video.name}#{number}", video.path, place, frame, error)  # type: ignore[arg-type]
            number += 1
    finally:
        capture.release()
    if not number:
        yield replace(video, error="no frame of this video can be read")
