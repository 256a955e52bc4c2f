"""Which index a split has: one that was written with its shards, or one made at first use."""

from pathlib import Path

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.shards.index import read_index
from mlc_cli.core.system import remote
from mlc_cli.core.system.addresses import shown
from mlc_cli.core.system.downloads.cache import Cache
from mlc_cli.errors import DataError

INDEX, TAR = ".parquet", ".tar"


def index_of(source: Path) -> Path | None:
    """The index, or the shards as a pattern, that a split is in; `None` if it is in a JSON file.

    In place of `train.json` it may be `train.parquet`.
    """
    if source.suffix in (INDEX, TAR):
        return source
    index = source.with_suffix(INDEX)
    is_it = source.suffix == ".json" and not remote.exists(source) and remote.exists(index)
    return index if is_it else None


def read_shards(source: Path, store: Cache, *, blocks: bool) -> Annotation:
    """The split in shards that an index or a pattern names.

    Raises:
        DataError: There is nothing of that name, or it cannot be read.
    """
    files = remote.matching(source)
    if not files:
        raise DataError(f"{shown(source)}: there is no such file")
    return read_index(files[0], source, source.parent, store, blocks=blocks)
