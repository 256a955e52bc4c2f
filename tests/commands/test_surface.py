"""The commands and their flags, frozen: a change here is a change for users."""

import pytest
import typer.main

from mlc_cli import main
from mlc_cli.main import COMMANDS as SUMMARIES
from mlc_cli.main import app, load_command

COMMANDS = {
    "choose": {
        "--data",
        "--preset -p",
        "--backbones",
        "--sizes",
        "--weights-dir",
        "--restricted",
        "--latency",
        "--max-mb",
        "--minutes",
        "--device",
        "--output -o",
        "--offline",
        "--list",
        "--json",
        "--config -c",
        "--set",
        "--show-settings",
    },
    "train": {
        "--preset -p",
        "--config -c",
        "--data",
        "--weights",
        "--weight-classes",
        "--rename",
        "--unknown-in",
        "--cross-validate",
        "--teacher",
        "--shuffle",
        "--mirror",
        "--epochs",
        "--minutes",
        "--until",
        "--batch-size -b",
        "--lr",
        "--device",
        "--output -o",
        "--resume",
        "--accept-changed-data",
        "--show-augmented",
        "--trust-download",
        "--offline",
        "--set",
        "--show-settings",
    },
    "eval": {
        "--run",
        "--checkpoint",
        "--like",
        "--weight-classes",
        "--tta",
        "--tiles",
        "--data",
        "--split",
        "--thresholds",
        "--min-map",
        "--slices",
        "--min-slice-map",
        "--report",
        "--device",
        "--output -o",
        "--json",
        "--config -c",
        "--set",
        "--show-settings",
    },
    "thresholds": {
        "--run",
        "--checkpoint",
        "--like",
        "--weight-classes",
        "--tta",
        "--tiles",
        "--scores",
        "--data",
        "--split",
        "--objective",
        "--band",
        "--cost",
        "--jointly",
        "--folds",
        "--slices",
        "--strict",
        "--device",
        "--output -o",
        "--json",
        "--config -c",
        "--set",
        "--show-settings",
    },
    "calibrate": {
        "--run",
        "--checkpoint",
        "--tta",
        "--tiles",
        "--data",
        "--split",
        "--method",
        "--folds",
        "--device",
        "--output -o",
        "--json",
        "--config -c",
        "--set",
        "--show-settings",
    },
    "predict": {
        "sources",
        "--run",
        "--checkpoint",
        "--like",
        "--weight-classes",
        "--tta",
        "--tiles",
        "--thresholds",
        "--every",
        "--strict",
        "--format",
        "--topk --top",
        "--videos",
        "--output -o",
        "--resume",
        "--draw",
        "--gallery",
        "--explain",
        "--engine",
        "--address",
        "--batch-size -b",
        "--device",
        "--config -c",
        "--set",
        "--show-settings",
    },
    "dataset-download": {
        "name",
        "dest",
        "--links",
        "--mirror",
        "--jobs",
        "--trust-download",
        "--offline",
        "--config -c",
        "--set",
        "--show-settings",
    },
    "dataset-convert": {
        "format",
        "source",
        "dest",
        "--images",
        "--link",
        "--classes",
        "--split",
        "--label-names",
        "--rename-class",
        "--drop-class",
        "--min-images",
        "--split-column",
        "--label-column",
        "--image-column",
        "--group-by",
        "--group-column",
        "--keep-columns",
        "--seed",
        "--keep-empty",
        "--to",
        "--strict",
        "--overwrite",
        "--json",
        "--config -c",
        "--set",
        "--show-settings",
    },
    "dataset-check": {
        "data",
        "--images",
        "--near",
        "--html",
        "--fix",
        "--strict",
        "--json",
        "--config -c",
        "--set",
        "--show-settings",
    },
    "export": {
        "--run",
        "--checkpoint",
        "--like",
        "--weight-classes",
        "--data",
        "--split",
        "--onnx",
        "--ir",
        "--precision",
        "--fold-rules",
        "--fold-thresholds",
        "--embed-resize",
        "--saliency",
        "--check",
        "--output -o",
        "--json",
        "--config -c",
        "--set",
        "--show-settings",
    },
    "benchmark": {
        "models",
        "--run",
        "--checkpoint",
        "--like",
        "--weight-classes",
        "--batch-size -b",
        "--seconds",
        "--precision",
        "--device",
        "--output -o",
        "--json",
        "--config -c",
        "--set",
        "--show-settings",
    },
    "tune": {
        "--preset -p",
        "--config -c",
        "--data",
        "--weights",
        "--epochs",
        "--batch-size -b",
        "--device",
        "--output -o",
        "--trust-download",
        "--offline",
        "--lr",
        "--trials",
        "--minutes",
        "--pruner",
        "--storage",
        "--json",
        "--set",
        "--show-settings",
    },
    "compare": {"runs", "--split", "--html", "--json"},
    "cache": {"--folder", "--clear", "--json"},
    "presets": {"name", "--json"},
    "settings": {"command", "key", "--schema", "--markdown", "--json"},
}


def test_commands_and_flags_are_these() -> None:
    found = {
        name: {" ".join(parameter.opts) for parameter in load_command(name).params}
        for name in SUMMARIES
    }
    assert found == COMMANDS


def test_flags_of_the_program_are_these() -> None:
    own = {option for parameter in typer.main.get_command(app).params for option in parameter.opts}
    assert own == {"--version", "--debug", "--install-completion", "--show-completion"}


def test_every_flag_is_explained() -> None:
    silent = [
        f"{name} {parameter.name}"
        for name in SUMMARIES
        for parameter in load_command(name).params
        if not parameter.help
    ]
    assert silent == []


def test_every_command_is_listed_with_its_summary(mlc) -> None:
    listed = " ".join(mlc("--help").out.replace("\u2502", " ").split())
    for name, summary in SUMMARIES.items():
        assert f"{name} {summary}" in listed


def test_the_help_imports_no_command_however_many_there_are(
    mlc, monkeypatch: pytest.MonkeyPatch
) -> None:
    dummies = {f"dummy-{number}": f"Number {number}." for number in range(20)}
    monkeypatch.setattr(main, "COMMANDS", SUMMARIES | dummies)  # they have no module
    outcome = mlc("--help")
    assert outcome.code == 0
    assert all(name in outcome.out for name in dummies)
