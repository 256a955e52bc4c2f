"""A mistake of the user: an exit code and a message of one screen, never a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCREEN = 25


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with one text file and one settings file."""
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("some words\n" * 9)
    Path("twice.yaml").write_text("epochs: 1\nepochs: 2\n")
    return tmp_path


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("", 2, ""),
        ("bogus", 2, "No such command 'bogus'"),
        ("train --bogus 1", 2, "No such option"),
        ("train --epochs x", 2, "--epochs"),
        ("train --epochs", 2, "requires an argument"),
        ("train extra", 2, "extra"),
        ("train", 2, "data.root: missing, pass --data DIR"),
        ("train --data d --epochs -1", 2, "epochs: expected greater than or equal to 0, got -1"),
        ("train --data d --lr 0", 2, "optim.lr: expected greater than 0"),
        ("train --data d --set optm.lr=1", 2, "did you mean 'optim'?"),
        ("train --data d --set epochs", 2, "expected section.key=value"),
        ("train --data d --set a=[1", 2, "not valid YAML"),
        ("train --preset quikstart", 2, "did you mean 'quickstart'?"),
        ("train --data d --config none.yaml", 2, "none.yaml: cannot be read"),
        ("train --data d --config twice.yaml", 2, "line 2: the key 'epochs' is already set"),
        ("train --data d --config words.txt", 2, "words.txt"),
        ("train --data none", 1, "train.json"),
        ("train --data d --device gpu", 2, "gpu"),
        ("train --resume none", 1, "there is no such run"),
        ("train --resume none --epochs 3", 2, "--resume continues with the settings of the run"),
        ("eval", 1, "runs/latest: there is no such run"),
        ("eval --run none", 1, "none: there is no such run"),
        ("eval --run words.txt", 1, "not a run folder"),
        ("eval --checkpoint none.safetensors", 1, "there is no such checkpoint"),
        ("eval --checkpoint words.txt", 1, "not a safetensors file"),
        ("eval --min-map high", 2, "--min-map"),
        ("eval --min-map 50", 2, "min_map: expected less than or equal to 1, got 50"),
        ("eval --set bach_size=3", 2, "did you mean 'batch_size'?"),
        ("presets nope", 2, "no preset 'nope'"),
    ],
)
def test_a_mistake_is_explained_on_one_screen(mlc, arguments: str, code: int, words: str) -> None:
    outcome = mlc(*arguments.split())
    assert outcome.code == code
    assert words in outcome.err
    assert outcome.out == "" or not arguments
    assert "Traceback" not in outcome.err
    assert len(outcome.err.splitlines()) <= SCREEN


@pytest.mark.usefixtures("here")
def test_an_evaluation_without_a_run_says_how_to_get_one(mlc) -> None:
    message = mlc("eval").err
    for words in ("mlc train --preset quickstart", "--run", "--checkpoint"):
        assert words in message


@pytest.mark.usefixtures("here")
def test_all_wrong_settings_are_listed_at_once(mlc) -> None:
    wrong = ["--epochs", "-1", "--lr", "-1", "--set", "loss.name=x", "--set", "modl=1"]
    message = mlc("train", *wrong).err
    assert "5 faults" in message
    for key in ("data.root", "epochs", "optim.lr", "loss.name", "modl"):
        assert f"  {key}: " in message


def test_a_bad_annotation_is_explained_on_one_screen(mlc, here: Path) -> None:
    entries = [[f"{number}.jpg", ["catt"]] for number in range(500)]
    text = json.dumps({"classes": ["cat", "dog"], "images": entries})
    (here / "train.json").write_text(text)
    outcome = mlc("train", "--data", here)
    assert outcome.code == 1
    assert "500 labels that are not in 'classes'" in outcome.err
    assert "did you mean 'cat'?" in outcome.err
    assert len(outcome.err.splitlines()) <= SCREEN


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("arguments", ["--debug eval --run none", "eval --run none --debug"])
def test_debug_shows_the_traceback_and_keeps_message_and_code(mlc, arguments: str) -> None:
    outcome = mlc(*arguments.split())
    assert outcome.code == 1
    assert "Traceback (most recent call last)" in outcome.err
    assert "Error: none: there is no such run" in outcome.err


@pytest.mark.usefixtures("here")
def test_debug_keeps_the_code_of_wrong_use(mlc) -> None:
    assert mlc("--debug", "train", "--preset", "nope").code == 2


def test_the_program_itself_ends_like_that(here: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlc_cli", "eval"], cwd=here, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr


def test_an_interrupt_that_a_class_body_wraps_is_an_interrupt(
    mlc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11 makes a RuntimeError of what a descriptor's `__set_name__` raises."""

    def wrapped(_: list[str]) -> None:
        raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

    monkeypatch.setattr("mlc_cli.main.app", wrapped)
    outcome = mlc("presets")
    assert (outcome.code, outcome.err.strip()) == (130, "interrupted")
