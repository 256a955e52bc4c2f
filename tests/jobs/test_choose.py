"""`mlc choose`, on tiny models with weights in a folder."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from mlc_cli.core.choosing import features
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings

Mlc = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("folder")
NAMES = ("test_resnet", "test_efficientnet")


@pytest.fixture
def folder(
    make_dataset: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A working folder with data and weights, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_dataset(40, 20)
    Path("weights").mkdir()
    for seed, name in enumerate(NAMES):
        torch.manual_seed(seed)
        save_file(timm.create_model(name).state_dict(), f"weights/{name}.safetensors")


def choose(mlc: Mlc, *more: str, names: tuple[str, ...] = NAMES, int8: bool = False) -> Any:
    flags = [part for name in names for part in ("--backbones", f"+{name}")]
    # only those that are added: no pattern of the table has this name
    limit = ["--backbones", "lcnet_100", "--max-mb", "4"]
    tiny = ["--sizes", "32", "--set", "data.workers=0", "--set", "seconds=0.02"]
    tiny += ["--set", f"int8={'true' if int8 else 'false'}"]
    where = ["--data", "data", "--weights-dir", "weights", "--offline", "--device", "cpu"]
    return mlc("choose", *where, *flags, *limit, *tiny, *more)


def test_the_result_is_a_preset_that_trains(mlc: Mlc) -> None:
    outcome = choose(mlc, "--json", "--sizes", "64", names=NAMES[:1])
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert told == json.loads(Path("chosen/choose.json").read_text())
    rows = {(c["backbone"], c["size"]): c for c in told["candidates"]}
    tried = {key: row for key, row in rows.items() if row["images"]}
    assert set(tried) == {(name, size) for name in NAMES[:1] for size in (32, 64)}
    for row in tried.values():
        assert row["latency_ms"] > 0
        assert row["mean_ap_low"] <= row["mean_ap"] <= row["mean_ap_high"]
    best = max((r for r in tried.values() if not r["out"]), key=lambda r: r["mean_ap"])
    assert told["best"] == f"{best['backbone']} at {best['size']}"
    settings = validate(
        TrainSettings, gather(TrainSettings, "train", config=Path("chosen/chosen.yaml"))
    )
    assert settings.model.backbone == best["backbone"]
    assert settings.data.input_size == (best["size"], best["size"])
    assert settings.warm_start is not None
    assert settings.warm_start.lr == pytest.approx(best["lr"])
    assert Path(settings.model.weights or "").name == f"{best['backbone']}.safetensors"
    trained = mlc("train", "--config", "chosen/chosen.yaml", "--epochs", "0", "--device", "cpu")
    assert trained.code == 0, trained.err
    page = Path("chosen/choose.html").read_text()
    assert best["backbone"] in page
    assert "<svg" in page


def test_what_cannot_be_had_or_does_not_fit_is_named(mlc: Mlc) -> None:
    outcome = choose(mlc, "--latency", "1000ms", names=NAMES[:1])
    assert outcome.code == 0, outcome.err
    assert re.search(r"out: lcnet_100.ra2_in1k at 32: .*cannot be had", outcome.err)
    outcome = choose(mlc, "--latency", "0.0001ms", names=NAMES[:1])
    assert outcome.code == 1
    assert "is more than --latency 0.0001ms" in outcome.err
    assert "Traceback" not in outcome.err


def test_features_are_computed_once(mlc: Mlc, monkeypatch: pytest.MonkeyPatch) -> None:
    first = choose(mlc, "--json", names=NAMES[:1])
    assert first.code == 0, first.err

    def never(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(features.Features, "_compute", never)
    again = choose(mlc, "--json", names=NAMES[:1])
    assert again.code == 0, again.err
    assert json.loads(again.out) == json.loads(first.out)


def test_those_left_in_the_end_are_measured_as_int8(
    mlc: Mlc, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = choose(mlc, "--sizes", "64", "--latency", "0.0001ms", int8=True)
    assert "INT8" not in outcome.err, "nobody is left"
    outcome = choose(mlc, "--json", names=NAMES[:1], int8=True)
    assert outcome.code == 0, outcome.err
    (row,) = (c for c in json.loads(outcome.out)["candidates"] if not c["out"])
    assert 0 < row["int8_ms"] != row["latency_ms"]
    monkeypatch.setitem(sys.modules, "nncf", None)
    again = choose(mlc, "--json", names=NAMES[:1], int8=True)
    assert row in json.loads(again.out)["candidates"], "kept"
    shutil.rmtree("cache")
    outcome = choose(mlc, names=NAMES[:1], int8=True)
    assert outcome.code == 0, outcome.err
    assert "test_resnet at 32 was not measured as INT8: nncf is not installed" in outcome.err


def test_what_was_begun_is_gone_on_with(mlc: Mlc) -> None:
    whole = json.loads(choose(mlc, "--json", names=NAMES[:1]).out)
    kept = sorted(Path("cache/mlc").glob("features-*.npy"))
    assert kept
    for path in kept:  # as after a kill in the middle
        rows = np.load(path, mmap_mode="r+")
        rows[len(rows) // 2 :] = np.nan
        rows.flush()
    again = json.loads(choose(mlc, "--json", names=NAMES[:1]).out)
    assert again["candidates"] == whole["candidates"]


def test_without_time_nothing_is_tried(mlc: Mlc) -> None:
    outcome = choose(mlc, "--minutes", "0.00001")
    assert outcome.code == 1
    assert "no time was left for it" in outcome.err


def test_an_image_that_cannot_be_read_is_an_error_or_left_out(mlc: Mlc) -> None:
    Path("data/images/train/003.png").write_bytes(b"no image")
    outcome = choose(mlc, names=NAMES[:1])
    assert outcome.code == 1
    assert "images/train/003.png" in outcome.err
    outcome = choose(mlc, "--set", "data.on_bad_image=skip", "--json", names=NAMES[:1])
    assert outcome.code == 0, outcome.err


def test_weights_that_see_nothing_come_last(mlc: Mlc) -> None:
    state = timm.create_model(NAMES[1]).state_dict()
    blind = {key: value * (not key.startswith("conv_stem")) for key, value in state.items()}
    save_file(blind, f"weights/{NAMES[1]}.safetensors")
    rows = json.loads(choose(mlc, "--json").out)["candidates"]
    maps = {name: [r["mean_ap"] for r in rows if r["backbone"] == name] for name in NAMES}
    assert max(maps[NAMES[1]]) < min(maps[NAMES[0]]) - 0.1


def test_the_table_is_shown(mlc: Mlc) -> None:
    outcome = mlc("choose", "--list")
    assert outcome.code == 0
    for name in ("tf_efficientnet_lite0.in1k", "hgnetv2_b4.ssld_stage2_ft_in1k"):
        assert name in outcome.out
    assert "cc-by-nc-4.0 (restricted)" in outcome.out


def test_a_misspelt_model_is_told_once_and_before_any_work(mlc: Mlc) -> None:
    outcome = choose(mlc, "--backbones", "+test_resnett")
    assert outcome.code == 2
    assert outcome.err.count("timm has no model") == 1
    assert "Did you mean test_resnet " in outcome.err
    assert not Path("chosen").exists()
