r"""Data sets whose pictures are links: a list of them, and what has become of each.

Lists that are read: that of NUS-WIDE (`C:\ImageData\Flickr\actor\1.jpg 1 http://... http://...`),
the tables of Open Images (`ImageID,Subset,OriginalURL,...`) and their lists of `train/0a1b2c`,
and any table that has the path of a picture before its addresses.
"""

import csv
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mlc_cli.core.system.downloads.cache import is_address
from mlc_cli.core.system.downloads.transfer import beside, in_parallel, transfer
from mlc_cli.core.system.files import named_faults, read_text, write_text
from mlc_cli.errors import DataError, DownloadError

GONE = "gone.csv"
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM")
_INSTEAD = re.compile("photo_(un|not_)available", re.IGNORECASE)
"""Flickr leads to such a picture where another was."""


Links = Mapping[str, Sequence[str]]
"""Where each picture may be, best first, by its path below the folder of pictures."""


class Fetched(NamedTuple):
    """What has become of pictures: how many are there; why others are not, by path."""

    there: int
    gone: dict[str, str]
    failed: dict[str, str]


def read_links(file: Path, template: str | None) -> Links:
    """Read a list of links; the template, with `{path}` in it, is another address of each picture.

    Raises:
        DataError: It cannot be read, or a line has a path that leads out, or no address.
    """
    with named_faults(file, "cannot be read as a list of links"):
        links = {}
        for path, urls in _rows(file):
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise DataError(f"{file}: {path!r} leads out of the folder of pictures")
            links[path] = [*([template.format(path=path)] if template else []), *urls]
            if not links[path]:
                raise DataError(f"{file}: {path!r} has no address")
    if not links:
        raise DataError(f"{file}: lists no pictures")
    return links


def _rows(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Path and addresses of each row."""
    lines = read_text(file).splitlines()
    rows = csv.reader(lines) if "," in next(iter(lines), "") else map(str.split, lines)
    header = next(rows, [])
    columns = [
        header.index(name) for name in ("Subset", "ImageID", "OriginalURL") if name in header
    ]
    is_header = len(header) > 1 and not any(map(is_address, header))
    for row in filter(None, rows if is_header else chain([header], rows)):
        cells = [row[column] for column in columns] if len(columns) == 3 else row
        path = "/".join(cells[:2]) if len(columns) == 3 else cells[0]
        path = path.replace("\\", "/").rpartition("Flickr/")[2]
        yield path + ("" if PurePosixPath(path).suffix else ".jpg"), list(filter(is_address, cells))


def fetch_links(
    links: Links, folder: Path, report: Callable[[int, int], None], jobs: int
) -> Fetched:
    """Fetch the pictures that are neither there nor known to be gone, so many at once.

    `gone.csv` in the folder lists those that are gone, and why.

    Raises:
        DownloadError: Not one picture could be had.
        MlcError: The disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known, failed = folder / GONE, dict[str, str]()
    gone = dict(csv.reader(read_text(known).splitlines())) if known.exists() else {}
    wanted = links.keys() - gone.keys()
    todo = [path for path in links if path in wanted and not (folder / path).exists()]
    there = len(wanted) - len(todo)
    try:
        fetched = in_parallel(
            lambda path, stop: (path, _fetch(path, links[path], folder, stop)), todo, jobs
        )
        with closing(fetched):
            for number, (path, problem) in enumerate(fetched, start=1):
                there += problem is None
                if problem:
                    (gone if problem.gone else failed)[path] = problem.message.replace('"', "'")
                report(number, len(todo))
        if not there and not failed:
            raise DownloadError(
                f"none of {len(links)} pictures could be had, such as {gone[next(iter(links))]}",
                "Is this machine online, and not behind a page to sign in at?",
            )
    finally:
        if there:  # else it is not the pictures' fault
            rows = (f'"{path}","{why}"\n' for path, why in sorted(gone.items()))
            write_text(known, "".join(rows))
    return Fetched(there, {path: why for path, why in gone.items() if path in links}, failed)


def _fetch(
    path: str, urls: Sequence[str], folder: Path, stop: threading.Event
) -> DownloadError | None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    problems = []
    for url in urls:
        try:
            came_from = transfer(url, part, lambda *_: None, stop, tries=2)
        except DownloadError as error:
            problems.append(error)
            continue
        beside(part).unlink(missing_ok=True)
        with part.open("rb") as stream:
            is_picture = stream.read(4).startswith(_PICTURES)
        if is_picture and not _INSTEAD.search(came_from):
            part.replace(target)
            return None
        problems.append(DownloadError(f"{url}: is no picture any more", gone=True))
        part.unlink()
    return next((problem for problem in problems if not problem.gone), problems[-1])
