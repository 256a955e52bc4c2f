"""`mlc tune`: a search for better settings, and the learning-rate range test."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from mlc_cli.core.runs.folder import RunFolder
from mlc_cli.core.system.extras import import_extra
from mlc_cli.core.system.files import named_faults, result_folder
from mlc_cli.core.system.machine import machine_errors_named
from mlc_cli.core.training.build import prepare
from mlc_cli.core.training.events import EpochReport, Event, OnTick, Started
from mlc_cli.core.training.range_test import range_test
from mlc_cli.core.training.tuning import trials_of, values_of, write_found, write_rates
from mlc_cli.errors import Interrupted, MlcError, SettingsError, TrainingError, UsageError
from mlc_cli.settings.merge import dotted
from mlc_cli.settings.ranges import Range
from mlc_cli.settings.resolve import as_yaml
from mlc_cli.settings.train import TrainSettings
from mlc_cli.text import some

HEARTBEAT, GRACE = 10, 60
"""Seconds between signs of life of a trial, and without one until it counts as lost."""
OWN = ("output", "device", "data.root", "data.image_root", "data.workers", "download.")
"""What each process of a study may have for itself."""
SEEDS = 2
"""Further seeds on which the best is compared with the starting point."""


@dataclass(frozen=True)
class Search:
    """What is searched, and for how long.

    Attributes:
        train: A training of settings (`jobs.train.train`).
        make: Settings with texts, by key, in place of the ranges; with none where it starts.
        trials: Trainings in all, by all processes; `None` if time alone counts.
        minutes: No trial begins that would leave no time to confirm; `None` without a limit.
        pruner: What stops hopeless trials: `median`, `hyperband` or `none`.
        storage: URL of a database that machines share; by default a file in the folder.
        note: Hears how each trial ended.
    """

    train: Callable[[TrainSettings], Iterator[Event]]
    make: Callable[[Mapping[str, str]], TrainSettings]
    ranges: list[Range]
    trials: int | None
    minutes: float | None
    pruner: str
    storage: str | None
    note: Callable[[str], None]


def folder_of(settings: TrainSettings) -> Path:
    """Where all of a search lies, made if need be."""
    return result_folder(None, Path(settings.output, f"tune-{settings.name}"))


def tune(search: Search) -> dict[str, Any]:
    """Search, or go on with a search; confirm what is found, and write it as preset and page.

    Returns:
        As plain values for JSON: `best` (number, mAP, seed and values of the best trial),
        `confirmed` (mAP on further seeds, empty where the best is the starting point), whether it
        is `better` on each of them, the `verdict` on that, `trials`, `preset` and `page`.

    Raises:
        Interrupted: After SIGINT or SIGTERM; the trial that ran is queued again.
        MlcError: The settings are wrong, or no trial came to an end.
    """
    base, started = search.make({}), time.monotonic()
    if base.data.cross_validate:
        raise SettingsError("data.cross_validate: a trial is one training; leave it out")
    for one in search.ranges:  # a fault of a range is told before anything is trained
        for text in one.values:
            search.make({one.key: text})
    folder = folder_of(base)
    with _storage(search.storage or f"sqlite:///{folder.absolute()}/study.db", folder) as storage:
        study = _study(search, base, storage)

        def enough_time() -> bool:
            lasted = [t.duration.total_seconds() for t in trials_of(study, "COMPLETE")]
            needed = max(lasted, default=0) * (1 + 2 * SEEDS)
            return needed < (search.minutes or 1e9) * 60 - (time.monotonic() - started)

        def objective(trial: Any) -> float:
            values = {one.key: one.suggest(trial) for one in search.ranges}
            trial.set_user_attr("values", values)
            return _train(search, trial, values)

        _run(study, objective, search.trials or 10**9, enough_time)
        if not trials_of(study, "COMPLETE"):
            raise MlcError("no trial came to its end", "What stopped each of them stands above.")
        confirmed = _confirm(search, base, study.best_trial, storage)
        start = (base.name, base.seed)
        return write_found(folder, start, lambda v: as_yaml(search.make(v)), study, confirmed)


@contextmanager
def _storage(url: str, folder: Path) -> Iterator[Any]:
    """The database, which queues trials without a sign of life again."""
    optuna = import_extra("optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        with named_faults(url, "cannot hold a study", MlcError), FileLock(folder / "study.lock"):
            storage = optuna.storages.RDBStorage(  # of several processes, one makes the tables
                url,
                engine_kwargs=options,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=lambda study, lost: study.enqueue_trial(lost.params),
            )
        try:
            yield storage
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _study(search: Search, base: TrainSettings, storage: Any) -> Any:
    """The study of these settings and ranges, which begins with the starting point."""
    optuna = import_extra("optuna", "tune")
    pruners = optuna.pruners
    study = optuna.create_study(
        storage=storage,
        study_name=base.name,
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(constant_liar=True),
        pruner={
            "median": pruners.MedianPruner(),
            "hyperband": pruners.HyperbandPruner(max_resource=max(2, base.epochs)),
            "none": pruners.NopPruner(),
        }[search.pruner],
    )
    own = dotted(base.model_dump(mode="json"))
    asked = {key: value for key, value in own.items() if not key.startswith(OWN)}
    asked |= {f"range of {one.key}": str(one) for one in search.ranges}
    before = study.user_attrs.get("asked", asked)
    if before != asked:
        keys = [key for key in {**before, **asked} if before.get(key) != asked.get(key)]
        raise UsageError(
            f"the study {base.name} was begun with other values of {some(keys)}",
            "Give the same to go on with it, or another --output or `--set name=NAME`.",
        )
    study.set_user_attr("asked", asked)
    start = {one.key: one.place(own.get(one.key)) for one in search.ranges}
    if None not in start.values():
        study.enqueue_trial(start, skip_if_exists=True)
    return study


def _run(
    study: Any,
    objective: Callable[[Any], float],
    number: int,
    enough_time: Callable[[], bool] = lambda: True,
    key: Callable[[Any], Any] = lambda trial: trial.number,
) -> None:
    """Train until so many trials with different keys have ended, those of other processes too."""
    fail_stale_trials = import_extra("optuna", "tune").storages.fail_stale_trials
    while (ended := len({key(t) for t in trials_of(study, "COMPLETE", "PRUNED")})) < number:
        if ended + len(trials_of(study, "RUNNING")) >= number:
            fail_stale_trials(study)
            time.sleep(1)
        elif enough_time() or not ended:
            study.optimize(objective, n_trials=1)
        else:
            return


def _train(search: Search, trial: Any, values: Mapping[str, str], seed: int | None = None) -> float:
    """A training in a run folder of its own; the best validation mAP."""
    pruned = import_extra("optuna", "tune").TrialPruned
    said = ", ".join(f"{key} {value}" for key, value in values.items()) or "starting point"
    said += "" if seed is None else f", seed {seed}"
    run: RunFolder | None = None
    reached = 0.0
    try:
        settings, output = search.make(values), str(folder_of(search.make({})))
        seed, prunes = (settings.seed, True) if seed is None else (seed, False)
        changes = {"name": "trial", "output": output, "seed": seed}
        for event in search.train(settings.model_copy(update=changes)):
            if isinstance(event, Started):
                run = event.run
                trial.set_user_attr("run", str(run.path))
            elif isinstance(event, EpochReport) and (found := event.validation):
                reached = event.best.mean_ap
                trial.report(found.reached, event.epoch)
                if prunes and event.epoch < event.epochs and trial.should_prune():
                    search.note(f"{said}: stopped after epoch {event.epoch}")
                    raise pruned
    except (Interrupted, KeyboardInterrupt) as error:
        trial.study.enqueue_trial(trial.params)
        raise Interrupted("interrupted", "Go on with the same command.") from error
    except MlcError as error:
        full = isinstance(error.__cause__, torch.OutOfMemoryError | MemoryError)
        if not (full or isinstance(error, TrainingError | SettingsError)):
            raise
        search.note(f"{said}: {error.message}")
        trial.set_user_attr("failed", error.message)
        raise pruned from error
    finally:
        if run:
            run.trainer.unlink(missing_ok=True)  # the largest file, of use to --resume alone
    search.note(f"{said}: mAP {reached:.4f}")
    return reached


def _confirm(
    search: Search, base: TrainSettings, best: Any, storage: Any
) -> dict[str, dict[str, float]]:
    """Validation mAP of the starting point and of the best on further seeds, by name and seed."""
    values = values_of(best)
    compared: dict[str, dict[str, str]] = {"starting point": {}, f"trial {best.number}": values}
    seeds = [base.seed + 1 + number for number in range(SEEDS)]
    confirmed = {}
    for name, texts in compared.items() if search.make(values) != base else ():
        study = import_extra("optuna", "tune").create_study(
            storage=storage,
            study_name=f"{base.name}: {name}",
            direction="maximize",
            load_if_exists=True,
        )
        for seed in seeds:
            study.enqueue_trial({"seed": seed}, skip_if_exists=True)

        def objective(trial: Any, texts: Mapping[str, str] = texts) -> float:
            return _train(search, trial, texts, trial.suggest_categorical("seed", seeds))

        # two processes may have queued the same seed twice
        _run(study, objective, SEEDS, key=lambda trial: trial.params["seed"])
        reached = {t.params["seed"]: t.value for t in trials_of(study, "COMPLETE")}
        confirmed[name] = {f"seed {seed}": reached.get(seed, 0.0) for seed in seeds}
    return confirmed


def test_rates(settings: TrainSettings, on_tick: OnTick) -> dict[str, Any]:
    """Let the learning rate grow, and draw the loss over it.

    Returns:
        As plain values for JSON: `points` of learning rate and loss, the `steepest` and the
        `lowest` of the rates, that of the `settings`, and the `page`.

    Raises:
        MlcError: The training cannot start, or its loss is not finite from the start.
    """
    with closing(prepare(settings, on_tick)) as training, machine_errors_named():
        points = range_test(training, on_tick)
    if len(points) < 2:
        raise TrainingError("the loss is not finite from the first steps on")
    about = f"{settings.name}, {settings.model.backbone}, {settings.data.root}"
    return write_rates(folder_of(settings) / "lr.html", about, settings.optim.lr, points)
