"""`mlc eval --report` over a real run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc_cli.core.datasets.annotations import read_annotation

Mlc = Callable[..., Any]


def evaluate(mlc: Mlc, *arguments: str | Path) -> Any:
    return mlc("eval", "--set", "workers=0", *arguments)


def test_a_report_is_written_when_it_is_asked_for(run: Path, mlc: Mlc) -> None:
    assert evaluate(mlc).code == 0
    assert evaluate(mlc, "--no-report").code == 0
    assert not list(run.glob("*.html"))
    outcome = evaluate(mlc, "--report", "--json")
    assert outcome.code == 0, outcome.err
    assert f"report: {run}/report.html" in outcome.err
    found = json.loads(outcome.out)
    html = (run / "report.html").read_text(encoding="utf-8")
    assert f"{found['mAP']:.3f}" in html
    assert "train-1 on val.json" in html
    assert "test_resnet, head linear" in html
    assert "32×32" in html
    assert "2 epochs" in html or "1 epochs" in html
    assert "No thresholds were chosen yet" in html
    assert 'id="history"' in html
    assert html.count("data:image/jpeg;base64,") > 3


def test_other_splits_are_written_beside_and_training_images_are_warned_of(
    run: Path, mlc: Mlc
) -> None:
    assert evaluate(mlc, "--report", "--split", "test").code == 0
    assert evaluate(mlc, "--report", "--split", "train", "--output", "there").code == 0
    assert sorted(path.name for path in run.glob("*.html")) == ["report-test.html"]
    assert "was trained on" not in (run / "report-test.html").read_text()
    assert "was trained on" in Path("there/report-train.html").read_text()


def test_thresholds_of_the_run_are_shown_with_what_they_come_to_out_of_fold(
    run: Path, mlc: Mlc, tmp_path: Path
) -> None:
    fitted = mlc("thresholds", "--set", "workers=0", "--folds", "3")
    assert fitted.code == 0, fitted.err
    content = json.loads((run / "thresholds.json").read_text())
    unseen = content["metrics"]["out_of_fold"]
    assert evaluate(mlc, "--report").code == 0
    html = (run / "report.html").read_text()
    assert "Thresholds are chosen on the validation split" in html
    assert '<th scope="col">out of fold</th>' in html
    assert f"<td>{unseen['OF1']:.3f}</td>" in html
    np.save(tmp_path / "other.npy", np.full(3, 0.123))
    assert evaluate(mlc, "--report", "--thresholds", tmp_path / "other.npy").code == 0
    html = (run / "report.html").read_text()
    assert "0.123 for all labels" in html
    assert "Thresholds are chosen on the validation split" not in html
    assert '<th scope="col">out of fold</th>' not in html


def test_images_that_have_gone_bad_are_named(run: Path, mlc: Mlc) -> None:
    annotation = read_annotation(Path("data/val.json"))
    annotation.path(3).write_bytes(b"not an image")
    assert evaluate(mlc, "--report").code == 1
    assert not (run / "report.html").exists()
    outcome = evaluate(mlc, "--report", "--set", "on_bad_image=skip")
    assert outcome.code == 0, outcome.err
    html = (run / "report.html").read_text()
    assert "1 image could not be read" in html
    assert f"{annotation.paths[3]}: is not an image" in html


@pytest.mark.parametrize("content", ["", "{", "[1]\n", '{"epoch": "a"}\n', None, b"\xff\xfe"])
def test_a_damaged_history_is_left_out(run: Path, mlc: Mlc, content: str | bytes | None) -> None:
    (run / "metrics.jsonl").unlink()
    (run / "thresholds.json").write_text("[]")
    match content:
        case str():
            (run / "metrics.jsonl").write_text(content)
        case bytes():
            (run / "metrics.jsonl").write_bytes(content)
    outcome = evaluate(mlc, "--report")
    assert outcome.code == 0, outcome.err
    assert 'id="history"' not in (run / "report.html").read_text()


def test_a_missed_gate_still_leaves_the_report(run: Path, mlc: Mlc) -> None:
    path = Path("data/val.json")
    content = json.loads(path.read_text())
    content["images"] = [[name, []] for name, *_ in content["images"]]
    path.write_text(json.dumps(content))
    assert evaluate(mlc, "--data", "data", "--report", "--min-map", "0").code == 3
    assert "on no image here" in (run / "report.html").read_text()
