"""What people type who do not know the words, on machines that do not play along."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mlc_cli.commands.screen import extremes
from mlc_cli.core.images.decode import read_image
from mlc_cli.core.runs.folder import create_run
from mlc_cli.core.system.files import folder_beside
from mlc_cli.errors import BadImageError, MlcError


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the working folder with nothing but a video."""
    monkeypatch.chdir(tmp_path)
    Path("films").mkdir()
    writer = cv2.VideoWriter("films/a.avi", cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    for value in range(100):
        writer.write(np.full((64, 64, 3), value, np.uint8))
    writer.release()
    return Path("films")


@pytest.mark.usefixtures("run")
def test_videos_of_a_folder_are_taken_if_so_wanted(mlc, film: Path) -> None:
    refused = mlc("predict", film)
    assert refused.code == 1
    assert "--videos takes them" in refused.err
    taken = mlc("predict", film, "--videos", "--every", "50", "--top", "1")
    lines = [json.loads(line) for line in taken.out.splitlines()]
    assert [line["image"] for line in lines] == ["films/a.avi#0", "films/a.avi#50"]
    assert all(len(line["probabilities"]) == 1 for line in lines)


def test_a_run_and_its_checkpoint_stand_for_each_other(mlc, run: Path, tiny: list[str]) -> None:
    wanted = mlc("eval", "--json").out
    for words in (("--run", run / "best.safetensors"), ("--checkpoint", run)):
        assert mlc("eval", *words, "--json").out == wanted
    done = mlc("train", "--data", "data", "--epochs", "1", "--weights", run, *tiny)
    assert done.code == 0, done.err
    assert f"{run}/best.safetensors" in done.err
    assert "is done after 2 of 2 epochs" in mlc("train", "--resume", run / "last.safetensors").err


@pytest.mark.usefixtures("run")
def test_a_split_that_is_not_there_names_those_that_are(mlc) -> None:
    Path("data/test.json").unlink()
    outcome = mlc("eval", "--split", "test")
    assert outcome.code == 1
    assert "--split takes one of train, val" in outcome.err


@pytest.mark.usefixtures("run")
def test_an_objective_is_explained_without_a_pattern(mlc) -> None:
    for words in ("precision>90", "fbeta=.", "recall>=0.9@x%"):
        outcome = mlc("thresholds", "--objective", words)
        assert outcome.code == 2
        assert "such as 'precision>=0.9'" in outcome.err
        assert "[0-9" not in outcome.err


def test_more_epochs_for_a_run_that_goes_on_are_explained(mlc, tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs", "a")
    outcome = mlc("train", "--resume", run.path, "--epochs", "9")
    assert outcome.code == 2
    assert f"mlc train --weights {run.path} --epochs N" in outcome.err


@pytest.mark.usefixtures("run")
def test_thresholds_go_elsewhere_if_the_checkpoint_cannot_be_written(
    mlc, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MlcError("best.safetensors cannot be written: Read-only file system")

    monkeypatch.setattr("mlc_cli.core.runs.checkpoint.save_checkpoint", refuse)
    assert mlc("thresholds", "--output", "elsewhere").code == 1, "the disk may be full"
    monkeypatch.setattr("os.access", lambda *_: False)
    outcome = mlc("thresholds", "--output", "elsewhere")
    assert outcome.code == 0, outcome.err
    assert "the checkpoint is left as it was: best.safetensors cannot be written" in outcome.err
    assert "written to elsewhere/thresholds.npy" in outcome.err
    assert mlc("thresholds").code == 1


def test_many_classes_are_shown_by_the_best_and_the_worst(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"class": str(n), "AP": n / 100 if n else None} for n in range(100)]
    shown = [row["class"] for row in extremes(rows, "AP", "per_class.csv")]
    assert shown == [*map(str, range(99, 79, -1)), *map(str, range(20, 0, -1))]
    assert "100 classes: the 20 best and worst by AP; per_class.csv has all" in (
        capsys.readouterr().err
    )
    assert extremes(rows[:40], "AP", "") == rows[:40]
    few = [*rows[1:31], *rows[:1] * 50]
    assert extremes(few, "AP", "") == rows[30:0:-1]


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("command", "folder"),
    [("eval", "there"), ("thresholds", "there"), ("export --no-check", "there")],
)
def test_a_second_command_that_writes_the_same_is_refused(mlc, command: str, folder: str) -> None:
    Path(folder).mkdir()
    program = "import sys, time\nfrom pathlib import Path\n"
    program += "from mlc_cli.core.system.files import only_writer\n"
    program += f"with only_writer(Path({folder!r})):\n    print(1, flush=True)\n    time.sleep(60)"
    other = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    try:
        assert other.stdout
        assert other.stdout.readline() == "1\n"
        outcome = mlc(*command.split(), "--output", folder)
        assert outcome.code == 1
        assert f"{folder}: another process is writing it" in outcome.err
        assert list(Path(folder).iterdir()) == []
    finally:
        other.kill()
        other.communicate()
    assert mlc(*command.split(), "--output", folder).code == 0, "a dead process holds nothing"


@pytest.mark.parametrize(
    "command", ["dataset-convert mlc data there", "dataset-check data --fix there"]
)
def test_a_second_command_that_makes_the_same_data_set_is_refused(
    mlc, make_dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    make_dataset()
    monkeypatch.chdir(tmp_path)
    with folder_beside(tmp_path / "there"):
        outcome = mlc(*command.split())
        assert outcome.code == 1
        assert "there.part: another process is writing it" in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    assert mlc(*command.split()).code == 0, outcome.err


def test_what_a_killed_command_left_is_gone_after_the_next(tmp_path: Path) -> None:
    left = tmp_path / ".there.part" / "there" / "images"
    left.mkdir(parents=True)
    with folder_beside(tmp_path / "there") as folder:
        assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_channels_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 12), np.uint8).tobytes()
    entries = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 8), (277, 12), (278, 8),
               (279, len(pixels))]  # fmt: skip
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels))
    path = tmp_path / "twelve.tif"
    path.write_bytes(head + pixels + struct.pack("<H", len(entries)) + tags + bytes(4))
    with pytest.raises(BadImageError, match="has 12 channels; 1, 3 or 4 can be read"):
        read_image(path)
