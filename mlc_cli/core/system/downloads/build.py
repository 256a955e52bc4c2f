"""From download settings to the cache, and to the starting weights that come from an address."""

import os
from pathlib import Path

from mlc_cli.core.system.downloads.cache import Cache, is_address
from mlc_cli.core.system.downloads.transfer import Report
from mlc_cli.settings.download import DownloadSettings
from mlc_cli.settings.model import ModelSettings


def build_cache(settings: DownloadSettings) -> Cache:
    """The folder of downloads."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(settings.cache or f"{base}/mlc").expanduser()
    return Cache(folder, settings.cache_gb * 1e9, trust=settings.trust, offline=settings.offline)


def with_weights(model: ModelSettings, settings: DownloadSettings, report: Report) -> ModelSettings:
    """The settings of a model with weights that are on this machine, fetched from an address.

    Raises:
        DownloadError: They cannot be had, or are others than they should be.
    """
    if not is_address(model.weights or ""):
        return model
    cache = build_cache(settings)
    checksum = f"sha256:{model.weights_sha256.lower()}" if model.weights_sha256 else None
    path = cache.fetch(model.weights or "", checksum, report)
    cache.trim(keep=path)
    return model.model_copy(update={"weights": str(path)})
