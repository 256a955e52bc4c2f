"""`mlc compare`, typed."""

import json
from pathlib import Path

import pytest
import yaml

from tests.core.pages import Page


@pytest.fixture
def runs(run: Path, mlc, tiny: list[str]) -> list[str]:
    """Two finished runs that differ in rate and loss, in the working folder."""
    more = ("--set", "loss.name=asl", "--lr", "0.02", "--epochs", "1")
    assert mlc("train", "--data", "data", *more, *tiny).code == 0
    return [str(run), "runs/train-2"]


def test_a_table_json_and_a_page(runs: list[str], mlc) -> None:
    outcome = mlc("compare", *runs, "--html", "page.html")
    assert outcome.code == 0, outcome.err
    for words in ("train-1", "train-2", "optim.lr", "0.02", "P(better)", "loss.gamma_neg", "GMACs"):
        assert words in outcome.out
    assert "data.root" not in outcome.out, "it is the same"
    content = json.loads(mlc("compare", *runs, "--json").out)
    first, second = content["comparisons"]
    for name, one in zip(runs, (first, second), strict=True):
        evaluation = json.loads(Path(name, "eval.json").read_text())
        assert one["metrics"]["mAP"]["value"] == pytest.approx(evaluation["mAP"], abs=1e-9)
        for key, title in (("OF1", "micro F1"), ("macro_f1", "macro F1")):
            assert one["metrics"][title]["value"] == pytest.approx(evaluation["at_0.5"][key])
    assert content["settings"]["epochs"] == ["2", "1"]
    assert content["settings"]["loss.clip"] == ["", "0.05"]
    assert not {"name", "output"} & set(content["settings"])
    size = content["sizes"]["train-2"]
    file = Path(runs[1], "best.safetensors")
    assert size["MiB"] == pytest.approx(file.stat().st_size / 2**20)
    (row,) = (json.loads(line) for line in Path(runs[1], "metrics.jsonl").read_text().splitlines())
    assert size["images/s"] == row["train/images_per_second"]
    page = Page(Path("page.html").read_text())
    assert "train-1 and train-2" in page.text
    shown = page.all("img")
    assert len(shown) == len(second["images"]) > 0
    assert {image["alt"] for image in shown} == set(second["images"])


def test_an_exported_file_is_compared_with_its_run(exported: Path, mlc) -> None:
    file = exported / "model.onnx"
    assert mlc("eval", "--checkpoint", file, "--split", "test").code == 0
    assert mlc("eval", "--run", "runs/train-1", "--split", "test").code == 0
    outcome = mlc("compare", "runs/train-1", exported / "model-onnx", "--split", "test", "--json")
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    assert content["settings"] == {}
    assert abs(content["comparisons"][1]["metrics"]["mAP"]["difference"]) < 0.01
    assert content["sizes"]["model-onnx"]["MiB"] == pytest.approx(file.stat().st_size / 2**20)
    assert content["sizes"]["model-onnx"]["GMACs"] is None


def test_runs_that_decide_in_other_ways_are_no_fair_comparison(runs: list[str], mlc) -> None:
    assert "fair" not in mlc("compare", *runs).err
    assert mlc("thresholds", "--run", runs[1]).code == 0
    assert mlc("eval", "--run", runs[1]).code == 0
    assert "F1 is no fair comparison" in mlc("compare", *runs).err


def test_settings_of_an_older_version_have_their_names_of_today(
    runs: list[str], mlc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        __import__("mlc_cli.settings.renamed", fromlist=["RENAMED"]).RENAMED, "rounds", "epochs"
    )
    file = Path(runs[1], "settings.yaml")
    content = yaml.safe_load(file.read_text())
    content["rounds"] = content.pop("epochs")
    del content["save_minutes"]  # it had none
    file.write_text(yaml.safe_dump(content))
    settings = json.loads(mlc("compare", *runs, "--json").out)["settings"]
    assert settings["epochs"] == ["2", "1"]
    assert not {"rounds", "save_minutes"} & set(settings)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs/train-1"], "two different runs at least"),
        (["runs/train-1", "runs/latest"], "two different runs at least"),
        (["runs/train-1", "runs/none"], "Name run folders"),
        (["runs/train-1", "data"], "Name run folders"),
        (["runs/train-1", "data", "--split", "x"], "mlc eval --run runs/train-1 --split x"),
    ],
)
@pytest.mark.usefixtures("run")
def test_what_cannot_be_compared(mlc, arguments: list[str], words: str) -> None:
    outcome = mlc("compare", *arguments)
    assert outcome.code in (1, 2)
    assert words in outcome.err


def test_damaged_evaluations_are_named(runs: list[str], mlc) -> None:
    Path(runs[1], "eval.json").write_text('{"per_class": [{"class": "red"}]}')
    outcome = mlc("compare", *runs)
    assert outcome.code == 1
    assert "eval.json: is no evaluation" in outcome.err
