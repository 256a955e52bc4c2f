"""`mlc presets`."""

import json
from pathlib import Path

import pytest

from mlc_cli.commands import screen
from mlc_cli.settings.presets import preset_names
from mlc_cli.settings.yaml_io import parse_yaml

NAMES = preset_names("train")


def test_all_presets_are_listed(mlc) -> None:
    outcome = mlc("presets")
    assert outcome.code == 0
    assert outcome.err == ""
    for name in NAMES:
        assert name in outcome.out


def test_the_list_as_json(mlc) -> None:
    rows = json.loads(mlc("presets", "--json").out)
    assert [row["preset"] for row in rows] == NAMES
    for row in rows:
        assert row["backbone"]
        assert row["summary"]


@pytest.mark.parametrize("name", NAMES)
def test_a_shown_preset_is_whole_and_trains_as_it_is(mlc, name: str, tmp_path: Path) -> None:
    text = mlc("presets", name).out
    assert "extends" not in parse_yaml(text, "stdout")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    given = ["--data", "x", "--set", f"name={name}", "--show-settings"]
    of_file = mlc("train", "--config", tmp_path / "mine.yaml", *given)
    assert of_file.code == 0, of_file.err
    assert of_file.out == mlc("train", "--preset", name, *given).out


def test_a_shown_preset_as_json(mlc) -> None:
    content = json.loads(mlc("presets", "quickstart", "--json").out)
    assert content["about"]["summary"]
    assert content["data"]["generate"] == "digits"


def test_a_wrong_name_gets_the_nearest(mlc) -> None:
    outcome = mlc("presets", "quikstart")
    assert outcome.code == 2
    assert outcome.out == ""
    assert "did you mean 'quickstart'?" in outcome.err


def test_on_a_narrow_terminal_words_stay_whole(mlc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = mlc("presets").out.splitlines()
    assert "preset: tresnetl-coco" in lines
    assert "backbone: tf_efficientnetv2_s" in lines


def test_a_column_may_be_empty(capsys: pytest.CaptureFixture[str]) -> None:
    screen.table(("", "mAP"), [("", "0.5")])
    assert "0.5" in capsys.readouterr().out
