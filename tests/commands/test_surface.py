"""The commands and their flags, frozen: a change here is a change for users."""

import typer.main

from mlc_cli.main import app

COMMANDS = {
    "train": {
        "--preset -p",
        "--config -c",
        "--data",
        "--weights",
        "--epochs",
        "--batch-size -b",
        "--lr",
        "--device",
        "--output -o",
        "--resume",
        "--set",
        "--show-settings",
    },
    "eval": {
        "--run",
        "--checkpoint",
        "--data",
        "--split",
        "--thresholds",
        "--min-map",
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
        "--scores",
        "--data",
        "--split",
        "--objective",
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
        "--thresholds",
        "--every",
        "--strict",
        "--format",
        "--topk",
        "--output -o",
        "--resume",
        "--draw",
        "--gallery",
        "--explain",
        "--batch-size -b",
        "--device",
        "--config -c",
        "--set",
        "--show-settings",
    },
    "dataset-convert": {
        "form",
        "source",
        "dest",
        "--images",
        "--link",
        "--classes",
        "--split",
        "--group-by",
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
        "--data",
        "--split",
        "--onnx",
        "--ir",
        "--precision",
        "--fold-thresholds",
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
    "presets": {"name", "--json"},
}


def test_commands_and_flags_are_these() -> None:
    group = typer.main.get_command(app)
    found = {
        name: {" ".join(parameter.opts) for parameter in command.params}
        for name, command in group.commands.items()
    }
    assert found == COMMANDS


def test_flags_of_the_program_are_these() -> None:
    own = {option for parameter in typer.main.get_command(app).params for option in parameter.opts}
    assert own == {"--version", "--debug", "--install-completion", "--show-completion"}


def test_every_flag_is_explained() -> None:
    silent = [
        f"{name} {parameter.name}"
        for name, command in typer.main.get_command(app).commands.items()
        for parameter in command.params
        if not parameter.help
    ]
    assert silent == []
