"""`mlc predict` over checkpoints of trainings."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mlc_cli.core.runs.checkpoint import read_card, read_state, save_checkpoint

Mlc = Callable[..., Any]


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_probabilities_are_those_of_the_evaluation(run: Path, mlc: Mlc) -> None:
    outcome = mlc("predict", "data/images/val", "--batch-size", "5")
    assert outcome.code == 0, outcome.err
    records = lines(outcome.out)
    with np.load(run / "scores.npz") as scores:
        paths, classes = scores["paths"].tolist(), scores["classes"].tolist()
        assert [record["image"] for record in records] == [f"data/{path}" for path in paths]
        found = [[record["probabilities"][c] for c in classes] for record in records]
        np.testing.assert_allclose(found, scores["probabilities"], atol=1e-6)


def test_the_bits_that_a_model_was_trained_with_are_those_it_reads(
    training: Callable[..., list[str]], mlc: Mlc
) -> None:
    arguments = training(24, 12, "epochs=1", "data.bits=12")
    for path in Path("data/images").glob("*/*.png"):
        raw = cv2.imread(str(path)).astype(np.uint16) * 16
        cv2.imwrite(str(path), raw)
        shown = Path("shown", path.parent.name, path.name)
        shown.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(shown), (raw / 4095 * 255).clip(0, 255).round().astype(np.uint8))
    assert mlc(*arguments).code == 0
    found = [lines(mlc("predict", folder).out) for folder in ("data/images/val", "shown/val")]
    raw, shown = ([one["probabilities"] for one in records] for records in found)
    assert len(raw) == 12
    assert raw == shown
    assert mlc("eval").code == 0


@pytest.mark.usefixtures("run")
def test_without_thresholds_a_half_decides_and_that_is_said(mlc: Mlc) -> None:
    outcome = mlc("predict", "data/images/val")
    assert "decided by 0.5" in outcome.err
    assert "mlc thresholds" in outcome.err
    for record in lines(outcome.out):
        assert set(record["labels"]) == {
            name for name, p in record["probabilities"].items() if p >= 0.5
        }


def labels(mlc: Mlc, *arguments: str | Path) -> list[str]:
    outcome = mlc("predict", "data/images/val/000.png", *arguments)
    assert outcome.code == 0, outcome.err
    return sorted(lines(outcome.out)[0]["labels"])


def test_thresholds_of_checkpoint_file_and_number(run: Path, mlc: Mlc, tmp_path: Path) -> None:
    best = run / "best.safetensors"
    card = replace(read_card(best), thresholds=[0.0, 1.0, 0.0])
    save_checkpoint(best, read_state(best), card)
    assert labels(mlc) == ["blue", "red"]
    assert labels(mlc, "--thresholds", "0") == ["blue", "green", "red"]
    assert labels(mlc, "--thresholds", "1") == []
    np.save(tmp_path / "t.npy", np.array([1.0, 0.0, 1.0]))
    assert labels(mlc, "--thresholds", tmp_path / "t.npy") == ["green"]
    for wrong in ("1.5", "nan", "none.npy"):
        outcome = mlc("predict", "data/images/val", "--thresholds", wrong)
        assert outcome.code == 2
        assert f"--thresholds {wrong}" in outcome.err


@pytest.mark.usefixtures("run")
def test_unreadable_images_stay_in_their_place(mlc: Mlc) -> None:
    Path("data/images/val/001.png").write_text("no image")
    Path("list.txt").write_text("data/images/val/000.png\nnowhere.png\n")
    sources = ("data/images/val", "list.txt")
    outcome = mlc("predict", *sources, "--topk", "1")
    assert outcome.code == 0, outcome.err
    records = lines(outcome.out)
    assert len(records) == 14
    assert records[1] == {"image": "data/images/val/001.png", "error": "is not an image"}
    assert records[13] == {"image": "nowhere.png", "error": "No such file or directory"}
    assert {len(r["probabilities"]) for r in records if "error" not in r} == {1}
    assert "2 images could not be read" in outcome.err
    assert "nowhere.png: No such file" in outcome.err
    strict = mlc("predict", *sources, "--strict", "--topk", "1")
    assert strict.code == 3
    assert strict.out == outcome.out
    none = mlc("predict", "data/images/val/001.png")
    assert (none.code, len(lines(none.out))) == (1, 1)
    assert "no image could be read" in none.err


@pytest.mark.usefixtures("run")
def test_tables(mlc: Mlc) -> None:
    records = lines(mlc("predict", "data/images/val").out)
    table = list(
        csv.DictReader(mlc("predict", "data/images/val", "--format", "csv").out.splitlines())
    )
    onehot = mlc("predict", "data/images/val", "--format", "onehot").out.splitlines()
    array = json.loads(mlc("predict", "data/images/val", "--format", "json").out)
    assert array == records
    for record, row, hot in zip(records, table, csv.DictReader(onehot), strict=True):
        assert row["image"] == hot["image"] == record["image"]
        assert [x for x in row["labels"].split(";") if x] == record["labels"]
        for name, probability in record["probabilities"].items():
            assert float(row[name]) == probability
            assert hot[name] == str(int(name in record["labels"]))


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_file_that_broke_off_is_continued_to_the_same_file(mlc: Mlc, form: str) -> None:
    Path("data/images/val/001.png").write_text("no image")
    flags = ("predict", "data/images/val", "--format", form, "-b", "4", "--output", "out")
    assert mlc(*flags).code == 0
    whole = Path("out").read_bytes()
    Path("out").write_bytes(whole[: len(whole) * 2 // 3])
    outcome = mlc(*flags, "--resume")
    assert outcome.code == 0, outcome.err
    assert "of them before" in outcome.err
    assert "1 image could not be read" in outcome.err
    assert Path("out").read_bytes() == whole
    assert mlc(*flags, "--resume").code == 0
    assert Path("out").read_bytes() == whole
    other = mlc("predict", "data/images/train", *flags[2:], "--resume")
    assert other.code == 1
    assert "cannot be continued" in other.err
    assert Path("out").read_bytes() == whole


@pytest.mark.usefixtures("run")
def test_drawn_pictures_and_a_gallery(mlc: Mlc) -> None:
    Path("data/images/val/001.png").write_text("no image")
    flags = ("--thresholds", "0", "--explain", "--draw", "drawn", "--gallery", "g.html")
    outcome = mlc("predict", "data/images", "data/images/val/000.png", *flags)
    assert outcome.code == 0, outcome.err
    drawn = {str(path.relative_to("drawn")) for path in Path("drawn").rglob("*.jpg")}
    assert len(drawn) == len(lines(outcome.out)) - 1
    assert {"val/000.jpg", "val/002.jpg", "000.jpg"} <= drawn
    assert "val/001.jpg" not in drawn
    sheet = cv2.imread("drawn/val/000.jpg")
    assert sheet is not None
    assert sheet.shape == (320, 4 * 328 - 8, 3)
    page = Path("g.html").read_text()
    assert page.count("data:image/png;base64") == 3 * len(drawn)
    assert "001.png" in page


@pytest.mark.usefixtures("run")
def test_frames_of_a_video(mlc: Mlc) -> None:
    writer = cv2.VideoWriter("clip.avi", cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(7):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    outcome = mlc("predict", "clip.avi", "--every", "3", "--draw", "drawn")
    assert [r["image"] for r in lines(outcome.out)] == [f"clip.avi#{n}" for n in (0, 3, 6)]
    assert sorted(path.name for path in Path("drawn").iterdir()) == [
        "clip-0.jpg",
        "clip-3.jpg",
        "clip-6.jpg",
    ]


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        ((), 2, "sources"),
        (("nowhere",), 1, "nowhere"),
        (("data/images/*.gif",), 1, "matches"),
        (("data/images", "--explain"), 2, "--draw"),
        (("data/images", "--resume"), 2, "--output"),
        (("data/images", "--resume", "-o", "x", "--format", "json"), 2, "JSON array"),
        (("data/images", "--resume", "-o", "x", "--gallery", "g.html"), 2, "gallery"),
        (("data/images", "--gallery", "none/g.html"), 2, "--gallery none/g.html: there is no"),
        (("data/images", "-o", "data"), 2, "--output data: is a folder"),
        (("runs/train-1",), 1, "A run goes to --run."),
        (("data/images", "--format", "xml"), 2, "format"),
        (("data/images", "--output", "none/x"), 2, "--output none/x: there is no such folder"),
        (("data/images", "--draw", "data/val.json"), 1, "data/val.json"),
        (("data/images", "--set", "font=data/val.json", "--draw", "d"), 2, "font"),
    ],
)
def test_wrong_use_is_named(mlc: Mlc, arguments: tuple[str, ...], code: int, problem: str) -> None:
    outcome = mlc("predict", *arguments)
    assert outcome.code == code
    assert problem in outcome.err
    assert outcome.out == ""


def test_settings_are_shown(mlc: Mlc) -> None:
    outcome = mlc("predict", "a", "b", "--topk", "3", "--show-settings")
    assert outcome.code == 0
    assert "topk: 3" in outcome.out
    assert "- a\n- b" in outcome.out.replace("  - ", "- ")


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mlc_cli", "predict", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.usefixtures("run")
def test_paths_from_standard_input_and_a_signal(mlc: Mlc) -> None:
    expected = mlc("predict", "data/images/val").out
    paths = sorted(str(path) for path in Path("data/images/val").iterdir())
    with start("-") as process:
        out, err = process.communicate("\n".join(paths), timeout=120)
        assert process.returncode == 0, err
    assert [r["image"] for r in lines(out)] == [r["image"] for r in lines(expected)]
    with start("-", "-o", "out.jsonl", "-b", "2") as process:
        assert process.stdin
        process.stdin.write("".join(f"{path}\n" for path in paths[:4]))
        process.stdin.flush()  # and no end: the program waits for more
        until = time.monotonic() + 60
        while time.monotonic() < until and not _lines_in("out.jsonl"):
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr
        said = process.stderr.read()
        assert "--resume" in said
        assert "Traceback" not in said
    assert Path("out.jsonl").read_text().endswith("\n")
    assert mlc("predict", "data/images/val", "-o", "out.jsonl", "--resume").code == 0
    assert len(_lines_in("out.jsonl")) == len(paths)


def _lines_in(name: str) -> list[str]:
    path = Path(name)
    return path.read_text().splitlines() if path.exists() else []


def test_a_model_that_has_diverged_is_an_error(run: Path, mlc: Mlc) -> None:
    best = run / "best.safetensors"
    state = {name: value * float("nan") if value.is_floating_point() else value
             for name, value in read_state(best).items()}  # fmt: skip
    save_checkpoint(best, state, read_card(best))
    outcome = mlc("predict", "data/images/val")
    assert outcome.code == 1
    assert "not finite" in outcome.err


def test_the_checkpoint_alone_is_enough(run: Path, mlc: Mlc) -> None:
    shutil.move(run / "best.safetensors", "alone.safetensors")
    shutil.move("data/images/val", "photos")
    shutil.rmtree("runs")
    shutil.rmtree("data")
    outcome = mlc("predict", "photos", "--checkpoint", "alone.safetensors")
    assert outcome.code == 0, outcome.err
    assert len(lines(outcome.out)) == 12


@pytest.mark.usefixtures("run")
def test_the_settings_beside_the_output_repeat_it(mlc: Mlc) -> None:
    assert mlc("predict", "data/images/val", "--topk", "2", "--output", "a.jsonl").code == 0
    assert mlc("predict", "--config", "a.jsonl.settings.yaml", "--output", "b.jsonl").code == 0
    assert Path("a.jsonl").read_bytes() == Path("b.jsonl").read_bytes()
