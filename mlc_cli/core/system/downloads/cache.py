"""The one folder of all that is kept: downloaded weights and archives, and resized images.

ab12...-model.pth          a file whose checksum was right when it came
ab12...-model.pth.part     the beginning of one
trusted.json               checksums of files that were taken as they came, by address
images-ab12...             resized images of a training (`loading.image_cache`)
locks/                     who fetches or unpacks what
"""

import hashlib
import logging
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from filelock import FileLock, Timeout

from mlc_cli.core.system.downloads.transfer import Report, beside, size_of, transfer
from mlc_cli.core.system.files import read_json, result_folder, write_json
from mlc_cli.errors import DownloadError

_TRUSTED = "trusted.json"
_LOG = logging.getLogger(__name__)


def is_address(source: str) -> bool:
    """Whether a text is an address rather than a path."""
    return re.match(r"(https?|s3|gs|hf)://[^\s/?#\[\]]+/", source) is not None


def file_name(url: str) -> str:
    """Name that a file gets from its address."""
    name = unquote(urlparse(url).path).rpartition("/")[2]
    return re.sub(r"[^\w.-]", "_", name)[-80:].lstrip(".") or "file"


@dataclass(frozen=True)
class Cache:
    """A folder of downloads of at most `limit` bytes: what was not used for longest goes first.

    `trust` takes a file whose checksum nobody knows, and demands the same from then on.
    """

    folder: Path
    limit: float
    trust: bool = False
    offline: bool = False

    def fetch(
        self,
        url: str,
        checksum: str | None,
        report: Report = lambda *_: None,
        stop: threading.Event | None = None,
    ) -> Path:
        """Path of a file; it is downloaded once, and checked each time.

        The checksum, if it is known, is `sha256:` or `md5:` and hexadecimal digits.

        Raises:
            DownloadError: It cannot be had, or is another file than it should be.
            MlcError: The disk is full.
        """
        wanted = self.expected(url, checksum)
        path = self.path_of(url, checksum)
        with self.lock(path.name):
            if path.exists():
                if _digest(path, wanted or "md5:") == wanted:
                    os.utime(path)
                    return path
                path.unlink()
            if self.offline:
                raise DownloadError(
                    f"{url}: is not in {self.folder}, and --offline forbids to fetch it",
                    "Call once without --offline, or name a file of this machine.",
                )
            part = path.with_name(f"{path.name}.part")
            came_from = transfer(url, part, report, stop or threading.Event())
            self._accept(url, part, wanted, came_from)
            part.replace(path)
            beside(part).unlink(missing_ok=True)
        return path

    def expected(self, url: str, checksum: str | None) -> str | None:
        """The checksum that a file must have; `None` if it is taken as it comes.

        Raises:
            DownloadError: Nobody knows it, or the address is none.
        """
        if not is_address(url):
            raise DownloadError(f"{url}: is no address of a file: those begin with http or https")
        wanted = checksum or self._trusted().get(url)
        if not (wanted or self.trust):
            raise DownloadError(
                f"{url}: its checksum is not known",
                "With --trust-download it is taken as it comes; its sha256 is shown, kept beside"
                " the file and demanded from then on.",
            )
        return wanted

    def path_of(self, url: str, checksum: str | None) -> Path:
        """Where a file is, or will be; by its checksum, mirrors share it."""
        key = checksum.partition(":")[2] if checksum else hashlib.sha256(url.encode()).hexdigest()
        return self.folder / f"{key[:16]}-{file_name(url)}"

    def bytes_there(self, url: str, checksum: str | None) -> int:
        """Bytes of a file, or of its part, that need not come."""
        path = self.path_of(url, checksum)
        return max(size_of(path), size_of(path.with_name(f"{path.name}.part")))

    def lock(self, name: str, wait: float = -1) -> FileLock:
        """Keeps other processes from the same work; it goes with the process, however that ends."""
        folder = result_folder(None, self.folder / "locks")
        return FileLock(folder / f"{name}.lock", timeout=wait)

    def trim(self, keep: Path | None = None, room: int = 0) -> None:
        """Remove the files that were not used for longest, but for `keep`, down to the limit.

        What remains leaves so many bytes of `room` for a file that is to come.
        """
        files = self.files()
        total = room + sum(path.stat().st_size for path in files)
        for path in files:
            if total > self.limit and path != keep:
                total -= self._remove(path)

    def files(self) -> list[Path]:
        """What is kept, that which was not used for longest first."""
        files = [path for path in self.folder.glob("*") if path.is_file() and "-" in path.name]
        return sorted(files, key=lambda path: path.stat().st_mtime)

    def clear(self, pattern: str) -> int:
        """Remove the files with such names, but for those that are being fetched; their bytes."""
        return sum(self._remove(path) for path in self.files() if path.match(pattern))

    def _remove(self, path: Path) -> int:
        size, name = path.stat().st_size, path.name.removesuffix(".json").removesuffix(".part")
        try:
            with self.lock(name, wait=0):
                path.unlink()
        except Timeout:  # in use
            return 0
        return size

    def _accept(self, url: str, part: Path, wanted: str | None, came_from: str) -> None:
        found, trusted = _digest(part, wanted or "sha256:"), self.folder / _TRUSTED
        if wanted is None:
            with self.lock(_TRUSTED):
                write_json(trusted, self._trusted() | {url: found})
            _LOG.warning(f"{url}: taken as it came: {found}; {trusted} demands it from now on")
        elif found != wanted:
            part.unlink()
            known, repair = "which is expected", "call again, or name another address or checksum"
            if url in self._trusted():
                known, repair = "it was first seen with", f"if it has changed, edit {trusted}"
            raise DownloadError(
                f"{url}: what came{'' if came_from == url else f' from {came_from}'} has another"
                f" checksum than that {known}: {found}, not {wanted}",
                f"It is removed: {repair}.",
            )

    def _trusted(self) -> dict[str, str]:
        path = self.folder / _TRUSTED
        return dict(read_json(path)) if path.exists() else {}


def _digest(path: Path, like: str) -> str:
    """Checksum of a file by the algorithm of another."""
    name = like.partition(":")[0]
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.new(name, usedforsecurity=False))
    return f"{name}:{found.hexdigest()}"
