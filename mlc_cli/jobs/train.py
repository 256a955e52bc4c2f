"""`mlc train`: one training from settings to an evaluated run."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

from mlc_cli.core.evaluation.results import Evaluation
from mlc_cli.core.models.complexity import Complexity, complexity
from mlc_cli.core.runs.checkpoint import read_card
from mlc_cli.core.runs.folder import RunFolder, create_run, launched_run, open_run
from mlc_cli.core.system.addresses import without_secrets
from mlc_cli.core.system.distributed import Group, current
from mlc_cli.core.system.files import write_text
from mlc_cli.core.system.interrupts import stop_requests
from mlc_cli.core.system.machine import machine_errors_named
from mlc_cli.core.training import loop, messages, pace
from mlc_cli.core.training.build import Training, prepare
from mlc_cli.core.training.checks import advice_on_absent, advice_on_schedule, advice_on_unknown
from mlc_cli.core.training.events import EpochReport, Event, Finished, Started, Tick
from mlc_cli.core.training.recorder import NullRecorder, Recorder, load_state
from mlc_cli.core.training.state import Best
from mlc_cli.errors import Interrupted, MlcError, ProcessError, RunError, SettingsError
from mlc_cli.jobs.cross_validate import cross_validate
from mlc_cli.jobs.evaluate import evaluate_checkpoint, evaluate_run
from mlc_cli.jobs.thresholds import estimate_thresholds
from mlc_cli.settings.evaluate import EvalSettings
from mlc_cli.settings.merge import merge
from mlc_cli.settings.resolve import as_yaml, validate
from mlc_cli.settings.thresholds import ThresholdSettings
from mlc_cli.settings.train import TrainSettings
from mlc_cli.settings.yaml_io import read_yaml


def train(
    settings: TrainSettings,
    *,
    resume: Path | None = None,
    accept_changed_data: bool = False,
    on_tick: Callable[[Tick], None] = lambda _: None,
) -> Iterator[Event]:
    """Train, yielding what happens; the run folder is complete after each event.

    To `resume` a run, settings are those of `run_settings`, and annotation files are as they were
    unless changed ones are accepted.

    In processes that have joined a group, all yield the same events, and one writes the folder.

    Raises:
        Interrupted: After SIGINT or SIGTERM, with the state saved.
        MlcError: The training cannot start or go on.
    """
    again = current().broadcast(lambda: launched_run(Path(settings.output)))
    if resume is None and again:  # a process was lost, and all were started anew
        resume, settings = again, run_settings(again)
    if settings.data.cross_validate:
        run = open_run(resume) if resume else current().broadcast(lambda: _create(settings))
        one = partial(_train, on_tick=on_tick, accept_changed_data=accept_changed_data)
        yield from cross_validate(settings, run, one, accept_changed_data=accept_changed_data)
        return
    if resume is None and (settings.minutes or settings.until):
        settings = _in_time(settings, on_tick)
    yield from _train(settings, resume, accept_changed_data=accept_changed_data, on_tick=on_tick)


def _train(
    settings: TrainSettings,
    resume: Path | None,
    best: Best | None = None,
    *,
    accept_changed_data: bool,
    on_tick: Callable[[Tick], None],
) -> Iterator[Event]:
    """Train once; in the last training of a cross-validation to what its folds say is `best`."""
    before = open_run(resume) if resume else None  # start weights decide until its warm start
    begun = bool(before and before.trainer.exists() and before.best.exists())
    training = prepare(settings, on_tick, resumed=begun)
    if best:
        plan = replace(training.plan, epochs=best.epoch, best=best)
        training = replace(training, plan=plan)
    with ExitStack() as stack:
        stack.callback(training.close)
        size = complexity(training.built.classifier, settings.data.input_size)  # or it is refused
        run, warning = _open(settings, training, resume, stack, accept=accept_changed_data)
        recorder = NullRecorder()
        if training.group.is_main:
            recorder = Recorder(run, training.state, settings, training.card)
        stack.callback(recorder.close)
        started = time.perf_counter()
        for event in _events(training, run, size, warning, recorder, on_tick):
            recorder.log(messages.describe(event))
            yield event
        device = training.plan.step.normalise.device
        if best:
            evaluation = _evaluate_out_of_fold(run, training.group, str(device))
        else:
            evaluation = evaluate_run(run, training.plan.val, device)
        finished = Finished(run, training.state.best, evaluation, time.perf_counter() - started)
        recorder.log(messages.describe(finished))
        yield finished


def _evaluate_out_of_fold(run: RunFolder, group: Group, device: str) -> Evaluation:
    """Choose thresholds on the scores out of fold, which are those of val, and evaluate them."""
    group.barrier()  # until the checkpoint is written
    model = {"checkpoint": str(run.best), "device": device}
    estimate_thresholds(ThresholdSettings.model_validate(model))
    group.barrier()
    return evaluate_checkpoint(EvalSettings.model_validate(model)).evaluation


def _in_time(settings: TrainSettings, on_tick: Callable[[Tick], None]) -> TrainSettings:
    """The settings with the epochs that fit their time; a resumed run keeps them."""
    end = time.monotonic() + _seconds(settings)
    trial = prepare(settings.model_copy(update={"epochs": max(1, settings.epochs)}), on_tick)
    with closing(trial):
        found, demand = pace.measure(trial), pace.demand_of(trial)
        most = pace.MOST * trial.settings.epochs

        def fit() -> tuple[int, float]:
            return pace.fit(demand, found, pace.RESERVE * (end - time.monotonic()), most)

        epochs, part = trial.group.broadcast(fit)
    data = settings.data.model_copy(update={"epoch_part": part})
    return settings.model_copy(update={"epochs": epochs, "data": data})


def _seconds(settings: TrainSettings) -> float:
    """From now to the end that was asked for."""
    left = [60 * settings.minutes] if settings.minutes else []
    if settings.until:
        now = datetime.now()
        day = "" if "T" in settings.until else f"{now.date()}T"
        try:
            end = datetime.fromisoformat(day + settings.until)
        except ValueError as error:
            raise SettingsError(f"until: {settings.until} is no time: {error}") from None
        if day and end <= now:
            end += timedelta(days=1)
        left.append((end - now).total_seconds())
    return min(left)


def _events(
    training: Training,
    run: RunFolder,
    size: Complexity,
    warning: str,
    recorder: NullRecorder,
    on_tick: Callable[[Tick], None],
) -> Iterator[Started | EpochReport]:
    epoch = training.state.position.epoch
    yield Started(run, training, size, _warnings(training, warning), epoch)
    repair = f"Continue with: mlc train --resume {quote(str(run.path))}"
    with stop_requests() as stop_requested:

        def tick(tick: Tick) -> None:
            on_tick(tick)
            recorder.save_if_due(tick)

        try:
            with machine_errors_named():
                for report in loop.train(training.plan, training.state, tick, stop_requested):
                    recorder.epoch(report)
                    yield report
        except Interrupted as error:
            error.hint = error.hint or repair
            recorder.save()
            recorder.log("interrupted")
            training.group.barrier()  # a launcher ends all processes once one has ended
            raise
        except ProcessError:
            recorder.log("stopped: another process has ended")
            raise
        except MlcError as error:
            if not stop_requested():
                raise
            # readers that got the signal too die inside a step: the state on disk is complete
            recorder.log("interrupted")
            raise Interrupted("interrupted", repair) from error


def _open(
    settings: TrainSettings,
    training: Training,
    resume: Path | None,
    locks: ExitStack,
    *,
    accept: bool,
) -> tuple[RunFolder, str]:
    """The folder, and what the user should know of a run that is continued."""
    if resume is None:
        run = training.group.broadcast(lambda: _create(settings))
        if training.group.is_main:
            locks.enter_context(run.lock())
        return run, ""
    run = open_run(resume)
    if training.group.is_main:
        locks.enter_context(run.lock())
    training.group.broadcast(run.remove_leftovers)
    if not run.trainer.exists():
        return run, ""
    norms = training.built.classifier.backbone.last_norms
    if norms and run.best.exists() and not read_card(run.best).last_norm:
        raise RunError(
            f"{run.path}: was started by a version that left out the last norm of this backbone",
            f"Train anew, or from its weights: mlc train --weights {run.best} ...",
        )
    warning = load_state(training.state, run.trainer, accept_changed_data=accept)
    if training.group.is_main and not settings.data.cross_validate:
        # the data or the device may be others now
        write_text(run.settings, without_secrets(as_yaml(settings.absolute())))
    return run, warning


def _create(settings: TrainSettings) -> RunFolder:
    run = create_run(Path(settings.output), settings.name)
    text = without_secrets(as_yaml(settings.absolute()))  # it is used from other folders, too
    write_text(run.settings, text)
    return run


RESUMABLE = ("data.root", "data.workers", "device")
"""What a run may change on its way."""


def run_settings(path: Path, changes: Mapping[str, Any] | None = None) -> TrainSettings:
    """Settings of an existing run, to continue it with other values for some of `RESUMABLE`.

    Raises:
        RunError: There is no such run, or it is finished.
        SettingsError: Its settings are not those of this version.
    """
    run = open_run(path)
    changes = changes or {}
    if "root" in changes.get("data", {}):
        changes = merge({"data": {"image_root": None}}, changes)
    settings = validate(TrainSettings, merge(read_yaml(run.settings), changes))
    data = settings.data.model_copy(update={"root": run.find(settings.data.root, settings.output)})
    settings = settings.model_copy(update={"data": data})
    if run.is_done(0 if settings.data.cross_validate else settings.epochs):
        last = run.read_metrics()[-1]
        how = "stopped early" if last.get("stopped") else "done"
        raise RunError(
            f"{run.path}: is {how} after {last['epoch']} of {settings.epochs} epochs",
            f"To go on from its weights: mlc train --weights {run.last}.",
        )
    return settings


def _warnings(training: Training, resumed: str) -> tuple[str, ...]:
    settings, splits = training.settings, training.splits
    advice = (
        advice_on_absent(splits.train),
        advice_on_unknown(splits.train, settings.loss.unknown),
        advice_on_schedule(
            training.state.schedule, settings.epochs * training.plan.steps_per_epoch
        ),
    )
    return (*splits.warnings, *filter(None, [resumed, *advice]))
