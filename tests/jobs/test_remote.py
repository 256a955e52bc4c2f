"""Commands whose data, weights, sources and outputs are in a store."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.datasets.columns import read_columns
from mlc_cli.core.datasets.shards.open import read_anywhere
from mlc_cli.core.system import remote
from mlc_cli.core.system.downloads.cache import Cache
from mlc_cli.errors import DataError
from tests import store
from tests.store import Store
from tests.web import Web

Mlc = Callable[..., Any]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Store]:
    with store.serving(0.01) as made:
        yield made
    remote._store.cache_clear()


@pytest.fixture
def home(
    make_dataset: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A working folder with a data set in `data`."""
    make_dataset(24, 12)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("form", ["shards", "files"])
def test_a_training_from_a_store_is_that_from_a_folder(
    bucket: Store, home: Path, mlc: Mlc, tiny: list[str], form: str
) -> None:
    place = home / "data"
    if form == "shards":
        assert mlc("dataset-convert", "auto", "data", "s", "--to", "shards").code == 0
        place = home / "s"
    url = bucket.put(place, f"train-{form}")
    flags = ("--epochs", "2", "--set", "data.cache=none", *tiny)
    for name, data in (("here", "data"), ("there", url)):
        outcome = mlc("train", "--data", data, "--output", f"runs-{name}", *flags)
        assert outcome.code == 0, outcome.err
        assert "a-secret-key" not in outcome.out + outcome.err
    one, other = (load_file(f"runs-{name}/train-1/best.safetensors") for name in ("here", "there"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    scores = []
    for name in ("here", "there"):
        assert mlc("eval", "--run", f"runs-{name}/train-1").code == 0
        said = json.loads(Path(f"runs-{name}/train-1/eval.json").read_text())
        scores.append([said["images"], said["mAP"], said["per_class"]])
    assert scores[0] == scores[1]
    assert "a-secret-key" not in Path("runs-there/train-1/train.log").read_text()


@pytest.mark.usefixtures("home")
def test_a_check_finds_in_a_store_what_it_finds_in_a_folder(bucket: Store, mlc: Mlc) -> None:
    Path("data/images/val/broken.png").write_bytes(b"not an image")
    written = json.loads(Path("data/val.json").read_text())
    written["images"] += [["images/val/broken.png", []], ["images/val/gone.png", []]]
    Path("data/val.json").write_text(json.dumps(written))
    found = [
        json.loads(mlc("dataset-check", place, "--json").out)
        for place in ("data", bucket.put(Path("data"), "checked"))
    ]
    for one in found:
        assert {own["kind"] for own in one["findings"]} >= {"unreadable-images"}
        one["findings"] = [own for own in one["findings"] if "image" not in own["kind"]]
        one.pop("data"), one.pop("unusable")
    assert found[0] == found[1]


def test_predict_reads_and_writes_in_a_store(
    bucket: Store, home: Path, mlc: Mlc, tiny: list[str]
) -> None:
    assert mlc("train", "--data", "data", "--epochs", "1", *tiny).code == 0
    (home / "data/images/val/broken.png").write_bytes(b"not an image")
    url = bucket.put(home / "data/images/val", "sources")
    outcome = mlc("predict", url, "--output", f"{bucket.url}/out/p.jsonl", "--draw",
                  f"{bucket.url}/out/drawn", "--gallery", f"{bucket.url}/out/g.html")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert mlc("predict", "data/images/val", "--output", "p.jsonl").code == 0
    lines = remote.read(f"{bucket.url}/out/p.jsonl").decode().replace(url, "data/images/val")
    assert list(map(json.loads, lines.splitlines())) == [
        json.loads(line) for line in Path("p.jsonl").read_text().splitlines()
    ]
    made = remote.matching(Path(bucket.url) / "out")
    assert len([path for path in made if path.suffix == ".jpg"]) == 12
    assert {"p.jsonl", "p.jsonl.settings.yaml", "g.html"} <= {path.name for path in made}
    again = mlc("predict", url, "--output", f"{bucket.url}/out/p.jsonl", "--resume")
    assert again.code == 0, again.err
    assert remote.read(f"{bucket.url}/out/p.jsonl").decode().count("\n") == 13
    for source, count in ((f"{url}/00*.png", 10), (f"{url}/003.png", 1)):
        outcome = mlc("predict", source)
        assert (outcome.code, outcome.out.count("\n")) == (0, count), outcome.err
    assert mlc("predict", f"{bucket.url}/nothing").code == 1


def test_shards_are_sources_of_predict(
    bucket: Store, home: Path, mlc: Mlc, tiny: list[str]
) -> None:
    assert mlc("train", "--data", "data", "--epochs", "1", *tiny).code == 0
    assert mlc("dataset-convert", "auto", "data", "s", "--to", "shards").code == 0
    url = bucket.put(home / "s", "pieces")
    found = []
    for source in ("data/images/val", "s/val.parquet", f"{url}/val.parquet"):
        outcome = mlc("predict", source)
        assert outcome.code == 0, outcome.err
        rows = map(json.loads, outcome.out.splitlines())
        found.append({Path(row.pop("image")).name: row for row in rows})
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 12


def test_weights_come_from_a_store(bucket: Store, home: Path, mlc: Mlc, tiny: list[str]) -> None:
    assert mlc("train", "--data", "data", "--epochs", "1", *tiny).code == 0
    url = bucket.put(home / "runs/train-1", "run")
    flags = ("--data", "data", "--epochs", "1", "--weights", f"{url}/best.safetensors")
    outcome = mlc("train", *flags, *tiny)
    assert outcome.code == 1
    assert "its checksum is not known" in outcome.err
    outcome = mlc("train", *flags, "--trust-download", *tiny)
    assert outcome.code == 0, outcome.err
    outcome = mlc("train", *flags[:-1], f"{url}/none.safetensors", "--trust-download", *tiny)
    assert outcome.code == 1
    assert f"{url}/none.safetensors: cannot be fetched" in outcome.err


def test_addresses_in_an_annotation_file_need_a_word(
    bucket: Store, home: Path, mlc: Mlc, tiny: list[str]
) -> None:
    url = bucket.put(home / "data/images", "listed")
    for name in ("train", "val"):
        content = json.loads((home / f"data/{name}.json").read_text())
        for entry in content["images"]:
            entry[0] = entry[0].replace("images", url, 1)
        (home / f"data/{name}.json").write_text(json.dumps(content))
    flags = ("--data", "data", "--epochs", "1", *tiny)
    outcome = mlc("train", *flags)
    assert outcome.code == 1
    assert "24 of 24 images: file is at an address" in outcome.err
    assert "data.allow_remote=true" in outcome.err
    outcome = mlc("train", *flags, "--set", "data.allow_remote=true")
    assert outcome.code == 0, outcome.err
    content["images"][0][0] = "http://127.0.0.1:9/a.png"
    (home / "data/val.json").write_text(json.dumps(content))
    outcome = mlc("train", *flags, "--set", "data.allow_remote=true")
    assert outcome.code == 1
    assert "its address is in a private network" in outcome.err


def test_what_lies_beside_annotation_files_is_read_there_too(
    bucket: Store, home: Path, mlc: Mlc
) -> None:
    assert mlc("dataset-convert", "auto", "data", "s", "--to", "shards").code == 0
    first, second, *_ = json.loads((home / "data/train.json").read_text())["classes"]
    paths = [path for path, *_ in json.loads((home / "data/val.json").read_text())["images"]]
    cells = {path: {"patient": "p1"} for path in paths}
    for folder in ("data", "s"):
        (home / folder / "rules.yaml").write_text(f"implies: {{{first}: {second}}}\n")
        columns = json.dumps({"group": "patient", "images": cells})
        (home / folder / "val.columns.json").write_text(columns)
        url = Path(bucket.put(home / folder, f"beside-{folder}"))
        split = read_anywhere(url / "val.json", None, store=Cache(home / "kept", 1e9))
        assert split.rules.implies == {first: [second]}
        assert split.folder == url
        assert read_columns(split.source).images == cells


def test_an_annotation_file_leads_to_no_other_store(
    bucket: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.loads((home / "data/val.json").read_text())
    for number, (folder, image_root) in enumerate([
        ("near", ".."), ("far", "../../../http:/169.254.169.254"), ("far", "../../other"),
    ]):  # fmt: skip
        (home / "v.json").write_text(json.dumps(content | {"image_root": image_root}))
        place = f"{bucket.url}/{number}/v.json"
        remote.upload(home / "v.json", place)
        if folder == "near":
            assert read_annotation(Path(place)).folder == Path(bucket.url)
            continue
        with pytest.raises(DataError, match="'image_root' leads to another store"):
            read_annotation(Path(place))
    monkeypatch.chdir(home)
    (home / "v.json").write_text(json.dumps(content | {"image_root": "http://169.254.169.254/x"}))
    with pytest.raises(DataError, match="'image_root' leads to another store"):
        read_annotation(Path("v.json"))


def test_an_image_that_is_missing_there_is_named(
    bucket: Store, home: Path, mlc: Mlc, tiny: list[str]
) -> None:
    (home / "data/images/val/003.png").unlink()
    url = bucket.put(home / "data", "gaps")
    outcome = mlc("train", "--data", url, "--epochs", "1", *tiny)
    assert outcome.code == 1
    assert f"{url}/images/val/003.png" in outcome.err
    assert "s3:/p" not in outcome.err


def test_secrets_in_addresses_are_written_nowhere(
    home: Path, mlc: Mlc, tiny: list[str], web: Web
) -> None:
    for file in filter(Path.is_file, (home / "data").rglob("*")):
        web.put(f"/{file.relative_to(home)}", file.read_bytes())
    url = web.url.replace("://", "://me:a-password@") + "/data"
    outcome = mlc("train", "--data", url, "--epochs", "1", *tiny)
    assert outcome.code == 0, outcome.err
    source = f"{web.url}/data/images/val/003.png?X-Signature=a-signature"
    outcome = mlc("predict", source, f"{web.url}/none.png?X-Signature=a-signature",
                  "--output", "out.jsonl")  # fmt: skip
    assert outcome.code == 0, outcome.err
    written = [*filter(Path.is_file, Path("runs").rglob("*")), *Path().glob("out.*")]
    for word in (b"a-password", b"a-signature"):
        assert word not in (outcome.out + outcome.err).encode()
        assert not [path for path in written if word in path.read_bytes()]
