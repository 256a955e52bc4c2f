"""Searches: what is found, shared, killed, resumed and confirmed. Most trainings are pretended."""

import contextlib
import itertools
import json
import math
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import optuna
import pytest

from mlc_cli.core.training.events import EpochReport, Validation
from mlc_cli.core.training.state import Best
from mlc_cli.errors import Interrupted, MlcError, TrainingError, UsageError
from mlc_cli.jobs import tune as job
from mlc_cli.settings.ranges import split_ranges
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings
from tests import launch
from tests.core.pages import Page

RATE = "optim.lr=log:1e-5..1e-1"
Value = Callable[[TrainSettings], float]
HOW: dict[str, Any] = {}
"""How a training is pretended."""


@pytest.fixture(autouse=True)
def _same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test finds must not hang on what is drawn."""
    seeded = partial(optuna.samplers.TPESampler, seed=0)
    monkeypatch.setattr(optuna.samplers, "TPESampler", seeded)


def peak(settings: TrainSettings) -> float:
    """Best at a rate of 1e-3, whatever the seed."""
    return 0.9 - abs(math.log10(settings.optim.lr) + 3) / 10


def pretended(value: Value, pause: float = 0.0) -> Callable[..., Iterator[EpochReport]]:
    """A training that says what `value` does, a third of it after each of three epochs."""

    def train(settings: TrainSettings, **_: Any) -> Iterator[EpochReport]:
        for epoch in (1, 2, 3):
            time.sleep(pause)
            reached = value(settings) * epoch / 3
            yield EpochReport(epoch, 3, 0.1, Validation(reached, None, improved=True),
                              Best(reached, epoch, False), 1.0, 0)  # fmt: skip

    return train


def search(folder: Path, *given: str, **limits: Any) -> job.Search:
    ranges, fixed = split_ranges(TrainSettings, [RATE, *given])

    def make(values: Mapping[str, str]) -> TrainSettings:
        texts = [*fixed, *(f"{key}={text}" for key, text in values.items())]
        flags = {"data.root": "data", "output": str(folder), "optim.lr": 0.01}
        return validate(
            TrainSettings, gather(TrainSettings, "train", flags=flags, assignments=texts)
        )

    notes: list[str] = []
    return job.Search(
        train=HOW.get("train", print),
        make=make,
        ranges=ranges,
        trials=limits.get("trials", 6),
        minutes=limits.get("minutes"),
        pruner=limits.get("pruner", "none"),
        storage=limits.get("storage"),
        note=notes.append,
    )


def work(folder: Path, trials: int, pause: float, processes: int) -> dict[str, Any]:
    """What another process does, once all are up: search with pretended trainings."""
    HOW["train"] = pretended(peak, pause)
    (folder / f"up-{os.getpid()}").touch()
    while len([*folder.glob("up-*")]) < processes:
        time.sleep(0.01)
    return job.tune(search(folder, trials=trials))


def start(
    folder: Path, trials: int, pause: float, processes: int = 1
) -> tuple[BaseProcess, Connection]:
    return launch.start(lambda: work(folder, trials, pause, processes))


def trials_in(folder: Path, name: str = "train") -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder}/tune-train/study.db")
    found = optuna.load_study(study_name=name, storage=storage).trials
    storage.remove_session()
    storage.engine.dispose()
    return found


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Value], None]:
    return lambda value: monkeypatch.setitem(HOW, "train", pretended(value))


def test_the_best_is_found_confirmed_and_written(tmp_path: Path, pretend) -> None:
    pretend(peak)
    asked = search(tmp_path, "epochs=3..7", trials=8)
    found = job.tune(asked)
    values = {t.number: t.value for t in trials_in(tmp_path)}
    assert len(values) == len(found["trials"]) == 8
    assert found["best"]["mAP"] == max(values.values())
    assert values[found["best"]["trial"]] == found["best"]["mAP"]
    content = gather(TrainSettings, "train", config=Path(found["preset"]))
    best = validate(TrainSettings, content)
    assert best == asked.make({key: found["best"][key] for key in ("optim.lr", "epochs")})
    assert peak(best) == pytest.approx(found["best"]["mAP"], abs=1e-12)
    assert (best.name, best.output, best.seed) == ("train", str(tmp_path), 0)
    page = Page(Path(found["page"]).read_text())
    assert found["verdict"] in page.text
    assert len(page.all("svg")) == 3
    assert len(page.all("circle")) == 3 * 8


def test_the_starting_point_is_the_first_trial_and_may_stay_the_best(tmp_path, pretend) -> None:
    pretend(lambda settings: 0.9 if settings.optim.lr == 0.01 else 0.5)
    found = job.tune(search(tmp_path, trials=3))
    assert found["best"] == {"trial": 0, "mAP": pytest.approx(0.9), "seed": 0, "optim.lr": "0.01"}
    assert (found["confirmed"], found["better"]) == ({}, False)
    assert "Nothing that was tried is better" in found["verdict"]


@pytest.mark.parametrize("lucky", [True, False])
def test_better_is_what_is_better_on_further_seeds(tmp_path: Path, pretend, lucky: bool) -> None:
    def value(settings: TrainSettings) -> float:
        if lucky and settings.seed:
            return 0.5 if settings.optim.lr == 0.01 else 0.4
        return peak(settings) - settings.seed / 100

    pretend(value)
    asked = search(tmp_path, trials=16)  # half of all draws are better than the start
    found = job.tune(asked)
    best = asked.make({"optim.lr": found["best"]["optim.lr"]})
    old, new = found["confirmed"].values()
    for number, seed in enumerate(("seed 1", "seed 2"), 1):
        at = {"seed": number}
        assert old[seed] == pytest.approx(value(asked.make({}).model_copy(update=at)))
        assert new[seed] == pytest.approx(value(best.model_copy(update=at)))
    assert found["better"] is not lucky
    assert found["verdict"].startswith("Not better" if lucky else "Better")
    again = job.tune(asked)  # all is there already
    assert again == found


def kill_when(process: BaseProcess, folder: Path, done: int) -> None:
    """Kill a search that has done so many trials in the middle of the next."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception):  # nothing is there yet
            trials = trials_in(folder)
            if len(trials) > done and trials[done].params and trials[done].state.name == "RUNNING":
                break
        time.sleep(0.1)
    process.kill()
    process.join()


def test_a_killed_search_loses_no_finished_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretend
) -> None:
    kill_when(start(tmp_path, 5, 0.4)[0], tmp_path, done=2)
    *done, lost = trials_in(tmp_path)
    assert [t.state.name for t in (*done, lost)] == ["COMPLETE", "COMPLETE", "RUNNING"]
    monkeypatch.setattr(job, "GRACE", 1)
    time.sleep(1.5)
    pretend(peak)
    job.tune(search(tmp_path, trials=5))
    after = trials_in(tmp_path)
    for trial in done:
        assert (after[trial.number].value, after[trial.number].params) == (
            trial.value,
            trial.params,
        )
    assert after[lost.number].state.name == "FAIL"
    whole = [t for t in after if t.state.name == "COMPLETE"]
    assert len(whole) == 5
    assert [t.params for t in whole].count(lost.params) == 1


def test_the_last_trial_of_a_killed_process_is_waited_for_and_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretend
) -> None:
    kill_when(start(tmp_path, 1, 30)[0], tmp_path, done=0)
    monkeypatch.setattr(job, "GRACE", 2)
    pretend(peak)
    found = job.tune(search(tmp_path, trials=1))
    assert [row["state"] for row in found["trials"]] == ["done", "lost, queued again"]


def test_two_processes_share_a_study(tmp_path: Path) -> None:
    both = [start(tmp_path, 6, 0.5, 2) for _ in range(2)]
    assert all(result.poll(120) for _, result in both), "a process hangs"
    found = [pickle.loads(result.recv_bytes()) for _, result in both]
    trials = trials_in(tmp_path)
    assert len(trials) in (6, 7)  # both may begin a last one at once
    assert len({t.params["optim.lr"] for t in trials}) == len(trials)
    pairs = itertools.pairwise(trials)
    assert any(b.datetime_start < a.datetime_complete for a, b in pairs), "one after the other"
    assert found[0]["best"] == found[1]["best"]
    assert found[0]["best"]["mAP"] >= 0.8, "that of the starting point"
    for name in ("starting point", f"trial {found[0]['best']['trial']}"):
        assert len(trials_in(tmp_path, f"train: {name}")) in (2, 3, 4)


def test_a_seed_that_was_queued_twice_does_not_stand_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretend
) -> None:
    pretend(lambda settings: 0.4 if settings.optim.lr == 0.01 else 0.5)
    enqueue = optuna.Study.enqueue_trial

    def twice(study: optuna.Study, params: dict[str, Any], **_: Any) -> None:
        enqueue(study, params)
        enqueue(study, params)

    monkeypatch.setattr(optuna.Study, "enqueue_trial", twice)
    found = job.tune(search(tmp_path, trials=3))
    old, new = ([*one.values()] for one in found["confirmed"].values())
    assert (old, new) == (pytest.approx([0.4, 0.4]), pytest.approx([0.5, 0.5]))


def test_an_interrupted_trial_is_queued_again(tmp_path: Path, monkeypatch) -> None:
    whole = pretended(peak)
    seen: list[float] = []

    def interrupted(settings: TrainSettings, **_: Any) -> Iterator[EpochReport]:
        seen.append(settings.optim.lr)
        if len(seen) == 3:
            raise Interrupted("interrupted", "Continue with: mlc train --resume x")
        yield from whole(settings)

    monkeypatch.setitem(HOW, "train", interrupted)
    with pytest.raises(Interrupted) as caught:
        job.tune(search(tmp_path, trials=4))
    assert caught.value.hint == "Go on with the same command."
    assert [t.state.name for t in trials_in(tmp_path)] == [
        "COMPLETE",
        "COMPLETE",
        "FAIL",
        "WAITING",
    ]
    job.tune(search(tmp_path, trials=4))
    assert seen[3] == seen[2]
    assert [t.state.name for t in trials_in(tmp_path)].count("COMPLETE") == 4


def test_a_trial_that_cannot_be_trained_ends_no_search(tmp_path: Path, pretend) -> None:
    def value(settings: TrainSettings) -> float:
        if settings.optim.lr < 1e-3:
            raise TrainingError("the loss is nan in epoch 1")
        return peak(settings)

    pretend(value)
    asked = search(tmp_path, trials=8)
    found = job.tune(asked)
    states = [row["state"] for row in found["trials"]]
    assert states.count("the loss is nan in epoch 1") > 0
    assert states.count("done") + states.count("the loss is nan in epoch 1") == 8
    assert any("nan" in said for said in asked.note.__self__)  # type: ignore[attr-defined]


def test_other_errors_end_it_and_a_search_without_any_result_says_so(tmp_path, pretend) -> None:
    def broken(_: TrainSettings) -> float:
        raise MlcError("the data are gone")

    def nan(_: TrainSettings) -> float:
        raise TrainingError("the loss is nan")

    pretend(broken)
    with pytest.raises(MlcError, match="the data are gone"):
        job.tune(search(tmp_path / "a", trials=3))
    pretend(nan)
    with pytest.raises(MlcError, match="no trial came to its end"):
        job.tune(search(tmp_path / "b", trials=3))


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_hopeless_trials_are_stopped(tmp_path: Path, pretend, pruner: str) -> None:
    pretend(peak)
    job.tune(search(tmp_path, trials=16, pruner=pruner))
    trials = trials_in(tmp_path)
    stopped = [t for t in trials if t.state.name == "PRUNED"]
    assert stopped
    assert all(max(t.intermediate_values) < 3 for t in stopped)
    best = max(t.value for t in trials if t.state.name == "COMPLETE")
    assert best > max(t.value for t in stopped)


def test_no_trial_begins_that_leaves_no_time_to_confirm(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(HOW, "train", pretended(peak, 0.1))
    job.tune(search(tmp_path, trials=2))
    longest = max(t.duration.total_seconds() for t in trials_in(tmp_path))
    job.tune(search(tmp_path, trials=None, minutes=4.9 * longest / 60))
    assert len(trials_in(tmp_path)) == 2
    job.tune(search(tmp_path, trials=None, minutes=(5 * longest + 0.5) / 60))
    assert len(trials_in(tmp_path)) > 2
    job.tune(search(tmp_path / "new", trials=None, minutes=1e-9))
    assert len(trials_in(tmp_path / "new")) == 1, "the first may take what it takes"


@pytest.mark.parametrize(
    ("given", "words"),
    [(["epochs=9"], "epochs"), (["batch_size=8|16"], "range of batch_size"),
     (["optim.lr=log:1e-6..1e-1"], "range of optim.lr")],
)  # fmt: skip
def test_a_study_of_other_settings_is_not_mixed_up(tmp_path, pretend, given, words) -> None:
    pretend(peak)
    job.tune(search(tmp_path, trials=1))
    with pytest.raises(UsageError, match=words) as caught:
        job.tune(search(tmp_path, *given, trials=2))
    assert "--set name=" in caught.value.hint
    moved = search(tmp_path, "device=cpu", "data.root=elsewhere", "data.workers=0", trials=2)
    assert len(job.tune(moved)["trials"]) == 2


@pytest.mark.parametrize("given", ["epochs=-1..3", "optim.nothing=1..2", "loss.name=bce|none"])
def test_faults_of_a_range_are_told_before_anything_is_trained(tmp_path, given: str) -> None:
    with pytest.raises(MlcError, match=given.partition("=")[0]):
        job.tune(search(tmp_path, given))
    assert not (tmp_path / "tune-train").exists()


def test_a_shared_database_is_named_by_its_url(tmp_path: Path, pretend) -> None:
    pretend(peak)
    url = f"sqlite:///{tmp_path}/shared.db"
    for folder in ("here", "there"):
        found = job.tune(search(tmp_path / folder, trials=2, storage=url))
    assert len(found["trials"]) == 2
    assert not (tmp_path / "here" / "tune-train" / "study.db").exists()
    with pytest.raises(MlcError, match="nosuch://x: cannot hold a study"):
        job.tune(search(tmp_path, storage="nosuch://x"))


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MlcError) as caught:
        job.tune(search(tmp_path))
    assert caught.value.hint == "Install it with: pip install 'mlc-cli[tune]'"


def test_typed(mlc, make_dataset, tiny: list[str], tmp_path: Path, monkeypatch) -> None:
    make_dataset(16, 12)
    monkeypatch.chdir(tmp_path)
    given = ("tune", "--data", "data", "--epochs", "1", *tiny)
    outcome = mlc(*given, "--set", RATE, "--trials", "2", "--set", "name=mine", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    folder = Path("runs/tune-mine")
    for row in found["trials"]:
        evaluation = json.loads((folder / row["run"] / "eval.json").read_text())
        assert float(row["mAP"]) == pytest.approx(evaluation["mAP"], abs=5e-5)
        assert not (folder / row["run"] / "trainer.pt").exists()
    shown = mlc("train", "--config", found["preset"], "--show-settings")
    assert f"lr: {float(found['best']['optim.lr'])}" in shown.out
    outcome = mlc(*given, "--set", RATE, "--trials", "2", "--set", "name=mine")
    assert "Trials" in outcome.out
    assert "next: mlc train --config runs/tune-mine/best.yaml" in outcome.err
    for arguments, words in (
        ((), "nothing to search for"),
        (("--lr", "--trials", "3"), "--lr goes"),
    ):
        outcome = mlc(*given, *arguments)
        assert outcome.code == 2
        assert words in outcome.err


def test_the_range_test_typed(mlc, make_dataset, tiny: list[str], tmp_path, monkeypatch) -> None:
    make_dataset(16, 12)
    monkeypatch.chdir(tmp_path)
    outcome = mlc("tune", "--lr", "--data", "data", *tiny, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    rates, losses = zip(*found["points"], strict=True)
    assert found["lowest"] == rates[losses.index(min(losses))]
    assert found["steepest"] <= found["lowest"]
    page = Page(Path(found["page"]).read_text())
    assert len(page.all("svg")) == 1
    assert "learning rate, steepest" in mlc("tune", "--lr", "--data", "data", *tiny).out
