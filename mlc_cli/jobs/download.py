"""`mlc dataset-download`: from addresses to a data set to train on."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlc_cli.core.datasets.converting.summary import Conversion
from mlc_cli.core.datasets.links import GONE, Fetched, fetch_links, read_links
from mlc_cli.core.system.downloads.build import build_cache
from mlc_cli.core.system.downloads.cache import Cache, file_name
from mlc_cli.core.system.downloads.transfer import check_space, in_parallel
from mlc_cli.core.system.downloads.unpack import unpack
from mlc_cli.core.system.files import only_writer, read_json, result_folder, write_json
from mlc_cli.errors import DownloadError, GateMissed, UsageError
from mlc_cli.jobs.convert import convert
from mlc_cli.settings.convert import ConvertSettings
from mlc_cli.settings.download import DatasetDownloadSettings, RemoteFileSettings
from mlc_cli.settings.resolve import validate

Progress = Callable[[str, int, int | None], None]
"""Takes what is done, how far it is, and how far it goes."""

SOURCE = "source"
_STATE, _CONVERTED = ".downloaded", "converted"
_MARGIN = 1.1
"""Bytes on the disk for a byte of pictures in an archive: they hardly shrink there."""


@dataclass(frozen=True)
class Downloaded:
    """What a call has done.

    Attributes:
        dest: The data set.
        links: What has become of pictures that are links.
        conversion: Its annotation files; `None` if they were there already.
    """

    dest: Path
    links: Fetched | None
    conversion: Conversion | None


def download(settings: DatasetDownloadSettings, progress: Progress) -> Downloaded:
    """Fetch, unpack and convert what is missing of a data set; the rest stays as it is.

    Args:
        settings: What it consists of.
        progress: Called as it goes on, from several threads.

    Raises:
        DownloadError: A file cannot be had, or is another than it should be.
        MlcError: The disk is too small, an archive is damaged, or the conversion fails.
    """
    cache, dest = build_cache(settings.download), Path(settings.dest)
    source = dest / SOURCE
    if settings.links and not settings.links.file:
        raise UsageError(
            f"{settings.title}: its pictures are links, and a list of them is needed",
            f"Get it from {settings.links.home} and name it: --links FILE",
        )
    files = settings.files
    if settings.mirror:
        at = f"{settings.mirror.rstrip('/')}/"
        files = {
            name: file.model_copy(update={"url": at + file_name(file.url)})
            for name, file in files.items()
        }
    with only_writer(result_folder(None, source)):
        missing = {name: file for name, file in files.items() if not _is_whole(source, name)}
        for file in missing.values():
            cache.check_known(file.url, file.checksum)
        if missing:
            _state(source, _CONVERTED).unlink(missing_ok=True)
            _check_space(missing, cache, source, files.keys() - missing.keys())

        def get(name: str, stop: threading.Event) -> None:
            file = missing[name]
            archive = cache.fetch(file.url, file.checksum, partial(progress, name), stop)
            told = partial(progress, f"{name}, unpacked")
            into, take = file.into, file.take
            sizes = unpack(archive, file_name(file.url), source, into, take, told, stop)
            _state(source, name).parent.mkdir(parents=True, exist_ok=True)
            write_json(_state(source, name), sizes)

        for _ in in_parallel(get, missing, settings.jobs):
            pass
        fetched = _get_links(settings, source, progress)
        conversion = _convert(settings, dest)
        cache.trim()
    return Downloaded(dest, fetched, conversion)


def _state(source: Path, name: str) -> Path:
    return source / _STATE / f"{name}.json"


def _is_whole(source: Path, name: str) -> bool:
    """Whether all files of an archive are there, each as long as it was."""
    state = _state(source, name)
    try:
        return state.exists() and all(
            (source / path).stat().st_size == size for path, size in read_json(state).items()
        )
    except FileNotFoundError:
        return False


def _check_space(
    files: Mapping[str, RemoteFileSettings], cache: Cache, source: Path, whole: Iterable[str]
) -> None:
    """Refuse to begin what cannot end: archives in the cache, and their content in the data set."""
    disks: dict[int, Path] = {}
    needed: dict[Path, float] = {}
    begun = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    begun -= sum(sum(read_json(_state(source, name)).values()) for name in whole)
    unpacked = sum(file.bytes or 0 for file in files.values()) * _MARGIN - begun
    to_come = sum(
        (file.bytes or 0) - cache.bytes_there(file.url, file.checksum) for file in files.values()
    )
    for folder, more in ((cache.folder, to_come), (source, unpacked)):
        real = folder.resolve()
        place = next(path for path in (real, *real.parents) if path.exists())
        disk = disks.setdefault(place.stat().st_dev, place)
        needed[disk] = needed.get(disk, 0) + max(0, more)
    for disk, size in needed.items():
        check_space(disk, size)


def _get_links(
    settings: DatasetDownloadSettings, source: Path, progress: Progress
) -> Fetched | None:
    links = settings.links
    if links is None or links.file is None:
        return None
    wanted = read_links(Path(links.file), links.url)
    if settings.download.offline:
        raise DownloadError("--offline forbids to fetch pictures that are links")
    folder = source / links.into
    fetched = fetch_links(wanted, folder, partial(progress, "pictures"), settings.jobs)
    if fetched.failed:
        raise DownloadError(
            f"{len(fetched.failed)} of {len(wanted)} pictures could not be fetched this time, such"
            f" as {next(iter(fetched.failed.values()))}",
            f"Call again for those; {len(fetched.gone)} are gone for good: {folder / GONE}",
        )
    return fetched


def _convert(settings: DatasetDownloadSettings, dest: Path) -> Conversion | None:
    """Write the annotation files, unless they are there, and nothing has come since."""
    state = _state(dest / SOURCE, _CONVERTED)
    pictures = sum(1 for _ in (dest / SOURCE).rglob("*.jpg")) if settings.links else 0
    known = read_json(state) if state.exists() else {"files": ["none"]}
    if known.get("pictures") == pictures and all((dest / name).exists() for name in known["files"]):
        return None
    content = {"source": str(dest / SOURCE), "dest": str(dest), "overwrite": True}
    conversion = convert(validate(ConvertSettings, {**settings.convert, **content}))
    if not conversion.files:
        raise GateMissed(f"convert.strict: not all of {dest / SOURCE} would be taken")
    write_json(state, {"files": conversion.files, "pictures": pictures})
    return conversion
