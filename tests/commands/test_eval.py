"""`mlc eval`: the gate, the streams, and what the screen makes of odd names."""

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def run(mlc, make_dataset, tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of one epoch in `runs`, which is where `mlc eval` looks by itself."""
    monkeypatch.chdir(tmp_path)
    outcome = mlc("train", "--data", make_dataset(), *tiny, "--epochs", "1")
    assert outcome.code == 0, outcome.err
    return tmp_path / "runs" / "train-1"


def evaluate(mlc, *arguments: str | Path):
    return mlc("eval", "--set", "workers=0", "--device", "cpu", *arguments)


def test_the_newest_run_is_taken_and_named(mlc, run: Path) -> None:
    outcome = evaluate(mlc)
    assert outcome.code == 0, outcome.err
    assert "runs/train-1/best.safetensors" in outcome.err
    for name in ("mAP", "CF1", "OF1", "blue", "green", "red"):
        assert name in outcome.out
    assert (run / "eval.json").exists()


@pytest.mark.usefixtures("run")
def test_json_stands_alone_on_stdout(mlc) -> None:
    outcome = evaluate(mlc, "--json")
    content = json.loads(outcome.out)
    assert content["images"] == 12
    assert [row["class"] for row in content["per_class"]] == ["blue", "green", "red"]
    assert "written to" in outcome.err


def test_a_missed_gate_is_code_three_with_all_results(mlc, run: Path) -> None:
    value = json.loads(evaluate(mlc, "--json", "--min-map", "0").out)["mAP"]
    assert value < 1
    assert evaluate(mlc, "--min-map", str(value)).code == 0
    (run / "eval.json").unlink()
    outcome = evaluate(mlc, "--json", "--min-map", str(np.nextafter(value, 1)))
    assert outcome.code == 3
    assert json.loads(outcome.out)["mAP"] == value
    assert (run / "eval.json").exists()
    assert "is below --min-map" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--split", "none"], 1, "none"),
        (["--data", "none"], 1, "none"),
        (["--thresholds", "none.npy"], 2, "none.npy"),
        (["--device", "gpu"], 2, "gpu"),
    ],
)
@pytest.mark.usefixtures("run")
def test_a_mistake_is_explained(mlc, arguments: list[str], code: int, words: str) -> None:
    outcome = mlc("eval", "--set", "workers=0", *arguments)
    assert outcome.code == code
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert len(outcome.err.splitlines()) <= 25


def test_names_of_classes_are_shown_as_they_are(mlc, run: Path, tmp_path: Path, tiny) -> None:
    names = {"blue": ":cat:", "green": "[bold]x[/bold]", "red": "日本"}
    for path in (tmp_path / "data").glob("*.json"):
        text = path.read_text()
        for old, new in names.items():
            text = text.replace(f'"{old}"', json.dumps(new))
        path.write_text(text)
    outcome = mlc("train", "--data", tmp_path / "data", *tiny, "--epochs", "1")
    assert outcome.code == 0, outcome.err
    for name in names.values():
        assert name in outcome.out
    assert run.exists()


def test_shown_settings_start_nothing(mlc, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = mlc("eval", "--split", "test", "--min-map", "0.5", "--show-settings")
    assert outcome.code == 0
    (tmp_path / "mine.yaml").write_text(outcome.out)
    assert mlc("eval", "--config", "mine.yaml", "--show-settings").out == outcome.out
    assert "split: test" in outcome.out
    assert "min_map: 0.5" in outcome.out
