"""Shards that other programs write: WebDataset's tar files, and Parquet as `datasets` writes it."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.shards import open as shards
from mlc_cli.core.system import places, remote
from mlc_cli.core.system.downloads.cache import Cache
from mlc_cli.errors import DataError
from tests import store
from tests.store import Store

Mlc = Callable[..., Any]


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def write_tar(path: Path, members: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def read(source: Path, folder: Path, *, blocks: bool = False) -> Annotation:
    return shards.read_shards(source, Cache(folder / "kept", 1e9), blocks=blocks)


def labels_of(split: Annotation) -> dict[str, set[Any]]:
    return {
        path: {split.classes[c] for c in split.positives.of(n)}
        for n, path in enumerate(split.paths)
    }


def contents(split: Annotation) -> list[bytes]:
    return [places.read(split.path(n)) for n in range(len(split))]


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """Two tar files: JSON of several kinds, other members between, long names, folders."""
    (tmp_path / "wds").mkdir()
    long = "d/" * 60 + "a" * 90
    write_tar(tmp_path / "wds/train-0.tar", {
        "0001.png": picture(1), "0001.json": b'{"labels": ["cat", "dog"], "w": 3}',
        "0002.json": b'{"labels": ["dog"]}', "0002.txt": b"a caption", "0002.PNG": picture(2),
        f"{long}.png": picture(3), f"{long}.json": b'{"labels": []}',
    })  # fmt: skip
    write_tar(tmp_path / "wds/train-1.tar", {
        "0001.png": picture(4), "0001.json": b'{"labels": ["bird"]}',
    })  # fmt: skip
    return tmp_path / "wds"


def test_tar_files_of_others_get_an_index_at_first_use(
    tars: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    split = read(tars / "train-*.tar", tmp_path)
    assert "is read once for an index of it" in caplog.text
    assert split.classes == ("bird", "cat", "dog")
    assert list(labels_of(split).values()) == [{"cat", "dog"}, {"dog"}, set(), {"bird"}]
    assert list(split.paths)[::3] == ["train-0.tar/0001.png", "train-1.tar/0001.png"]
    assert contents(split) == [picture(n) for n in (1, 2, 3, 4)]
    assert contents(read(tars / "train-*.tar", tmp_path, blocks=True)) == contents(split)
    caplog.clear()
    assert labels_of(read(tars / "train-*.tar", tmp_path)) == labels_of(split)
    assert not caplog.text
    write_tar(tars / "train-1.tar", {"9.png": picture(5), "9.json": b'["dog"]'})
    changed = read(tars / "train-*.tar", tmp_path)
    assert labels_of(changed)["train-1.tar/9.png"] == {"dog"}
    assert contents(changed)[-1] == picture(5)


def test_numbers_of_classes_and_their_list(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {
        "1.jpg": picture(1), "1.cls": b"2", "2.jpg": picture(2), "2.cls": b"0, 2",
    })  # fmt: skip
    assert read(tmp_path / "a.tar", tmp_path).classes == (0, 2)
    write_tar(tmp_path / "b.tar", {"1.jpg": picture(1), "1.json": b'["dog"]'})
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert read(tmp_path / "b.tar", tmp_path).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"1.jpg": b"x", "2.cls": b"1"}, "its sample '1.jpg' has no labels"),
        ({"1.jpg": b"x", "1.json": b"{"}, "cannot be read as shards"),
        ({"1.txt": b"x"}, "no images were found|no key is called labels"),
    ],
)
def test_what_is_wrong_with_a_tar_file_is_said(
    tmp_path: Path, members: Mapping[str, bytes], said: str
) -> None:
    write_tar(tmp_path / "a.tar", members)
    with pytest.raises(DataError, match=said):
        read(tmp_path / "a.tar", tmp_path)
    (tmp_path / "b.tar").write_bytes(b"no tar file at all" * 100)
    with pytest.raises(DataError, match=r"b\.tar: cannot be read as shards"):
        read(tmp_path / "b.tar", tmp_path)


def write_parquet(path: Path, rows: Sequence[tuple[bytes, list[int]]]) -> None:
    """As `Dataset.to_parquet` of Hugging Face: images as structs, features in the schema."""
    features = {
        "image": {"_type": "Image"},
        "labels": {"feature": {"names": ["cat", "dog", "owl"], "_type": "ClassLabel"},
                   "_type": "Sequence"},
    }  # fmt: skip
    table = pa.table({
        "image": pa.array([{"bytes": own, "path": "x.png"} for own, _ in rows],
                          pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        "labels": pa.array([own for _, own in rows], pa.list_(pa.int64())),
    })  # fmt: skip
    said = {"info": {"features": features}}
    table = table.replace_schema_metadata({"huggingface": json.dumps(said)})
    pq.write_table(table, path, row_group_size=3)


def test_parquet_with_images_is_read_by_row_groups(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    rows = [(picture(n), [n % 2] if n else []) for n in range(10)]
    write_parquet(tmp_path / "data/train-00000-of-00002.parquet", rows[:7])
    write_parquet(tmp_path / "data/train-00001-of-00002.parquet", rows[7:])
    split = read(tmp_path / "data/train-*.parquet", tmp_path)
    assert split.classes == ("cat", "dog", "owl")
    assert list(labels_of(split).values()) == [
        set(),
        *({("cat", "dog")[n % 2]} for n in range(1, 10)),
    ]
    assert contents(split) == [own for own, _ in rows]
    assert split.pieces is not None
    assert split.pieces.starts_B().tolist() == [0, 3, 6, 7, 10]


@pytest.fixture
def bucket() -> Iterator[Store]:
    with store.serving() as made:
        yield made
    remote._store.cache_clear()


def test_shards_of_others_in_a_store_train(
    bucket: Store, tars: Path, mlc: Mlc, tiny: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tars / "classes.txt").write_text("bird\ncat\ndog\n")
    write_tar(tars / "val.tar", {"1.png": picture(7), "1.json": b'{"labels": ["cat"]}'})
    for n in range(3):
        write_parquet(tars / f"p{n}-0.parquet", [(picture(n * 10 + k), [k % 3]) for k in range(8)])
    url = bucket.put(tars)
    for train, val in (("train-*.tar", "val.tar"), ("p0-*.parquet", "p1-0.parquet")):
        outcome = mlc("train", "--data", url, "--set", f"data.train={train}", "--set",
                      f"data.val={val}", "--epochs", "1", *tiny, "--set", "batch_size=4",
                      "--shuffle", "blocks")  # fmt: skip
        assert outcome.code == 0, outcome.err
