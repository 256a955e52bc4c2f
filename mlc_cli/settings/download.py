"""Settings of everything that is fetched from an address, and of `mlc dataset-download`."""

from typing import Annotated, Any

from pydantic import Field

from mlc_cli.settings.base import Count, Positive, Settings

Checksum = Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$")]


class DownloadSettings(Settings):
    """How files are fetched, and where they are kept."""

    trust: bool = False
    """Take a file whose checksum is not known; its sha256 is shown, kept, and demanded from then
    on."""
    offline: bool = False
    """Fetch nothing: what was fetched before, or is on this machine, has to do."""
    cache: str | None = None
    """Folder of what is fetched; by default `mlc` in $XDG_CACHE_HOME or `~/.cache`."""
    cache_gb: Positive = 20.0
    """Gigabytes that the folder may hold afterwards; what was not used for longest goes first."""


class RemoteFileSettings(Settings):
    """A file of a data set, most often an archive."""

    url: str = Field(pattern="^https?://")
    """Its address."""
    bytes: Count | None = None
    """Its size, where it is known."""
    checksum: Checksum | None = None
    """`sha256:` or `md5:` and the digits, where somebody has published them."""
    read: str
    """Where address, size and checksum were read."""
    into: str | None = None
    """Folder for it, below `source` in the data set."""
    take: tuple[str, ...] = ("*",)
    """Patterns of the entries of an archive that are wanted."""


class LinkSettings(Settings):
    """Pictures that are links, one each."""

    file: str | None = None
    """Your list of links; `home` says where there is one."""
    home: str
    """Where the official list is."""
    into: str
    """Folder for the pictures, below `source` in the data set."""
    url: str | None = None
    """Address of a picture of which the list gives the path alone, with `{path}` in it."""


class DatasetDownloadSettings(Settings):
    """What is fetched, where it goes, and how it is converted."""

    title: str
    """Name of the data set, for people."""
    licence: str
    """Under which terms it may be used, and where they stand."""
    dest: str = Field(json_schema_extra={"flag": "DEST"})
    """Folder of the data set; by default `datasets/NAME`."""
    files: dict[str, RemoteFileSettings] = Field(default_factory=dict)
    """Its files, by a name of ours."""
    links: LinkSettings | None = None
    convert: dict[str, Any]
    """Settings of `mlc dataset-convert` for what was unpacked."""
    mirror: str | None = None
    """Folder on the web that has the same files under the same names."""
    jobs: Count = 4
    """Files that are fetched at once."""
    download: DownloadSettings = DownloadSettings()
