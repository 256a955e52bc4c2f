"""Files of object stores and of the web, through fsspec: `s3://`, `gs://`, `hf://`, `https://`.

Credentials come from the usual places of each store.
"""

import http.client
import ipaddress
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.request import getproxies

from mlc_cli.core.system.addresses import Place, address, is_remote, shown, without_secrets
from mlc_cli.core.system.extras import import_extra
from mlc_cli.errors import DownloadError, MlcError

T = TypeVar("T")
TRIES, PAUSE = 5, 0.5
"""Attempts, and seconds before the second; then doubled each time."""
TIMEOUT = 30.0
AT_ONCE = 32
"""Reads that wait for their answers at the same time."""
_EXTRAS = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs"), "http": ("aiohttp", "https"),
           "https": ("aiohttp", "https"), "hf": ("huggingface_hub", "")}  # fmt: skip
_FINAL = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "RefreshError")
"""Errors of the stores' own libraries that another attempt would meet again."""
_PASSING = {408, 425, 429}
_SIGNED_FOR = 600.0
"""Seconds for which one signed address is used; it is good for twice as long."""
_MOST_REFUSED = 3
_REFUSED: list[str] = []
"""Files that were not to be had by their signed address; after so many the client reads all."""


@cache
def _store(scheme: str) -> Any:
    """One for all threads: each would make a client of its own."""
    import_extra(*_EXTRAS[scheme])
    import fsspec  # noqa: PLC0415 - most commands need no store

    options = dict(fsspec.config.conf.get(scheme, {}).get("config_kwargs", {}))
    own = {"config_kwargs": {"signature_version": "s3v4", **options}} if scheme == "s3" else {}
    return fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True, **own)


def _forget() -> None:
    """A client's connections and threads survive no fork."""
    _store.cache_clear()
    _connections.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def retried(work: Callable[[Any, str], T], place: Place) -> T:
    """What `work` makes of a store and the name of a file there; tried again if it fails.

    Raises:
        OSError: The file is missing, or may not be read.
        DownloadError: The store cannot be reached, or refuses.
        MlcError: The extra for such stores is not installed.
    """
    store = _store(address(place).partition(":")[0])
    name = store._strip_protocol(address(place))  # noqa: SLF001 - has no public name
    return _tried(lambda: work(store, name), place)


def _tried(work: Callable[[], T], place: Place) -> T:
    for attempt in range(TRIES):
        try:
            return work()
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise type(error)(error.errno, _said(error)) from None
        except MlcError:
            raise
        except Exception as error:  # each store has errors of its own
            code = getattr(error, "status", getattr(error, "code", None))
            if isinstance(code, int) and 400 <= code < 500 and code not in _PASSING:
                raise DownloadError(f"{shown(place)}: the server says {code}") from None
            if type(error).__name__ in _FINAL:
                hint = "Credentials come from the environment or the files of the store's own tool."
                raise DownloadError(f"{shown(place)}: {_said(error)}", hint) from None
            problem = _said(error)
        if attempt < TRIES - 1:
            time.sleep(PAUSE * 2**attempt)
    raise DownloadError(
        f"{shown(place)}: cannot be reached, tried {TRIES} times: {problem}",
        "Check the network and the address; what was done before is kept.",
    )


def _said(error: Exception) -> str:
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return without_secrets(" ".join(text.split()))[:200]


def read(place: Place, start: int | None = None, stop: int | None = None) -> bytes:
    """Bytes of a file, or of a range of it.

    Raises:
        OSError: It is missing, or may not be read.
        DownloadError: The store cannot be reached.
    """

    def fetch(store: Any, name: str) -> bytes:
        found = _signed_read(store, name, start, stop) if address(place).startswith("s3:") else None
        return bytes(store.cat_file(name, start=start, end=stop)) if found is None else found

    return retried(fetch, place)


@cache
def _connections() -> Any:
    """Kept open, for all threads."""
    import urllib3  # noqa: PLC0415 - comes with the client of S3

    return urllib3.PoolManager(maxsize=AT_ONCE, block=True, timeout=TIMEOUT, retries=False)


@lru_cache(1024)
def _signed(store: Any, name: str, _period: int) -> str:
    """An address that reads a file of S3 by itself: a secret, until it expires."""
    return str(store.sign(name, expiration=int(2 * _SIGNED_FOR)))


def _signed_read(store: Any, name: str, start: int | None, stop: int | None) -> bytes | None:
    """Bytes by a signed address, for a third of the work that the client of S3 makes of a read.

    `None` leaves it to the client, which knows proxies, certificates and errors.
    """
    if len(_REFUSED) > _MOST_REFUSED or getproxies():
        return None
    ranged = start is not None or stop is not None
    last = "" if stop is None else stop - 1
    headers = {"Range": f"bytes={start or 0}-{last}"} if ranged else {}
    try:
        url = _signed(store, name, int(time.monotonic() / _SIGNED_FOR))
        answer = _connections().request("GET", url, headers=headers, decode_content=False)
    except Exception:  # of the store's own library, or of the connection
        _REFUSED.append(name)
        return None
    if answer.status == (206 if ranged else 200):
        return bytes(answer.data)
    if answer.status < 500 and answer.status not in {404, 416, *_PASSING}:
        _REFUSED.append(name)
        _signed.cache_clear()  # credentials may have ended
    return None


def exists(place: Path) -> bool:
    """Whether there is such a file, here or in a store."""
    if not is_remote(place):
        return place.exists()
    return retried(lambda store, name: bool(store.exists(name)), place)


def matching(pattern: Path) -> list[Path]:
    """Files that a pattern fits, sorted; of a folder of a store all that are below it."""
    if not is_remote(pattern):
        return sorted(pattern.parent.glob(pattern.name))

    def find(store: Any, name: str) -> list[str]:
        found = store.glob(name) if any(mark in name for mark in "*?[") else store.find(name)
        return sorted(map(store.unstrip_protocol, found))

    return [Path(name) for name in retried(find, pattern)]


def version(place: Path) -> str:
    """What changes when a file does: its size, and its time or what the store calls its version."""
    if not is_remote(place):
        state = place.stat()
        return f"{state.st_size} {state.st_mtime_ns}"
    info = retried(lambda store, name: store.info(name), place)
    keys = ("size", "ETag", "etag", "blob_id", "LastModified", "mtime")
    return " ".join(str(info.get(key)) for key in keys)


def upload(file: Path, place: Place) -> None:
    """Copy a file of this machine to a store."""
    retried(lambda store, name: store.put_file(str(file), name), place)


@contextmanager
def staged(outputs: Mapping[str, str | None], *, resume: bool) -> Iterator[dict[str, str | None]]:
    """Places on this machine for outputs at addresses, copied there at the end, whatever ended it.

    To `resume`, a file that is there comes first. Other outputs stay as they are.
    """
    with TemporaryDirectory() as folder:
        here = dict(outputs)
        far = {name: own for name, own in outputs.items() if own and is_remote(own)}
        for name, own in far.items():
            Path(folder, name).mkdir()
            here[name] = str(Path(folder, name, Path(own).name))
            if resume and name == "output" and exists(Path(own)):
                Path(str(here[name])).write_bytes(read(own))
        try:
            yield here
        finally:
            for name, own in far.items():
                for file in filter(Path.is_file, Path(folder, name).rglob("*")):
                    upload(file, Path(own).parent / file.relative_to(Path(folder, name)))


def read_public(place: Place) -> bytes:
    """A file whose address somebody else has written: never from an address of a private network.

    Every host is looked up once and called by what was found, behind redirections too.

    Raises:
        OSError: It is missing, or leads into a private network.
        DownloadError: It cannot be reached.
    """
    if not address(place).startswith("http"):
        return read(place)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _PublicHosts())

    def fetch() -> bytes:
        try:
            with opener.open(address(place), timeout=TIMEOUT) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            error.close()
            if error.code >= 500 or error.code in _PASSING:
                raise
            raise FileNotFoundError(0, f"the server says {error.code}") from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, PermissionError):
                raise PermissionError(0, "its address is in a private network") from None
            raise

    return _tried(fetch, place)


def _connect(to: tuple[str, int], timeout: float, _source: object = None) -> socket.socket:
    found = socket.getaddrinfo(*to, type=socket.SOCK_STREAM)
    if not all(ipaddress.ip_address(one[4][0]).is_global for one in found):
        raise PermissionError("private")
    return socket.create_connection((str(found[0][4][0]), to[1]), timeout)


class _PublicHosts(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_public(http.client.HTTPConnection), request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_public(http.client.HTTPSConnection), request)


def _public(kind: Any) -> Any:
    def connection(*arguments: Any, **options: Any) -> Any:
        made = kind(*arguments, **options)
        made._create_connection = _connect  # noqa: SLF001 - what it is called in all versions
        return made

    return connection
