"""Files from addresses, over HTTP: each goes on where it was cut off.

Beside a part `x.part` lies `x.part.json`: how the server named that version of the file (RFC 9110:
`If-Range` asks for the rest of that version, or for all of another one).
"""

import http.client
import json
import re
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial
from html import unescape
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urljoin

from mlc_cli.core.system import remote
from mlc_cli.core.system.addresses import shown
from mlc_cli.core.system.files import named_faults
from mlc_cli.core.system.interrupts import undisturbed
from mlc_cli.errors import DownloadError, Interrupted, MlcError

T = TypeVar("T")
R = TypeVar("R")
Report = Callable[[int, int | None], None]
"""Takes bytes that are there, and bytes in all where they are known."""

AT_ONCE = 1 << 20
TIMEOUT = 30.0
_POLL = 0.2
TRIES = 5
PAUSE = 1.0
"""Seconds before the second attempt; then doubled each time."""
_ROOM = "Free some space, or choose another disk: `--set download.cache=DIR`. What came is kept."
_PASSING = {408, 425, 429}
"""Codes below 500 that another attempt may not get."""
_GONE = {403, 404, 410}
"""Codes of what will not come back; stores say 403 of what they do not have."""
_PAGE, _ATTRIBUTE = (b"<!doctype html", b"<html"), re.compile(r"""([\w-]+)=["']([^"']*)["']""")
_writing = partial(named_faults, problem="cannot be written", kind=MlcError, hint=_ROOM)
"""Inside, what goes wrong with a part is the disk's fault and not that of the network."""


class _CutOffError(Exception):
    """The connection ended before the file did, or the rest is of another file."""


def in_parallel(
    work: Callable[[T, threading.Event], R], items: Iterable[T], jobs: int
) -> Generator[R]:
    """What comes of each item in `jobs` threads, in the order in which it comes.

    At the first error, at Ctrl-C, and when it is closed, the others are asked to stop by the event
    that `work` takes, and waited for.
    """
    stop = threading.Event()
    pool = ThreadPoolExecutor(jobs)
    try:
        with undisturbed():  # a signal inside of a lock would leave it broken for the threads
            pending = {pool.submit(work, item, stop) for item in items}
        while pending:
            with undisturbed():
                done, pending = wait(pending, _POLL, FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def transfer(
    url: str, part: Path, report: Report, stop: threading.Event, tries: int = TRIES
) -> str:
    """Bring a file to `part`, or the rest of it if a part is there.

    Whatever ends the process, the next call goes on from there. It is given up after that many
    `tries` without a byte.

    Returns:
        The address that it came from in the end, behind redirections.

    Raises:
        DownloadError: It cannot be had, or a web page came in its place.
        Interrupted: `stop` was set.
        MlcError: The disk is full, or cannot be written to.
    """
    if not url.startswith("http"):
        with named_faults(shown(url), "cannot be fetched", DownloadError):
            remote.retried(lambda store, name: store.get_file(name, str(part)), url)
        return url
    fruitless = 0
    while True:
        before = size_of(part)
        try:
            return _attempt(url, part, report, stop)
        except urllib.error.HTTPError as error:
            error.close()
            problem = f"the server says {error.code} {error.reason}"
            if error.code == 416:  # the part is longer than the file is now
                part.unlink(missing_ok=True)
            elif error.code < 500 and error.code not in _PASSING:
                hint = "Name another address, or a mirror."
                raise DownloadError(f"{url}: {problem}", hint, gone=error.code in _GONE) from None
        except (_CutOffError, http.client.HTTPException, OSError) as error:
            problem = str(getattr(error, "reason", None) or error) or type(error).__name__
        fruitless = 0 if size_of(part) > before else fruitless + 1
        if fruitless == tries:
            raise DownloadError(
                f"{url}: cannot be fetched: {problem}",
                "Call again to go on from the bytes that are there, or name another address.",
            )
        stop.wait(PAUSE * 2 ** (fruitless - 1))


def _attempt(url: str, part: Path, report: Report, stop: threading.Event) -> str:
    have, known = size_of(part), _known(part)
    if have and have == known.get("total"):  # it ended between the last byte and its check
        return str(known["url"])
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    headers = {"User-Agent": "mlc", "Accept-Encoding": "identity"}
    if have and known.get("version"):  # without, it might be another file's end
        headers |= {"Range": f"bytes={have}-", "If-Range": known["version"]}
    address: str | None = url
    while address:
        request = urllib.request.Request(address, headers=headers)
        with opener.open(request, timeout=TIMEOUT) as response:
            start = response.peek(1024).lstrip()[:15].lower()
            if response.headers.get_content_type() != "text/html" and not start.startswith(_PAGE):
                return _receive(response, part, report, stop)
            page, came_from = response.read(AT_ONCE).decode("utf-8", "replace"), response.url
        address = _confirmed(page, came_from) if address == url else None
    found = re.search(r"<title[^>]*>\s*([^<]+)", page, re.IGNORECASE)
    title = " ".join(unescape(found[1]).split()) if found else "without a title"
    raise DownloadError(
        f"{url}: a web page came in place of the file: {title!r:.100}"
        + ("" if came_from == url else f", from {came_from}"),
        "Open the address in a browser to see what it asks for, or name another address.",
        gone=True,
    )


def _confirmed(page: str, url: str) -> str | None:
    """Address of the file, if a page asks no more than to confirm.

    Google Drive asks so for files that are too large for it to search for viruses.
    """
    for form in re.findall(r"<form\b.*?</form", page, re.DOTALL | re.IGNORECASE):
        tags = re.findall(r"<(?:form|input)\b[^>]*>", form, re.IGNORECASE)
        own, *inputs = ({k: unescape(v) for k, v in _ATTRIBUTE.findall(tag)} for tag in tags)
        fields = {one["name"]: one.get("value", "") for one in inputs if "name" in one}
        if "confirm" in fields:
            return f"{urljoin(url, own.get('action', ''))}?{urlencode(fields)}"
    return None


def _receive(response: HTTPResponse, part: Path, report: Report, stop: threading.Event) -> str:
    start, total = _extent(response)
    if start not in (0, size_of(part)) or (start and _known(part).get("total") != total):
        part.unlink(missing_ok=True)
        raise _CutOffError("the file on the server has changed")
    check_space(part.parent, 0 if total is None else total - start)
    with _writing(part):
        stream = part.open("ab" if start else "wb")
    with stream:
        if not start:  # a weak name of this version does not tell bytes apart
            tag, date = (response.headers.get(name, "") for name in ("ETag", "Last-Modified"))
            version = date if tag.startswith("W/") else tag or date
            known = {"version": version, "total": total, "url": response.url}
            with _writing(part):
                beside(part).write_text(json.dumps(known), encoding="utf-8")
        while chunk := response.read1(AT_ONCE):  # what is there: a slow line loses little
            if stop.is_set():
                raise Interrupted("interrupted")
            with _writing(part):
                stream.write(chunk)
            start += len(chunk)
            report(start, total)
        with _writing(part):
            stream.flush()
    if total not in (None, start):
        raise _CutOffError(f"{start} of {total} bytes came")
    return response.url


def _extent(response: HTTPResponse) -> tuple[int, int | None]:
    """Place of the first byte that comes, and bytes of the whole file."""
    length = response.headers.get("Content-Length")
    whole = int(length) if length and length.isdecimal() else None
    if response.status != 206:
        return 0, whole
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not found:
        raise _CutOffError("the server does not say which part it sends")
    start = int(found[1])
    return start, int(found[2]) if found[2] != "*" else whole and start + whole


def beside(part: Path) -> Path:
    """What is known of the file that a part belongs to."""
    return part.with_name(f"{part.name}.json")


def _known(part: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(beside(part).read_text(encoding="utf-8")))
    except (OSError, ValueError):  # there is none, or its writing was cut short
        return {}


def size_of(path: Path) -> int:
    """Bytes of a file; 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def check_space(folder: Path, size: float) -> None:
    """Raise an `MlcError` if the disk of a folder has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise MlcError(
            f"{folder}: {size / 1e9:.2f} GB are needed, and {free / 1e9:.2f} GB are free", _ROOM
        )
