"""`mlc cache`."""

import json
import os
from pathlib import Path


def test_what_is_kept_is_shown_and_cleared_by_name(mlc, tmp_path: Path) -> None:
    for age, name in enumerate(("images-1a", "images-2b", "77-weights.pth", "trusted.json")):
        (tmp_path / name).write_bytes(bytes(1000 + age))
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    shown = json.loads(mlc("cache", "--folder", tmp_path, "--json").out)
    names = [row["name"] for row in shown["files"]]
    assert names == ["77-weights.pth", "images-2b", "images-1a"]
    assert shown["files"][0]["bytes"] == 1002
    outcome = mlc("cache", "--folder", tmp_path, "--clear", "images-*")
    assert outcome.code == 0
    assert "77-weights.pth" in outcome.out
    assert {path.name for path in tmp_path.glob("*.*")} == {"77-weights.pth", "trusted.json"}
    assert [*tmp_path.glob("images-*")] == []


def test_a_folder_that_is_not_there_holds_nothing(mlc, tmp_path: Path) -> None:
    assert json.loads(mlc("cache", "--folder", tmp_path / "no", "--json").out)["files"] == []
