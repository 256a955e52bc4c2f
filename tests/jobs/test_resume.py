"""Trainings that are interrupted or killed, and taken up again."""

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from mlc_cli.core.runs.checkpoint import read_state
from mlc_cli.core.training.events import Tick
from mlc_cli.errors import Interrupted, MlcError
from mlc_cli.jobs.train import run_settings, train
from mlc_cli.main import main
from mlc_cli.settings.train import TrainSettings
from tests import launch

Mlc = Callable[..., Any]
FULL = (
    "epochs=5", "ema.decay=0.9", "optim.sam.rho=0.05", "model.head.dropout=0.3",
    "augment.mix.name=mixup", "augment.rand_augment.name=pair", "augment.cutout.p=0.5",
    "optim.lr=0.003", "optim.clip_norm=1", "data.repeat_rare=0.9", "data.train_sizes=[1,1.5]",
)  # fmt: skip


@pytest.fixture
def arguments(training: Callable[..., list[str]]) -> list[str]:
    """Arguments of a training with everything random in it, in the working folder."""
    return training(48, 12, *FULL)


def what_counts(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    timing = {"seconds", "train/images_per_second"}
    return [{k: v for k, v in row.items() if k not in timing} for row in rows]


def assert_same_run(found: Path, wanted: Path) -> None:
    assert what_counts(found) == what_counts(wanted)
    for name in ("best.safetensors", "last.safetensors"):
        first, second = read_state(found / name), read_state(wanted / name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first), name
    first, second = (json.loads((run / "eval.json").read_text()) for run in (found, wanted))
    assert first["per_class"] == second["per_class"]


def command_line(arguments: list[str]) -> None:
    """What a child process runs: the executable, with its output put away."""
    with Path("output.txt").open("a") as stream:
        sys.stdout = sys.stderr = stream
        sys.argv = ["mlc", *arguments]
        main()


def kill_at_random(arguments: list[str], seconds: float) -> int | None:
    """Run in a process of its own; kill it after so long, if it lasts."""
    process, _ = launch.start(lambda: command_line(arguments))
    process.join(seconds)
    if process.exitcode is None:
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    return process.exitcode


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_killed_at_random_moments_continues_to_the_bit(
    arguments: list[str], mlc: Mlc, workers: int
) -> None:
    arguments = [*arguments, "--set", f"data.workers={workers}", "--set", "save_minutes=0.0001"]
    assert mlc(*arguments).code == 0
    rng, run = random.Random(workers), Path("killed/train-1")
    codes: list[int | None] = []
    # The evaluation is the last thing written: killed after it, there is nothing to continue.
    while codes[-1:] != [0] and not (run / "eval.json").exists() and len(codes) < 20:
        command = ["train", "--resume", str(run)]
        if not (run / "settings.yaml").exists():
            shutil.rmtree("killed", ignore_errors=True)
            command = [*arguments, "--output", "killed"]
        # longer and longer, so that a busy machine gets there as well
        codes.append(kill_at_random(command, rng.uniform(0.5, 1.5) * (1 + len(codes) / 4)))
    assert (run / "eval.json").exists(), Path("output.txt").read_text()
    assert set(codes) <= {0, -signal.SIGKILL}, Path("output.txt").read_text()
    assert -signal.SIGKILL in codes
    assert_same_run(run, Path("runs/train-1"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_foreground_group_ends_with_130_and_a_hint(
    arguments: list[str], mlc: Mlc, number: signal.Signals
) -> None:
    arguments = [*arguments, "--set", "data.workers=1", "--set", "save_minutes=0.0001"]
    process, run = launch.Command(*arguments), Path("runs/train-1")
    while not (run / "trainer.pt").exists() and process.runs:
        time.sleep(0.01)
    process.kill(number, group=True)
    code, out, err = process.ended()
    assert code == 130, err
    assert f"mlc train --resume {run}" in err
    assert "Traceback" not in err
    assert out == ""
    assert "interrupted" in (run / "train.log").read_text()
    if number == signal.SIGINT:  # once is enough
        resumed = mlc("train", "--resume", "runs/latest")
        assert resumed.code == 0, resumed.err
        assert mlc(*arguments).code == 0
        assert_same_run(run, Path("runs/train-2"))


def test_the_death_of_a_reader_ends_a_training_with_a_message(
    make_dataset: Callable[..., Path], tiny_settings: Callable[..., TrainSettings]
) -> None:
    def strike(tick: Tick) -> None:
        if tick.done == 2:
            newest = max(psutil.Process().children(), key=lambda child: child.create_time())
            newest.kill()  # older ones serve other tests

    settings = tiny_settings(make_dataset(64, 12), "data.workers=1", "batch_size=2")
    with pytest.raises(MlcError, match="a process that reads images died") as caught:
        list(train(settings, on_tick=strike))
    assert "data.workers=1" in caught.value.hint


def test_other_errors_in_a_training_stay_what_they_are(
    make_dataset: Callable[..., Path], tiny_settings: Callable[..., TrainSettings]
) -> None:
    def strike(_: Tick) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(train(tiny_settings(make_dataset(48, 12)), on_tick=strike))


def test_an_interruption_by_the_caller_saves_the_position_inside_the_epoch(
    tmp_path: Path,
    make_dataset: Callable[..., Path],
    tiny_settings: Callable[..., TrainSettings],
) -> None:
    settings = tiny_settings(make_dataset(48, 12), *FULL, "epochs=2")
    list(train(settings))

    def stop(tick: Tick) -> None:
        if (tick.phase, tick.epoch, tick.done) == ("train", 2, 3):
            raise Interrupted("enough")

    with pytest.raises(Interrupted):
        list(train(settings, on_tick=stop))
    run = tmp_path / "runs/train-2"
    position = torch.load(run / "trainer.pt", weights_only=True)["position"]
    assert (position["epoch"], position["batch"]) == (1, 3)
    events = list(train(run_settings(run), resume=run))
    assert [getattr(event, "epoch", None) for event in events] == [1, 2, None]
    assert_same_run(run, tmp_path / "runs/train-1")


def test_a_finished_run_is_not_continued(arguments: list[str], mlc: Mlc) -> None:
    assert mlc(*arguments, "--epochs", "1", "--set", "epochs=1").code == 0
    before = Path("runs/train-1/last.safetensors").read_bytes()
    outcome = mlc("train", "--resume", "runs/latest")
    assert outcome.code == 1
    assert "is done after 1 of 1 epochs" in outcome.err
    assert "--weights" in outcome.err
    assert Path("runs/train-1/last.safetensors").read_bytes() == before


def test_a_run_that_stopped_early_is_not_continued(arguments: list[str], mlc: Mlc) -> None:
    outcome = mlc(*arguments, "--lr", "1e-12", "--set", "optim.lr=1e-12", "--set",
                  "schedule.name=constant", "--set", "early_stop.patience=1")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "stopped early" in outcome.err
    again = mlc("train", "--resume", "runs/latest")
    assert again.code == 1
    assert "stopped early" in again.err


def test_a_run_that_was_killed_before_its_evaluation_is_evaluated(
    arguments: list[str], mlc: Mlc
) -> None:
    assert mlc(*arguments, "--set", "epochs=1").code == 0
    run = Path("runs/train-1")
    before = (run / "eval.json").read_bytes()
    (run / "eval.json").unlink()
    outcome = mlc("train", "--resume", run)
    assert outcome.code == 0, outcome.err
    assert (run / "eval.json").read_bytes() == before


def test_a_run_without_a_state_starts_again(arguments: list[str], mlc: Mlc) -> None:
    assert mlc(*arguments, "--set", "epochs=2").code == 0
    shutil.copytree("runs/train-1", "runs/fresh-1")
    for path in Path("runs/fresh-1").iterdir():
        if path.name != "settings.yaml":
            path.unlink()
    assert mlc("train", "--resume", "runs/fresh-1").code == 0
    assert_same_run(Path("runs/fresh-1"), Path("runs/train-1"))


def test_other_settings_beside_resume_are_refused(arguments: list[str], mlc: Mlc) -> None:
    outcome = mlc(*arguments, "--resume", "runs/latest")
    assert outcome.code == 2
    assert "takes no other" in outcome.err
    alone = mlc(*arguments, "--accept-changed-data")
    assert alone.code == 2
    assert "--resume" in alone.err


def test_a_damaged_state_is_refused_with_a_way_out(arguments: list[str], mlc: Mlc) -> None:
    assert mlc(*arguments, "--set", "epochs=1").code == 0
    run = Path("runs/train-1")
    (run / "eval.json").unlink()
    (run / "trainer.pt").write_bytes((run / "trainer.pt").read_bytes()[:1000])
    outcome = mlc("train", "--resume", run)
    assert outcome.code == 1
    assert "cannot be continued" in outcome.err
    assert "--weights" in outcome.err


@pytest.mark.parametrize("name", ["runs/nothing", "data"])
def test_what_is_not_a_run_is_refused(arguments: list[str], mlc: Mlc, name: str) -> None:
    assert arguments
    outcome = mlc("train", "--resume", name)
    assert outcome.code == 1
    assert name in outcome.err


def relabelled(folder: str, split: str) -> None:
    """Take the labels of the first image away."""
    path = Path(folder, f"{split}.json")
    content = json.loads(path.read_text())
    content["images"][0][1] = []
    path.write_text(json.dumps(content))


def unfinished(arguments: list[str], mlc: Mlc) -> Path:
    """A run whose evaluation is still to be done."""
    assert mlc(*arguments, "--set", "epochs=1").code == 0
    Path("runs/train-1/eval.json").unlink()
    return Path("runs/train-1")


def test_data_that_changed_are_refused_until_they_are_accepted(
    arguments: list[str], mlc: Mlc
) -> None:
    run = unfinished(arguments, mlc)
    relabelled("data", "train")
    refused = mlc("train", "--resume", run)
    assert refused.code == 1
    assert "train.json has changed since the training began: 48 images with" in refused.err
    assert not (run / "eval.json").exists()
    accepted = mlc("train", "--resume", run, "--accept-changed-data")
    assert accepted.code == 0, accepted.err
    assert "train.json has changed" in accepted.err


def test_a_run_goes_on_with_data_that_moved_and_without_its_start_weights(
    arguments: list[str], mlc: Mlc
) -> None:
    assert mlc(*arguments, "--set", "epochs=1").code == 0
    start = shutil.copy("runs/train-1/last.safetensors", "start.safetensors")
    assert mlc(*arguments, "--set", "epochs=1", "--weights", start).code == 0
    run = Path("runs/train-2")
    (run / "eval.json").unlink()
    Path(start).unlink()
    Path("data").rename("moved")
    lost = mlc("train", "--resume", run)
    assert lost.code == 1
    found = mlc("train", "--resume", run, "--data", "moved", "--device", "cpu")
    assert found.code == 0, found.err
    assert (run / "eval.json").exists()
    assert mlc("eval", "--run", run).code == 1  # its checkpoints tell where the data were
    assert mlc("eval", "--run", run, "--data", "moved").code == 0


@pytest.mark.parametrize("command", ["eval", "thresholds"])
def test_another_data_set_of_the_same_name_is_not_taken(
    arguments: list[str], mlc: Mlc, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    assert mlc(*arguments, "--set", "epochs=1").code == 0
    shutil.copytree("data", "other/data")
    relabelled("other/data", "val")
    monkeypatch.chdir("other")
    outcome = mlc(command, "--run", "../runs/train-1")
    assert outcome.code == 0, outcome.err
    assert str(Path("../data/val.json").resolve()) in outcome.err
    relabelled("../data", "val")
    changed = mlc(command, "--run", "../runs/train-1")
    assert changed.code == 1
    assert "is not what it was in the training: 12 images with" in changed.err
    taken = mlc(command, "--run", "../runs/train-1", "--data", "../data")
    assert (taken.code, "is not what it was in the training" in taken.err) == (0, True)


def test_a_run_that_moved_together_with_its_data_finds_them(arguments: list[str], mlc: Mlc) -> None:
    assert mlc(*arguments, "--set", "epochs=1").code == 0
    Path("project").mkdir()
    for name in ("data", "runs"):
        Path(name).rename(f"project/{name}")
    outcome = mlc("eval", "--run", "project/runs/train-1")
    assert outcome.code == 0, outcome.err
    assert "on project/data/val.json" in outcome.err
