"""Commands that several processes share, as torchrun starts them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mlc_cli.core.system.distributed import Group
from mlc_cli.core.training.events import Tick
from mlc_cli.core.training.messages import describe
from mlc_cli.errors import Interrupted
from mlc_cli.jobs.train import run_settings, train
from mlc_cli.settings.train import TrainSettings
from tests.runs import rows, weights

Mlc = Callable[..., Any]
VIT = ("model.backbone=test_vit", "batch_size=7", "optim.name=sgd", "optim.lr=0.02", "epochs=3")


@pytest.fixture
def arguments(training: Callable[..., list[str]]) -> list[str]:
    """Arguments of a training without batch normalisation, in the working folder."""
    return training(31, 17, *VIT)


def files(folder: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def test_a_training_writes_one_run_and_only_one_process_speaks(
    arguments: list[str], mlc: Mlc, start_mlc: Mlc
) -> None:
    first, second = start_mlc(*arguments, "--set", "optim.sam.rho=0.05").results()
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert (second.out, second.err) == ("", "")
    assert "run    runs/train-1 on cpu, fp32, 2 processes" in first.err
    assert first.err.count("epoch 3/3") == 1
    assert "mAP" in first.out
    assert {path.name for path in Path("runs").iterdir()} == {"train-1", "latest"}
    assert len(list(Path("runs/train-1").glob("events*"))) == 1
    assert mlc(*arguments, "--set", "optim.sam.rho=0.05").code == 0
    torch.testing.assert_close(weights("runs/train-1"), weights("runs/train-2"), atol=2e-5, rtol=0)
    assert set(files("runs/train-1")) ^ set(files("runs/train-2")) == {
        next(Path("runs/train-1").glob("events*")).name,
        next(Path("runs/train-2").glob("events*")).name,
    }
    losses = [[row["train/loss"] for row in rows(f"runs/train-{n}")] for n in (1, 2)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_results_are_those_of_one_process_to_the_byte(
    arguments: list[str], mlc: Mlc, start_mlc: Mlc
) -> None:
    assert mlc(*arguments).code == 0
    batch = ("--set", "batch_size=4")
    (Path("data/images/odd.png")).write_bytes(b"not an image")
    commands = {
        "eval": ["eval", "--report", "--json", *batch, "--output"],
        "thresholds": ["thresholds", "--json", "--folds", "2", *batch, "--output"],
        "predict": ["predict", "data/images", *batch, "--draw"],
    }
    for name, command in commands.items():
        first, second = start_mlc(*command, "shared").results()
        assert (first.code, second.code) == (0, 0), first.err + second.err
        assert (second.out, second.err) == ("", "")
        Path("shared").rename(f"{name}-shared")
        alone = mlc(*command, "shared")
        assert first.out == alone.out
        assert first.err == alone.err
        assert files("shared") == files(f"{name}-shared")
        Path("shared").rename(f"{name}-alone")
    assert "drawn" not in files("predict-alone")
    assert len(files("predict-alone")) == 31 + 17 + 17


def test_a_prediction_that_broke_off_goes_on_with_several_processes(
    arguments: list[str], mlc: Mlc, start_mlc: Mlc
) -> None:
    assert mlc(*arguments).code == 0
    command = ("predict", "data/images", "--set", "batch_size=4", "--output")
    assert mlc(*command, "whole.jsonl").code == 0
    lines = Path("whole.jsonl").read_bytes().splitlines(keepends=True)
    Path("part.jsonl").write_bytes(b"".join(lines[:13]) + lines[13][:9])
    first, second = start_mlc(*command, "part.jsonl", "--resume").results()
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert Path("part.jsonl").read_bytes() == b"".join(lines)


@pytest.mark.parametrize("bad", ["train", "val"])
def test_an_unreadable_image_ends_all_with_one_message(
    arguments: list[str], start_mlc: Mlc, bad: str
) -> None:
    Path(f"data/images/{bad}/004.png").write_bytes(b"not an image")
    outcomes = start_mlc(*arguments).results()
    assert [outcome.code for outcome in outcomes] == [1, 1]
    said = [outcome.err for outcome in outcomes if "Error" in outcome.err]
    assert len(said) == 1, said
    assert f"Error: data/images/{bad}/004.png: is not an image" in said[0]
    assert "Traceback" not in said[0]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("export",), "mlc export is done by one process"),
        (("dataset-check", "data"), "mlc dataset-check is done by one process"),
        (("presets",), "mlc presets is done by one process"),
        (("predict", "-"), "- is read by one process"),
        (("train", "--data", "nowhere"), "nowhere/train.json: there is no such annotation file"),
        (("train", "--set", "epoch=3"), "epoch"),
    ],
    ids=str,
)
def test_what_cannot_be_shared_or_is_wrong_is_said_once(
    arguments: list[str], start_mlc: Mlc, command: tuple[str, ...], message: str
) -> None:
    assert arguments
    outcomes = start_mlc(*command).results()
    assert outcomes[0].code == outcomes[1].code != 0
    said = [outcome.err for outcome in outcomes if outcome.err]
    assert len(said) == 1, said
    assert message in said[0]


def wait_for(path: Path) -> None:
    for _ in range(3000):
        if path.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} does not come")


@pytest.mark.parametrize(
    ("number", "to"), [(signal.SIGINT, (0, 1)), (signal.SIGTERM, (1,))], ids=str
)
def test_a_signal_to_any_process_ends_all_with_the_state_saved(
    arguments: list[str], start_mlc: Mlc, number: signal.Signals, to: tuple[int, ...]
) -> None:
    arguments = [*arguments, "--set", "epochs=200", "--set", "save_minutes=0.0001"]
    started = start_mlc(*arguments)
    wait_for(Path("runs/train-1/trainer.pt"))
    for rank in to:
        os.kill(started.pids[rank], number)
    outcomes = started.results()
    assert [outcome.code for outcome in outcomes] == [130, 130]
    said = [outcome.err for outcome in outcomes if "interrupted" in outcome.err]
    assert len(said) == 1, said
    assert "mlc train --resume runs/train-1" in said[0]
    assert "interrupted" in Path("runs/train-1/train.log").read_text()
    position = torch.load("runs/train-1/trainer.pt", weights_only=True)["position"]
    assert position["epoch"] or position["batch"]


@pytest.mark.parametrize("lost", [0, 1])
def test_the_loss_of_a_process_ends_the_other_with_the_state_on_disk(
    arguments: list[str], start_mlc: Mlc, lost: int
) -> None:
    started = start_mlc(*arguments, "--set", "epochs=200", "--set", "save_minutes=0.0001")
    wait_for(Path("runs/train-1/trainer.pt"))
    os.kill(started.pids[lost], signal.SIGKILL)
    left = started.results()[1 - lost]
    assert left.code == 1
    # the first process keeps the word on who speaks, where torchrun does not: lost, it is missed
    assert ("waits for another one, which has ended" in left.err) == (lost == 1)
    assert "Traceback" not in left.err
    assert torch.load("runs/train-1/trainer.pt", weights_only=True)["position"]


def interrupt(settings: TrainSettings) -> str:
    def stop(tick: Tick) -> None:
        if (tick.phase, tick.epoch, tick.done) == ("train", 2, 2):
            raise Interrupted("enough")

    try:
        list(train(settings, on_tick=stop))
    except Interrupted:
        return "interrupted"
    return "done"


def test_a_run_is_continued_by_as_many_processes_to_the_bit_and_by_others_with_a_warning(
    tmp_path: Path,
    make_dataset: Callable[..., Path],
    tiny_settings: Callable[..., TrainSettings],
    together: Callable[..., list[Any]],
) -> None:
    data = make_dataset(31, 17)
    extra = ("model.head.dropout=0.2", "augment.mix.name=mixup", "ema.decay=0.9")
    random, plain = tiny_settings(data, *VIT, *extra), tiny_settings(data, *VIT)

    def resume(run: str) -> list[str]:
        return [describe(e) for e in train(run_settings(tmp_path / run), resume=tmp_path / run)]

    def work(_: Group) -> list[str]:
        made = [interrupt(random), interrupt(plain)]
        list(train(random))
        resume("runs/train-1")
        return made

    assert together(work) == [["interrupted", "interrupted"]] * 2
    for name in ("last.safetensors", "best.safetensors"):
        assert torch.equal(*(weights(tmp_path / f"runs/train-{n}", name) for n in (1, 3)))
    list(train(plain))
    assert "continued by 1 in place of 2 processes" in resume("runs/train-2")[0]
    assert (
        "continued by 1 in place of 2 processes"
        in (tmp_path / "runs/train-2/train.log").read_text()
    )
    continued, whole = (weights(tmp_path / f"runs/train-{n}") for n in (2, 4))
    torch.testing.assert_close(continued, whole, atol=2e-5, rtol=0)


def test_torchrun_itself(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port",
         free_port(), "-m", "mlc_cli", *arguments, "--set", "epochs=1"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "runs/train-1 on cpu, fp32, 2 processes" in done.stderr
    assert done.stderr.count("epoch 1/1") == 1
    assert done.stdout.count("\nmAP ") == 1


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])
