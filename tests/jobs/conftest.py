"""Fixtures that tests of several jobs share."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlc_cli.core.runs.checkpoint import read_card, read_state, save_checkpoint
from mlc_cli.jobs.export import export
from mlc_cli.jobs.train import train
from mlc_cli.settings.export import ExportSettings
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings

Mlc = Callable[..., Any]


@pytest.fixture
def training(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_dataset: Callable[..., Path],
    tiny: list[str],
) -> Callable[..., list[str]]:
    """Make a data set in the working folder; arguments of a training of it, with assignments."""

    def make(train: int, val: int, *assignments: str) -> list[str]:
        make_dataset(train, val)
        monkeypatch.chdir(tmp_path)
        settings = [argument for setting in assignments for argument in ("--set", setting)]
        return ["train", "--data", "data", "--device", "cpu", *tiny, *settings]

    return make


@pytest.fixture(scope="session")
def exported_once(
    tmp_path_factory: pytest.TempPathFactory, dataset_at: Callable[..., Path], tiny: list[str]
) -> Path:
    """A folder with data, a run that has learnt something, thresholds, and all kinds of files."""
    folder = tmp_path_factory.mktemp("exported")
    dataset_at(folder / "data", 48, 24)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        flags = {"data.root": "data", "epochs": 5, "device": "cpu"}
        content = gather(TrainSettings, "train", flags=flags, assignments=tiny[1::2])
        for _ in train(validate(TrainSettings, content)):
            pass
        best = Path("runs/train-1/best.safetensors")
        card = replace(read_card(best), thresholds=[0.7, 0.2, 0.55])
        save_checkpoint(best, read_state(best), card)
        settings = ExportSettings(
            ir=True, precision=("fp32", "fp16", "int8"), workers=0, checkpoint=str(best)
        )
        export(settings)
    return folder


@pytest.fixture
def exported(exported_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of exported files, `runs/train-1/export`, of a run in the working folder."""
    shutil.copytree(exported_once, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path("runs/train-1/export")
