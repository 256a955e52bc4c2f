"""Shards against the folder that they were made of, and against the tar program's view of them."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from mlc_cli.core.datasets.shards import pieces, writing
from mlc_cli.core.datasets.shards.open import read_shards
from mlc_cli.core.datasets.shards.pieces import in_blocks
from mlc_cli.core.loading.build import build_eval_batches, build_train_batches, read_splits
from mlc_cli.core.system import places
from mlc_cli.core.system.downloads.cache import Cache
from mlc_cli.settings.augment import AugmentSettings
from mlc_cli.settings.data import DataSettings

Mlc = Callable[..., Any]
CPU = torch.device("cpu")


@pytest.fixture
def both(make_dataset: Callable[..., Path], mlc: Mlc, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`data`, and the same in `shards`, of which each is full after a few images."""
    folder = make_dataset(24, 12, unknown=True).parent
    monkeypatch.chdir(folder)
    monkeypatch.setattr(writing, "SHARD_BYTES", 20_000)
    monkeypatch.setattr(pieces, "BLOCK_BYTES", 6_000)
    outcome = mlc("dataset-convert", "auto", "data", "shards", "--to", "shards")
    assert outcome.code == 0, outcome.err
    return folder


def settings(root: Path, **changes: object) -> DataSettings:
    wanted = {"root": str(root), "workers": 0, "input_size": [32, 48], "cache": "none", **changes}
    return DataSettings.model_validate(wanted)


def test_tar_files_have_the_bytes_and_the_labels(both: Path) -> None:
    content = json.loads((both / "data/train.json").read_text())
    files = sorted((both / "shards/shards").glob("train-*.tar"))
    assert len(files) > 1
    found = []
    for file in files:
        with tarfile.open(file) as tar:
            image, labels = (
                [tar.extractfile(one).read() for one in tar if one.name.endswith(ending)]
                for ending in (".png", ".json")
            )
            found += zip(image, map(json.loads, labels), strict=True)
    assert len(found) == len(content["images"])
    for (data, about), (path, labels, *others) in zip(found, content["images"], strict=True):
        assert data == (both / "data" / path).read_bytes()
        assert about["path"] == path
        assert sorted(about["labels"]) == sorted(labels)
        assert sorted(about["unknown"]) == sorted(others[0] if others else [])


def test_index_says_where_the_bytes_are(both: Path) -> None:
    for row in pq.read_table(both / "shards/val.parquet").to_pylist():
        data = (both / "shards" / row["shard"]).read_bytes()[row["offset"] :][: row["size"]]
        assert data == (both / "data" / row["path"]).read_bytes()
        assert row["split"] == "val"


def test_groups_go_along(make_dataset: Callable[..., Path], mlc: Mlc, tmp_path: Path) -> None:
    data = make_dataset(24, 12)
    content = json.loads((data / "val.json").read_text())
    cells = {path: {"patient": f"p{n // 4}"} for n, (path, *_) in enumerate(content["images"])}
    columns = {"group": "patient", "images": cells}
    (data / "val.columns.json").write_text(json.dumps(columns))
    outcome = mlc("dataset-convert", "mlc", data / "val.json", tmp_path / "s", "--to", "shards",
                  "--split", "val")  # fmt: skip
    assert outcome.code == 0, outcome.err
    rows = pq.read_table(tmp_path / "s/val.parquet").to_pylist()
    assert {row["path"]: row["group"] for row in rows} == {
        path: own["patient"] for path, own in cells.items()
    }
    assert json.loads((tmp_path / "s/val.columns.json").read_text()) == columns


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_folder_bit_by_bit(both: Path, workers: int) -> None:
    augment = AugmentSettings.model_validate({"crop": {}, "flip": 0.5, "rotate": {}})
    made = []
    for name in ("data", "shards"):
        own = settings(both / name, workers=workers)
        splits = read_splits(own)
        train = build_train_batches(own, augment, splits.train, batch_size=5, seed=3, device=CPU)
        val = build_eval_batches(own, splits.val, batch_size=5, device=CPU)
        made.append([*train.epoch(0), *train.epoch(1), *val.epoch()])
        train.close()
        val.close()
    assert len(made[0]) == 4 + 4 + 3
    for one, other in zip(*made, strict=True):
        assert all(map(torch.equal, one[:3], other[:3]))


@pytest.mark.usefixtures("both")
def test_a_check_finds_in_shards_what_it_finds_in_the_folder(mlc: Mlc) -> None:
    of_folder, of_shards = (
        json.loads(mlc("dataset-check", name, "--json").out) for name in ("data", "shards")
    )
    for one in (of_folder, of_shards):
        one.pop("data")
        one["findings"] = [own for own in one["findings"] if own["kind"] != "not-listed"]
    assert of_shards == of_folder
    assert of_shards["files"]["width"]
    refused = mlc("dataset-check", "shards", "--fix", "clean")
    assert (refused.code, "dataset-convert shards" in refused.err) == (2, True)


def test_shards_become_the_folder_again(both: Path, mlc: Mlc) -> None:
    outcome = mlc("dataset-convert", "auto", "shards", "again")
    assert outcome.code == 0, outcome.err
    for name in ("train", "val"):
        was, now = (json.loads((both / own / f"{name}.json").read_text())
                    for own in ("data", "again"))  # fmt: skip
        assert now["classes"] == sorted(was["classes"])
        for (path, *labels), (then, *before) in zip(now["images"], was["images"], strict=True):
            assert path == then
            assert list(map(sorted, labels)) == [
                sorted(own) for own in before if own or own is before[0]
            ]
            assert (both / "again" / path).read_bytes() == (both / "data" / path).read_bytes()


@pytest.mark.usefixtures("both")
def test_weights_are_those_of_the_folder_bit_by_bit(mlc: Mlc, tiny: list[str]) -> None:
    for name in ("data", "shards"):
        outcome = mlc("train", "--data", name, "--epochs", "2", "--output", f"runs-{name}", *tiny)
        assert outcome.code == 0, outcome.err
    one, other = (load_file(f"runs-{name}/train-1/last.safetensors") for name in ("data", "shards"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    outcome = mlc("eval", "--run", "runs-shards/train-1", "--slices", "size")
    assert outcome.code == 0, outcome.err


def test_programs_that_open_files_get_them_of_shards(both: Path) -> None:
    split = read_splits(settings(both / "shards")).val
    wanted = [split.path(n) for n in (3, 1)] + [both / "data/val.json"]
    with places.as_files(wanted) as files:
        for file, name in zip(files, (split.paths[3], split.paths[1], "val.json"), strict=True):
            assert file.read_bytes() == (both / "data" / name).read_bytes()
            assert file.suffix == Path(name).suffix
    assert files[2].exists()
    assert not files[0].exists()


def test_blocks_are_runs_of_a_shard_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "BLOCK_BYTES", 100)
    file_N = np.array([0, 0, 0, 0, 1, 1, 1])
    start_N = np.array([0, 40, 90, 300, 0, 500, 100])
    size_N = np.array([40, 50, 10, 150, 10, 10, 20])
    assert in_blocks(file_N, start_N, size_N).tolist() == [0, 0, 0, 1, 2, 3, 4]


def test_a_shard_that_is_missing_or_cut_short_is_named(both: Path, mlc: Mlc) -> None:
    file = both / "shards/shards/val-000000.tar"
    content = file.read_bytes()
    file.write_bytes(content[:600])
    own = settings(both / "shards")
    batches = build_eval_batches(own, read_splits(own).val, batch_size=5, device=CPU)
    with pytest.raises(Exception, match=r"val-000000.tar/images/val/\S+: ends before its byte"):
        list(batches.epoch())
    file.unlink()
    outcome = mlc("train", "--data", both / "shards")
    assert outcome.code == 1
    assert "shards/val-000000.tar" in outcome.err
    assert "file is missing" in outcome.err


def test_blocks_read_whole_show_what_single_reads_show(both: Path) -> None:
    own = settings(both / "shards", shuffle="blocks")
    single = read_splits(settings(both / "shards")).train
    blocks = read_splits(own).train
    assert blocks.pieces is not None
    assert len(blocks.pieces.starts_B()) > 3
    for image in range(len(single)):
        assert places.read(single.path(image)) == places.read(blocks.path(image))
    batches = build_train_batches(
        own, AugmentSettings(flip=0), blocks, batch_size=4, seed=3, device=CPU
    )
    for epoch in range(2):
        found = [image for batch in batches.epoch(epoch) for image in batch.indices_N.tolist()]
        assert sorted(found) == list(range(24))
    half = blocks.take(np.array([7, 3, 20]))
    assert [places.read(half.path(n)) for n in range(3)] == [
        places.read(single.path(n)) for n in (7, 3, 20)
    ]


def test_blocks_are_kept_within_the_limit_of_the_cache(both: Path) -> None:
    store = Cache(both / "kept", 13_000)
    found = read_shards(both / "shards/train.parquet", store, blocks=True)
    for image in [*range(len(found)), *reversed(range(len(found)))]:
        assert places.read(found.path(image)) == (both / "data" / found.paths[image]).read_bytes()
        assert sum(file.stat().st_size for file in store.files()) <= store.limit
    assert store.files()


def test_a_folder_has_no_blocks(both: Path, mlc: Mlc, tiny: list[str]) -> None:
    outcome = mlc("train", "--data", both / "data", "--shuffle", "blocks", *tiny)
    assert outcome.code == 1
    assert "shuffle=blocks is for shards" in outcome.err
