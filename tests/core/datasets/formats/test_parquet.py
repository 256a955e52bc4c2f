"""Parquet with the bytes of images, as Hugging Face writes it."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlc_cli.core.datasets.converting.archive import unpacked
from mlc_cli.core.datasets.formats.jsonl import JSONL_READER
from mlc_cli.core.system import extras
from mlc_cli.errors import DataError, MlcError

JPEG = b"\xff\xd8\xff"
CLASSES = {"names": ["cat", "dog", "7"], "_type": "ClassLabel"}


def write(file: Path, features: dict, **columns) -> Path:
    """A file with a feature for each column that needs one in the schema."""
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    meta = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(meta if features else {}), file)
    return file


def image(*names: str | None) -> list[dict]:
    return [{"bytes": JPEG + bytes([n]), "path": name} for n, name in enumerate(names)]


@pytest.mark.parametrize(
    ("features", "column", "values", "labels"),
    [
        ({"label": CLASSES}, "label", [1, 0], [{"dog"}, {"cat"}]),
        ({"labels": [CLASSES]}, "labels", [[1, 0], []], [{"dog", "cat"}, set()]),
        ({"labels": {"feature": CLASSES, "_type": "List"}}, "labels", [[2], [1]], [{"7"}, {"dog"}]),
        ({}, "tags", [["x", "y"], []], [{"x", "y"}, set()]),
        ({}, "label", [3, 4], [{3}, {4}]),
        ({"objects": {"bbox": {}, "category": {"feature": CLASSES}}}, "objects",
         [{"bbox": [[0.0]], "category": [1]}, {"bbox": [], "category": []}], [{"dog"}, set()]),
        ({"objects": {"feature": {"category": CLASSES}}}, "objects",
         [{"category": [0, 2]}, {"category": []}], [{"cat", "7"}, set()]),
        ({"objects": [{"category": CLASSES}]}, "objects", [[{"category": 0}], []],
         [{"cat"}, set()]),
    ],
)  # fmt: skip
def test_labels_have_names(tmp_path, read_all, features, column, values, labels) -> None:
    images = image("a.png", None)
    file = write(tmp_path / "data/train-00000-of-00001.parquet", features,
                 image=images, **{column: values}, width=[1, 2])  # fmt: skip
    for source in (file, file.parent, tmp_path):
        with unpacked(source, tmp_path / "out", 1) as place:
            reading = read_all(JSONL_READER, place)
            assert [*reading.labels.values()] == labels
            assert not reading.dropped.counts
            assert "width" in reading.source.remarks[0]
            [first, _] = reading.labels
            assert first.endswith("a.png")
            found = [(reading.source.image_root / path).read_bytes() for path in reading.labels]
            assert found == [one["bytes"] for one in images]
    assert not list(tmp_path.glob("**/metadata.jsonl"))


def test_shards_are_one_split_and_names_may_come_again(tmp_path, read_all) -> None:
    for split, shard in (("train", 0), ("train", 1), ("validation", 0)):
        name = f"data/{split}-{shard:05d}-of-00002.parquet"
        write(tmp_path / name, {"label": CLASSES}, image=image("a.jpg", "a.jpg"), label=[shard, 2])
    write(tmp_path / "data/test-00000-of-00001.parquet", {"label": CLASSES},
          image=image("t.jpg"), label=[-1])  # fmt: skip
    with unpacked(tmp_path, tmp_path / "out", 1) as place:
        states = read_all(JSONL_READER, place).states
    assert sorted(split for split, _ in states) == ["test"] + ["train"] * 4 + ["validation"] * 2
    assert states["test", "test/t.jpg"] == (set(), {"cat", "dog", "7"})
    of_train = [labels for (split, _), (labels, _) in states.items() if split == "train"]
    assert of_train == [{"cat"}, {"7"}, {"dog"}, {"7"}]


def test_what_cannot_be_read_is_told(tmp_path) -> None:
    bare = write(tmp_path / "bare.parquet", {}, text=["a"])
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1" + b"\0" * 50)
    whole = write(tmp_path / "whole.parquet", {}, image=image("a.jpg"), label=[1])
    for file, limit, message in (
        (bare, 1, "no column has images as bytes: text"),
        (damaged, 1, "damaged.parquet: is no readable Parquet"),
        (whole, 1e-9, "has more than the disk"),
    ):
        with pytest.raises(DataError, match=message), unpacked(file, tmp_path / "out", limit):
            pass


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name.partition(".")[0])

    whole = write(tmp_path / "whole.parquet", {}, image=image("a.jpg"), label=[1])
    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(MlcError) as caught, unpacked(whole, tmp_path / "out", 1):
        pass
    assert "mlc-cli[parquet]" in caught.value.hint
