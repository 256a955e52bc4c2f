"""`mlc train --teacher` from the command line to the run folder."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mlc_cli.core.runs.checkpoint import read_state
from mlc_cli.core.training.events import Tick
from mlc_cli.errors import Interrupted
from mlc_cli.jobs.train import run_settings, train
from mlc_cli.settings.train import TrainSettings
from tests.conftest import write_image

Mlc = Callable[..., Any]
FULL = ("epochs=2", "warm_start.epochs=1", "ema.decay=0.9", "augment.mix.name=mixup",
        "augment.mix.p=0.5", "model.head.dropout=0.3", "optim.sam.rho=0.05")  # fmt: skip


@pytest.fixture
def taught(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_dataset: Callable[..., Path],
    mlc: Mlc,
    tiny: list[str],
) -> list[str]:
    """Arguments of a training with a teacher and images without labels, in the working folder."""
    make_dataset(24, 12)
    monkeypatch.chdir(tmp_path)
    start = ["train", "--data", "data", "--device", "cpu", *tiny]
    made = mlc(*start, "--epochs", "1", "--set", "name=teacher", "--set", "data.input_size=40")
    assert made.code == 0, made.err
    for number in range(9):
        write_image(Path(f"more/{number}.png"), seed=number)
    more = ["--teacher", "runs/teacher-1", "--set", "data.unlabelled=more"]
    return [*start, *more, *(a for s in FULL for a in ("--set", s))]


def same_weights(one: Path, other: Path) -> bool:
    first, second = (read_state(run / "last.safetensors") for run in (one, other))
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_student_says_who_taught_it_and_its_run_is_found_from_everywhere(
    taught: list[str], mlc: Mlc
) -> None:
    outcome = mlc(*taught, "--teacher", "runs/teacher-1/last.safetensors")
    assert outcome.code == 0, outcome.err
    assert "teacher  runs/teacher-1/best.safetensors: test_resnet, 40x40" in outcome.err
    assert "teacher  runs/teacher-1/last.safetensors" in outcome.err
    assert "unlabelled  9 images of more\n" in outcome.err
    assert "unknown" not in outcome.err
    written = (Path("runs/train-1") / "settings.yaml").read_text()
    assert str(Path("runs/teacher-1").absolute()) in written
    assert str(Path("more").absolute()) in written
    rows = (Path("runs/train-1") / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == 3
    shutil.rmtree("runs/teacher-1")
    lost = mlc(*taught)
    assert (lost.code, "runs/teacher-1" in lost.err) == (1, True)


def test_an_interrupted_student_continues_to_the_bit(taught: list[str], mlc: Mlc) -> None:
    assert mlc(*taught).code == 0
    settings = run_settings_of(Path("runs/train-1"))
    heard: list[Tick] = []
    list(train(settings, on_tick=heard.append))
    assert same_weights(Path("runs/train-1"), Path("runs/train-2"))
    stopped = Path("runs/train-3")
    for moment in (3, len(heard) // 2):
        left = iter(range(moment))

        def strike(_: Tick, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Interrupted("now")

        resume = stopped if stopped.exists() else None
        own = run_settings(stopped) if resume else settings
        with pytest.raises(Interrupted):
            list(train(own, resume=resume, on_tick=strike))
    write_image(Path("more/new.png"))
    changed = mlc("train", "--resume", stopped)
    assert (changed.code, "more has changed since the training began" in changed.err) == (1, True)
    Path("more/new.png").unlink()
    assert mlc("train", "--resume", stopped).code == 0
    assert same_weights(Path("runs/train-1"), stopped)


def run_settings_of(run: Path) -> TrainSettings:
    """Those of a finished run."""
    from mlc_cli.settings.resolve import validate  # noqa: PLC0415
    from mlc_cli.settings.yaml_io import read_yaml  # noqa: PLC0415

    return validate(TrainSettings, read_yaml(run / "settings.yaml"))


def test_two_processes_are_taught_as_one(taught: list[str], mlc: Mlc, start_mlc: Mlc) -> None:
    plain = ["--set", "augment.mix=null", "--set", "model.backbone=test_vit",
             "--set", "data.input_size=64", "--set", "model.head.dropout=0"]  # fmt: skip
    first, second = start_mlc(*taught, *plain).results()
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert mlc(*taught, *plain).code == 0
    one, two = (read_state(Path(f"runs/train-{n}/last.safetensors")) for n in (1, 2))
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=5e-5, rtol=1e-3)


def test_what_does_not_go_together_is_refused(taught: list[str], mlc: Mlc) -> None:
    plain = [a for a in taught if a not in ("--teacher", "runs/teacher-1")]
    alone = mlc(*plain)
    assert (alone.code, "give --teacher" in alone.err) == (2, True)
    absent = mlc(*taught, "--set", "loss.unknown=absent")
    assert (absent.code, "take them for absent" in absent.err) == (2, True)
    content = json.loads(Path("data/train.json").read_text())
    for name in ("train", "val", "test"):
        content = json.loads(Path(f"data/{name}.json").read_text())
        content["classes"] = [*content["classes"], "violet"]
        Path(f"data/{name}.json").write_text(json.dumps(content))
    other = mlc(*taught)
    assert other.code == 2
    assert "classes are not those of the data" in other.err
    assert "only here: violet" in other.err
