"""Parquet of Hugging Face: images as bytes in a column, unpacked to files and lines of JSON.

Names of classes stand in the schema, as JSON under the key `huggingface`. Shards such as
`train-00000-of-00002.parquet` are one split.
"""

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from mlc_cli.core.datasets.formats.shared.images import is_image
from mlc_cli.core.datasets.formats.shared.layout import split_of
from mlc_cli.core.system.extras import import_extra
from mlc_cli.core.system.files import named_faults
from mlc_cli.errors import DataError

_SHARD = re.compile(r"[-_.]?\d+[-_]of[-_]\d+$")
_OTHERS = ("*.csv", "*.xml", "*.jsonl", "annotations/*")


def parquet_files(source: Path) -> list[Path]:
    """A file of Parquet, or those of a folder that has no annotations of another kind."""
    if not source.is_dir() or any(any(source.glob(pattern)) for pattern in _OTHERS):
        return [source] if source.suffix.lower() == ".parquet" else []
    found = (path for depth in ("", "*/", "*/*/") for path in source.glob(f"{depth}*.parquet"))
    return sorted(found)


def unpack_parquet(file: Path, folder: Path, most: float) -> float:
    """Write the images of a file, and their labels to the `metadata.jsonl` of its split.

    Returns:
        Bytes written; a DataError if they would be more than `most`.
    """
    pq, stem = import_extra("pyarrow.parquet", "parquet"), _SHARD.sub("", file.stem)
    place, used = folder / (split_of(file.with_stem(stem)) or stem), 0
    place.mkdir(parents=True, exist_ok=True)
    with (
        named_faults(file, "is no readable Parquet"),
        pq.ParquetFile(file) as table,
        (place / "metadata.jsonl").open("ab") as lines,
    ):
        images = images_of(file, table.schema_arrow)
        for row in (row for batch in table.iter_batches(64) for row in batch.to_pylist()):
            image, *_ = [row.pop(name) or {} for name in images]
            content, name = image.get("bytes"), PurePosixPath(image.get("path") or "").name
            if content is not None:
                name = name if is_image(name) else f"{name}.jpg"
                unused = name[0] != "." and not (place / name).exists()
                name = name if unused else f"{file.stem}-{lines.tell()}{name}"
                used += (place / name).write_bytes(content)
            cells = named(row, table.schema_arrow)
            line = msgspec.json.encode({"file_name": name, **cells}, enc_hook=repr)
            used += lines.write(line + b"\n")
            if used > most:
                raise DataError(f"{file}: has more than the disk, or max_unpacked, allows")
    return used


def images_of(file: Path, schema: Any) -> list[str]:
    """Columns that have images as bytes; a DataError if there is none."""
    images = [own.name for own in schema if str(own.type).startswith("struct<bytes: ")]
    if not images:
        raise DataError(
            f"{file}: no column has images as bytes: {', '.join(schema.names):.200}",
            "Save the images as files, and their labels as CSV: image,labels.",
        )
    return images


def _features(schema: Any) -> dict[str, Any]:
    known = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    return dict(known.get("info", {}).get("features", {}))


def named(row: dict[str, Any], schema: Any) -> dict[str, Any]:
    """A row with names in place of the numbers of classes."""
    features = _features(schema)
    return {key: _named(cell, features.get(key)) for key, cell in row.items()}


def class_names(schema: Any) -> list[str | int] | None:
    """Names of all classes, where one column alone has some."""
    found = re.findall(r'"names": (\[[^\]]*\])', json.dumps(_features(schema)))
    return json.loads(found[0]) if len(found) == 1 else None


def _named(cell: Any, feature: Any) -> Any:
    """A cell with names in place of the numbers of classes; -1 is no label."""
    feature = {"feature": feature[0]} if isinstance(feature, list) else feature
    if not isinstance(feature, dict):
        return cell
    inner = feature.get("feature", feature)
    if isinstance(cell, list):
        return [_named(own, inner) for own in cell]
    if isinstance(cell, dict):
        return {key: _named(own, inner.get(key)) for key, own in cell.items()}
    names = feature.get("names")
    if not isinstance(names, list):
        return cell
    return names[cell] if type(cell) is int and 0 <= cell < len(names) else None
