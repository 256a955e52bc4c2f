"""Flags of `mlc export` and `mlc benchmark`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Mlc = Callable[..., Any]


def settings(mlc: Mlc, *arguments: str) -> dict[str, Any]:
    outcome = mlc(*arguments, "--show-settings")
    assert outcome.code == 0, outcome.err
    return yaml.safe_load(outcome.out)


@pytest.mark.parametrize(
    ("flags", "onnx", "ir", "precision"),
    [
        ((), True, False, ["fp32"]),
        (("--ir",), True, True, ["fp32"]),
        (("--ir", "--no-onnx"), False, True, ["fp32"]),
        (("--precision", "fp16"), True, True, ["fp16"]),
        (("--precision", "fp32,int8"), True, True, ["fp32", "int8"]),
        (("--precision", "fp16", "--precision", "int8"), True, True, ["fp16", "int8"]),
    ],
)
def test_files_to_write(
    mlc: Mlc, flags: tuple[str, ...], onnx: bool, ir: bool, precision: list[str]
) -> None:
    found = settings(mlc, "export", *flags)
    assert (found["onnx"], found["ir"], found["precision"]) == (onnx, ir, precision)


def test_what_is_opted_for_and_out_of(mlc: Mlc) -> None:
    plain = settings(mlc, "export")
    assert (plain["fold_thresholds"], plain["saliency"], plain["check"]) == (False, False, True)
    found = settings(mlc, "export", "--fold-thresholds", "--saliency", "--no-check")
    assert (found["fold_thresholds"], found["saliency"], found["check"]) == (True, True, False)


def test_written_settings_are_read_back(mlc: Mlc, tmp_path: Path) -> None:
    flags = ("--precision", "int8", "--set", "int8.max_drop=0.02", "--set", "parity.images=50")
    first = settings(mlc, "export", *flags)
    assert first["int8"]["max_drop"] == 0.02
    (tmp_path / "export.yaml").write_text(yaml.safe_dump(first))
    assert settings(mlc, "export", "--config", str(tmp_path / "export.yaml")) == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "--precision", "int4"), "int4"),
        (("export", "--no-onnx"), "nothing to write"),
        (("export", "--no-ir", "--precision", "fp16"), "ir is off"),
        (("export", "--set", "parity.fp32.logit=-1"), "parity.fp32.logit"),
        (("export", "--set", "int8.max_drop=2"), "int8.max_drop"),
        (("benchmark", "--seconds", "0"), "seconds"),
        (("benchmark", "--precision", "int8"), "precision"),
        (("benchmark", "--batch-size", "0"), "batch_size"),
    ],
)
def test_wrong_values_are_named(mlc: Mlc, arguments: tuple[str, ...], words: str) -> None:
    outcome = mlc(*arguments)
    assert outcome.code == 2
    assert words in outcome.err


@pytest.mark.parametrize("command", ["export", "benchmark"])
def test_without_a_run_it_is_said(
    mlc: Mlc, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = mlc(command)
    assert outcome.code == 1
    assert "runs/latest: there is no such run" in outcome.err
    assert not list(tmp_path.iterdir())
