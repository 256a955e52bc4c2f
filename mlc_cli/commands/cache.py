"""`mlc cache`."""

from datetime import datetime
from typing import Annotated

import typer

from mlc_cli.commands import flags, screen


def cache(
    folder: Annotated[
        str | None, typer.Option(metavar="DIR", help="Another one than that of the user.")
    ] = None,
    clear: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Remove files of such names, as in 'images-*'."),
    ] = None,
    as_json: flags.Json = False,
) -> None:
    """Example: mlc cache --clear 'images-*'"""
    from mlc_cli.core.system.downloads.build import build_cache
    from mlc_cli.settings.download import DownloadSettings

    store = build_cache(DownloadSettings(cache=folder))
    removed = store.clear(clear) if clear else 0
    kept = [
        (path.name, path.stat().st_size, datetime.fromtimestamp(path.stat().st_mtime))
        for path in store.files()
    ]
    if as_json:
        files = [
            {"name": name, "bytes": size, "used": used.isoformat(timespec="seconds")}
            for name, size, used in kept
        ]
        screen.result_json({"folder": str(store.folder), "removed": removed, "files": files})
        return
    if clear:
        screen.note(f"{removed / 1e9:.3f} GB removed")
    if kept:
        rows = [(name, f"{size / 1e9:.3f}", f"{used:%Y-%m-%d %H:%M}") for name, size, used in kept]
        screen.table(("file", "GB", "last used"), rows)
    total = sum(size for _, size, _ in kept)
    screen.note(f"{store.folder} holds {total / 1e9:.3f} GB; its limit is {store.limit / 1e9:g} GB")
