"""The index of shards in Parquet: where each image is, and what labels it has.

A row has `shard`, `offset`, `size` and `path` of an image, `labels` and `unknown` as positions
among the classes, `split` and `group`. The key `mlc` of the schema holds classes, rules and
`unlisted`; where unlisted labels are unknown, `unknown` has those that are absent.
"""

import hashlib
import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.annotations import Annotation, LabelSets, sorted_classes
from mlc_cli.core.datasets.packed import PackedStrings
from mlc_cli.core.datasets.rules import read_rules
from mlc_cli.core.datasets.shards.pieces import Pieces, in_blocks
from mlc_cli.core.system import places
from mlc_cli.core.system.addresses import shown
from mlc_cli.core.system.extras import import_extra
from mlc_cli.core.system.files import named_faults, write_atomic
from mlc_cli.errors import DataError

if TYPE_CHECKING:
    from mlc_cli.core.system.downloads.cache import Cache

_KEY = b"mlc"


def is_index(file: Path) -> bool:
    """Whether a file of Parquet is an index; a DataError if it is none of Parquet."""
    with named_faults(shown(file), "is no readable Parquet"), places.open_parquet(file) as table:
        return _KEY in (table.schema_arrow.metadata or {})


def write_index(
    path: Path,
    annotation: Annotation,
    shards: Sequence[str],
    spots: Sequence[tuple[int, int, int, int]],
    split: str,
    groups: Sequence[str | None] | None,
    column: str = "",
) -> None:
    """Write the index of a split.

    `spots` has shard, offset, size and block of each image; of Parquet `column` has the images, and
    a block is a row group.

    Raises:
        MlcError: It cannot be written, or pyarrow is not installed.
    """
    pa, pq = import_extra("pyarrow", "parquet"), import_extra("pyarrow.parquet", "parquet")
    spots_N4 = np.asarray(spots, np.int64)

    def repeated(values: Sequence[str], numbers_N: NDArray[np.int64]) -> Any:
        return pa.DictionaryArray.from_arrays(
            pa.array(numbers_N.astype(np.int32)), pa.array(values)
        )

    def lists(sets: LabelSets) -> Any:
        flat = pa.array(sets.indices.astype(np.int32))
        return pa.LargeListArray.from_arrays(pa.array(sets.starts), flat)

    about = {
        "classes": annotation.classes,
        "unlisted": annotation.unlisted,
        "rules": annotation.rules.written(),
        "column": column,
    }
    table = pa.table(
        {
            "shard": repeated(shards, spots_N4[:, 0]),
            "offset": spots_N4[:, 1],
            "size": spots_N4[:, 2],
            "block": spots_N4[:, 3],
            "path": pa.array(annotation.paths, pa.large_string()),
            "labels": lists(annotation.positives),
            "unknown": lists(annotation.others),
            "split": repeated([split], 0 * spots_N4[:, 0]),
            "group": pa.array(groups or [None] * len(spots), pa.large_string()),
        }
    )
    table = table.replace_schema_metadata({_KEY: json.dumps(about)})
    write_atomic(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))


def read_index(
    file: Path, source: Path, folder: Path, store: "Cache", *, blocks: bool
) -> Annotation:
    """The split that an index is of.

    Args:
        file: The index.
        source: What the user knows it as.
        folder: That its shards are relative to.
        store: Keeps blocks.
        blocks: Whether tar files are read by blocks.

    Raises:
        DataError: It cannot be read, or is no index.
    """
    pq, content = import_extra("pyarrow.parquet", "parquet"), places.read(file)
    with named_faults(source, "is no readable index of shards"):
        table = pq.read_table(BytesIO(content)).combine_chunks()
        about = json.loads(table.schema.metadata[_KEY])
        classes = sorted_classes(about["classes"], source)
        shards = table["shard"].chunk(0)
        file_N = shards.indices.to_numpy().astype(np.int32)
        start_N, size_N = (table[name].to_numpy() for name in ("offset", "size"))
        column = about.get("column", "")
        block_N = table["block"].to_numpy() if column else in_blocks(file_N, start_N, size_N)
        pieces = Pieces(
            tuple(folder / name for name in shards.dictionary.to_pylist()),
            file_N, start_N, size_N, block_N, store,
            hashlib.sha256(content).hexdigest(), column, blocks,
        )  # fmt: skip
        return Annotation(
            source=source,
            folder=folder,
            classes=classes,
            paths=_strings(table["path"]),
            positives=_sets(table["labels"], len(classes)),
            others=_sets(table["unknown"], len(classes)),
            unlisted=about["unlisted"],
            rules=read_rules(source, about["rules"], classes),
            pieces=pieces,
        )


def _strings(column: Any) -> PackedStrings:
    whole = column.chunk(0)
    _, offsets, data = whole.buffers()
    return PackedStrings(
        bytes(data or b""), np.frombuffer(offsets, np.int64)[: len(whole) + 1].copy()
    )


def _sets(column: Any, classes: int) -> LabelSets:
    whole = column.chunk(0)
    indices = whole.flatten().to_numpy(zero_copy_only=False)
    if len(indices) and not 0 <= indices.min() <= indices.max() < classes:
        raise DataError("labels that are not among the classes")
    return LabelSets(
        indices.astype(np.uint16 if classes <= 2**16 else np.uint32),
        whole.offsets.to_numpy().astype(np.int64),
    )
