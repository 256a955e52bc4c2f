"""`mlc train`: flags, layers, and what goes to which stream."""

from pathlib import Path

import pytest
import yaml

from mlc_cli.settings.train import TrainSettings
from mlc_cli.settings.yaml_io import parse_yaml


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths of a command stay inside the test."""
    monkeypatch.chdir(tmp_path)


def shown(mlc, *arguments: str | Path) -> dict:
    outcome = mlc("train", *arguments, "--show-settings")
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    return parse_yaml(outcome.out, "stdout")


def test_shown_settings_are_all_settings_and_start_nothing(mlc, tmp_path: Path) -> None:
    content = shown(mlc, "--data", "x")
    assert list(content) == list(TrainSettings.model_fields)
    assert list(tmp_path.iterdir()) == []


def test_shown_settings_go_back_through_config(mlc, tmp_path: Path) -> None:
    given = ["--preset", "quickstart", "--lr", "3e-5", "--set", "name='1e4'"]
    given += ["--set", "data.root='mes photos: 日本 #1'", "--set", "augment.mix.name=cutmix"]
    first = mlc("train", *given, "--show-settings").out
    (tmp_path / "mine.yaml").write_text(first, encoding="utf-8")
    assert mlc("train", "--config", "mine.yaml", "--show-settings").out == first


def test_shown_settings_are_the_same_to_another_reader_of_yaml(mlc) -> None:
    text = mlc("train", "--data", "no", "--set", "name='1e4'", "--show-settings").out
    assert yaml.safe_load(text)["data"]["root"] == "no"
    assert yaml.safe_load(text)["name"] == "1e4"


def test_flags_win_over_file_and_preset_and_lose_to_assignments(mlc, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("epochs: 101\nbatch_size: 101\noptim: {lr: 0.101}\n")
    layers = ["--preset", "quickstart", "--config", "mine.yaml"]
    content = shown(mlc, *layers, "--batch-size", "102", "--lr", "0.102", "--set", "optim.lr=0.103")
    assert content["model"]["backbone"] == "test_resnet"
    assert (content["epochs"], content["batch_size"]) == (101, 102)
    assert content["optim"]["lr"] == 0.103


def test_every_flag_reaches_its_setting(mlc) -> None:
    content = shown(
        mlc,
        *("--data", "d", "--weights", "w.pth", "--epochs", "3", "-b", "5", "--lr", "5e-4"),
        *("--device", "cpu", "-o", "out"),
    )
    assert content["data"]["root"] == "d"
    assert content["model"]["weights"] == "w.pth"
    assert (content["epochs"], content["batch_size"]) == (3, 5)
    assert content["optim"]["lr"] == 5e-4
    assert (content["device"], content["output"]) == ("cpu", "out")


def test_a_run_is_named_after_its_preset_unless_told(mlc) -> None:
    assert shown(mlc, "--data", "x")["name"] == "train"
    assert shown(mlc, "--preset", "quickstart")["name"] == "quickstart"
    assert shown(mlc, "--preset", "quickstart", "--set", "name=mine")["name"] == "mine"


def test_another_kind_over_a_preset_drops_what_belonged_to_the_first(mlc) -> None:
    content = shown(mlc, "--preset", "effnetv2s-coco", "--set", "loss.name=bce")
    assert content["loss"] == {
        "name": "bce",
        "reduction": "batch_mean",
        "label_smoothing": 0.0,
        "pos_weight": None,
        "rules": False,
        "selective": {"frequent": 0.5, "gamma": 0.0, "likeliest": 1.0, "weight": 1.0},
        "unknown": "ignore",
    }


def test_a_training_writes_a_run_whose_settings_repeat_it(
    mlc, make_dataset, tiny, tmp_path
) -> None:
    data = make_dataset()
    outcome = mlc("train", "--data", data, *tiny, "--epochs", "1", "--output", "runs")
    assert outcome.code == 0, outcome.err
    assert "mAP" in outcome.out
    assert "epoch 1/1" in outcome.err
    assert "next: mlc eval --run runs/train-1" in outcome.err
    settings = (tmp_path / "runs/latest/settings.yaml").read_text(encoding="utf-8")
    again = mlc("train", "--config", "runs/latest/settings.yaml", "--show-settings").out
    assert again.strip() == settings.strip()
