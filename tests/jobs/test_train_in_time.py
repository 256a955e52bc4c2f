"""`mlc train --minutes` and `--until`."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlc_cli.core.runs.checkpoint import read_state
from mlc_cli.core.training import pace
from mlc_cli.core.training.state import TrainState
from mlc_cli.core.training.step import Step
from tests.runs import rows

Mlc = Callable[..., Any]


@pytest.fixture
def arguments(training: Callable[..., list[str]]) -> list[str]:
    """Of a training in a folder of its own."""
    return [*training(24, 12), "--epochs", "40"]


def test_a_training_ends_in_its_time_with_its_schedule_done(
    arguments: list[str], mlc: Mlc, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlc(*arguments, "--set", "epochs=1", "--set", "name=first")  # what is imported once
    apply = Step._apply

    def slowly(step: Step, state: TrainState) -> None:
        time.sleep(0.2)  # most of the time, whatever else the machine does
        apply(step, state)

    monkeypatch.setattr(Step, "_apply", slowly)
    started = time.monotonic()
    outcome = mlc(*arguments, "--minutes", "0.25")
    taken = time.monotonic() - started
    assert outcome.code == 0, outcome.err
    assert 9 < taken < 18
    settings = yaml.safe_load(Path("runs/train-1/settings.yaml").read_text())
    table = rows("runs/train-1")
    assert 1 <= settings["epochs"] <= 40 * pace.MOST
    assert table[-1]["epoch"] == settings["epochs"]
    rates = [row["train/lr"] for row in table]
    assert rates[-1] < 0.05 * max(rates)


def test_the_number_is_fixed_and_a_resumed_run_keeps_it(
    arguments: list[str], mlc: Mlc, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = pace.Pace(read=0.0, step=1.0, forward=0.0, save=0.0, on_host=True, cached=True)
    monkeypatch.setattr(pace, "measure", lambda _: slow)
    assert mlc(*arguments, "--minutes", "1.5").code == 0  # 85.5 s: 3.56 epochs of 24 images
    settings = yaml.safe_load(Path("runs/train-1/settings.yaml").read_text())
    assert settings["epochs"] == 4
    assert settings["data"]["epoch_part"] == pytest.approx(85.5 / 96, abs=0.01)
    whole = read_state(Path("runs/train-1/last.safetensors"))
    monkeypatch.setattr(pace, "measure", lambda _: pytest.fail("measured again"))
    part = f"data.epoch_part={settings['data']['epoch_part']}"
    same = [*arguments, "--set", "epochs=4", "--set", part, "--set", "name=same"]
    assert mlc(*same).code == 0
    plain = read_state(Path("runs/same-1/last.safetensors"))
    assert all((whole[name] == plain[name]).all() for name in whole)
    (Path("runs/train-1") / "eval.json").unlink()
    outcome = mlc("train", "--resume", "runs/train-1")
    assert outcome.code == 0, outcome.err
    assert len(rows("runs/train-1")) == 4


def test_too_little_time_is_refused_before_a_run_is_made(arguments: list[str], mlc: Mlc) -> None:
    outcome = mlc(*arguments, "--minutes", "0.0001")
    assert outcome.code == 2
    assert "the time does not suffice" in outcome.err
    assert not Path("runs").exists()


def test_the_end_may_be_a_time_of_the_day(
    arguments: list[str], mlc: Mlc, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def fit(_demand: object, _pace: object, seconds: float, _most: int) -> tuple[int, float]:
        seen.append(seconds)
        return 1, 1.0

    monkeypatch.setattr(pace, "fit", fit)
    later = datetime.now() + timedelta(minutes=30)
    for text in (f"{later:%H:%M}", f"{later:%Y-%m-%dT%H:%M}"):
        assert mlc(*arguments, "--until", text).code == 0
        assert 28 * 60 < seen.pop() / pace.RESERVE <= 30 * 60
    outcome = mlc(*arguments, "--until", "25:00")
    assert outcome.code == 2
    assert "25:00 is no time" in outcome.err
