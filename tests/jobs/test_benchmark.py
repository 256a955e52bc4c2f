"""`mlc benchmark`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlc_cli.core.exporting.gate import mark

Mlc = Callable[..., Any]
FILES = ["model-fp16.xml", "model-int8.xml", "model.onnx", "model.xml"]


def benchmark(mlc: Mlc, *arguments: str | Path) -> Any:
    return mlc(
        "benchmark", "--seconds", "0.02", "--set", "rounds=2", "--batch-size", "4", *arguments
    )


def test_checkpoint_and_exported_files_are_measured_in_one_run(exported: Path, mlc: Mlc) -> None:
    outcome = benchmark(mlc, "--json", "--output", "speed.json")
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    assert content == json.loads(Path("speed.json").read_text())
    assert set(content) == {"machine", "device", "precision", "speeds", "warnings"}
    assert content["warnings"] == []
    assert "cores" in content["machine"]
    speeds = content["speeds"]
    assert [Path(speed["model"]).name for speed in speeds] == ["best.safetensors", *FILES]
    for speed in speeds:
        assert 0 < speed["latency_ms"] <= speed["latency_p95_ms"]
        assert speed["rate"] > 0
        assert speed["ratio"] == pytest.approx(speed["rate"] / speeds[0]["rate"])
    sizes = {Path(speed["model"]).name: speed["bytes"] for speed in speeds}
    assert sizes["model.onnx"] == (exported / "model.onnx").stat().st_size
    both = [(exported / name).stat().st_size for name in ("model.xml", "model.bin")]
    assert sizes["model.xml"] == sum(both)
    assert sizes["model-int8.xml"] < sizes["model-fp16.xml"] < sizes["model.xml"]


def test_the_table_has_a_row_for_each_model(exported: Path, mlc: Mlc) -> None:
    outcome = benchmark(mlc, exported / "model.xml", exported / "model.onnx")
    assert outcome.code == 0, outcome.err
    header, *rows = [
        line.split() for line in outcome.out.splitlines() if "." in line or "ms" in line
    ]
    assert " ".join(header) == "MiB latency ms p95 ms images/s ratio"
    assert [row[0] for row in rows] == ["model.xml", "model.onnx"]
    assert all(len(row) == 6 for row in rows)
    assert rows[0][-1] == "1.00"
    assert "reading not counted" in outcome.err


def test_a_file_that_differs_from_its_checkpoint_is_named(exported: Path, mlc: Mlc) -> None:
    file = exported / "model.onnx"
    mark(file, passed=False)
    outcome = benchmark(mlc, "--json")
    assert outcome.code == 0, outcome.err
    words = f"{file} differs from its checkpoint by more than was allowed (see export.json)"
    assert json.loads(outcome.out)["warnings"] == [words]
    assert f"warning: {words}" in outcome.err


def test_without_exported_files_it_says_how_to_make_them(exported: Path, mlc: Mlc) -> None:
    shutil.rmtree(exported)
    outcome = benchmark(mlc)
    assert outcome.code == 2
    assert "holds no exported models" in outcome.err
    assert "mlc export --ir" in outcome.err


def test_a_model_that_is_not_there_is_named(exported: Path, mlc: Mlc) -> None:
    outcome = benchmark(mlc, exported / "model.xml", "none.onnx")
    assert outcome.code == 1
    assert "none.onnx: there is no such model" in outcome.err


@pytest.mark.usefixtures("exported")
def test_other_arithmetic_goes_to_those_that_have_it(mlc: Mlc) -> None:
    outcome = benchmark(mlc, "--precision", "auto", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["precision"] == "auto"
