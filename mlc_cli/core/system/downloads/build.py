"""From download settings to the cache, and to the starting weights that come from an address."""

import os
from pathlib import Path

from mlc_cli.core.system.downloads.cache import Cache
from mlc_cli.settings.download import DownloadSettings


def build_cache(settings: DownloadSettings) -> Cache:
    """The folder of downloads."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(settings.cache or f"{base}/mlc").expanduser()
    return Cache(folder, settings.cache_gb * 1e9, trust=settings.trust, offline=settings.offline)
