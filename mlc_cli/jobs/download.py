"""`mlc dataset-download`: from addresses to a data set to train on."""

import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlc_cli.core.datasets.converting.summary import Conversion
from mlc_cli.core.datasets.links import GONE, Fetched, fetch_links, read_links
from mlc_cli.core.system.downloads.build import build_cache
from mlc_cli.core.system.downloads.cache import Cache, file_name
from mlc_cli.core.system.downloads.transfer import check_space, in_parallel, size_of
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
_STATE, _CONVERTED = ".downloaded.json", "converted"
"""What came of each archive, bytes by file, and what was made of all of them."""
_MARGIN = 1.1
"""Bytes on the disk for a byte of pictures in an archive: they hardly shrink there."""


@dataclass(frozen=True)
class Downloaded:
    """What has become of pictures that are links; no conversion if the files were there already."""

    links: Fetched | None
    conversion: Conversion | None


def download(settings: DatasetDownloadSettings, progress: Progress) -> Downloaded:
    """Fetch, unpack and convert what is missing of a data set; the rest stays as it is.

    Several threads call `progress`.

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
        state = read_json(source / _STATE) if (source / _STATE).exists() else {}
        whole = {
            name
            for name in files.keys() & state.keys()
            if all(size_of(source / path) == size for path, size in state[name].items())
        }
        missing = {name: file for name, file in files.items() if name not in whole}
        for file in missing.values():
            cache.expected(file.url, file.checksum)
        if missing:
            state.pop(_CONVERTED, None)
            _check_space(missing, cache, source, sum(sum(state[name].values()) for name in whole))

        def get(name: str, stop: threading.Event) -> tuple[str, dict[str, int]]:
            file, told = missing[name], partial(progress, f"{name}, unpacked")
            archive = cache.fetch(file.url, file.checksum, partial(progress, name), stop)
            into, take = file.into, file.take
            return name, unpack(archive, file_name(file.url), source, into, take, told, stop)

        with closing(in_parallel(get, missing, settings.jobs)) as come:
            for name, sizes in come:
                state[name] = sizes
                write_json(source / _STATE, dict(sorted(state.items())))
        fetched = _get_links(settings, source, progress)
        conversion = _convert(settings, dest, state)
        cache.trim()
    return Downloaded(fetched, conversion)


def _check_space(
    files: Mapping[str, RemoteFileSettings], cache: Cache, source: Path, done: int
) -> None:
    """Refuse to begin what cannot end: archives in the cache, and their content in the data set.

    Of what is in the data set, `done` bytes come from other archives than these.
    """
    sizes = {name: file.bytes or 0 for name, file in files.items()}
    to_come = sum(
        sizes[name] - cache.bytes_there(file.url, file.checksum) for name, file in files.items()
    )
    begun = sum(path.stat().st_size for path in source.rglob("*") if path.is_file()) - done
    needed: dict[int, list[tuple[Path, float]]] = {}
    for folder, more in ((cache.folder, to_come), (source, sum(sizes.values()) * _MARGIN - begun)):
        real = folder.absolute()
        place = next(path for path in (real, *real.parents) if path.exists())
        needed.setdefault(place.stat().st_dev, []).append((place, max(0, more)))
    for parts in needed.values():
        check_space(parts[0][0], sum(more for _, more in parts))


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


def _convert(
    settings: DatasetDownloadSettings, dest: Path, state: dict[str, Any]
) -> Conversion | None:
    """Write the annotation files, unless they are there, made alike, and nothing has come since."""
    source = dest / SOURCE
    pictures = sum(1 for _ in source.rglob("*.jpg")) if settings.links else 0
    made_of, known = {"pictures": pictures, "convert": settings.convert}, state.get(_CONVERTED, {})
    if made_of.items() <= known.items() and all((dest / name).exists() for name in known["files"]):
        return None
    content = {"source": str(source), "dest": str(dest), "overwrite": True}
    conversion = convert(validate(ConvertSettings, {**settings.convert, **content}))
    if not conversion.files:
        raise GateMissed(f"convert.strict: not all of {source} would be taken")
    converted = {_CONVERTED: {"files": conversion.files, **made_of}}
    write_json(source / _STATE, {**dict(sorted(state.items())), **converted})
    return conversion
