"""Writing a training down as it runs: checkpoints, metrics, events, log, state."""

import datetime as dt
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from mlc_cli import __version__
from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.loading.build import Splits, geometry_of
from mlc_cli.core.loading.fingerprint import fingerprint
from mlc_cli.core.models.build import BuiltModel
from mlc_cli.core.runs.card import Fingerprint, ModelCard
from mlc_cli.core.runs.checkpoint import save_checkpoint
from mlc_cli.core.runs.folder import RunFolder
from mlc_cli.core.runs.mirror import Mirror
from mlc_cli.core.system.addresses import without_secrets
from mlc_cli.core.system.extras import import_extra
from mlc_cli.core.training.events import EpochReport, Tick
from mlc_cli.core.training.state import TrainState
from mlc_cli.errors import MlcError, RunError
from mlc_cli.settings.train import TrainSettings

_LOG = logging.getLogger(__name__)


class NullRecorder:
    """Hears what a training tells and does nothing: one of several processes writes."""

    def log(self, text: str) -> None:
        """Something was said."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch is done."""

    def save_if_due(self, tick: Tick) -> None:
        """A batch is done."""

    def save(self) -> None:
        """The training stops here."""

    def close(self) -> None:
        """It is over."""


class Recorder(NullRecorder):
    """Keeps a run folder in step with a training.

    After each epoch the order is: best checkpoint, last checkpoint, state, metrics. The state is
    the word that counts; whatever was written before it is written again, the same, when the
    training is taken up from the state before.
    """

    def __init__(
        self, run: RunFolder, state: TrainState, settings: TrainSettings, card: ModelCard
    ) -> None:
        self._run = run
        self._state = state
        self._card = card
        self._interval = settings.save_minutes * 60
        self._every, self._steps = settings.save_steps, 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._writing: Future[None] | None = None
        self._saved = time.monotonic()
        self._events = self._event_writer()
        self._mirror = Mirror(run, settings.mirror) if settings.mirror else None
        run.write_metrics(state.metrics)

    def _event_writer(self) -> Any:
        """Writer of TensorBoard's event files; `None`, with a word in the log, without it."""
        try:
            summary = import_extra("tensorboard.summary", "tensorboard")
        except MlcError as error:
            self.log(f"no event files: {error.message}. {error.hint}")
            return None
        with self._warned():
            return summary.Writer(str(self._run.path))

    def log(self, text: str) -> None:
        """Add lines to the log, with the time."""
        now = dt.datetime.now().astimezone().isoformat(timespec="seconds")
        with self._run.log.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{now} {line}\n" for line in without_secrets(text).splitlines())

    def epoch(self, report: EpochReport) -> None:
        """Write down an epoch."""
        row = metrics_row(report)
        self._state.metrics.append(row)
        best = report.best
        if best.mean_ap >= 0 and best.epoch == report.epoch:  # found just now
            model = (
                self._state.ema.model if best.averaged and self._state.ema else self._state.model
            )
            self._checkpoint(self._run.best, model, best.mean_ap, averaged=best.averaged)
        map_raw = report.validation.map_raw if report.validation else None
        self._checkpoint(self._run.last, self._state.model, map_raw, averaged=False)
        self.save()
        self._run.write_metrics(self._state.metrics)
        with self._warned():
            if self._events:
                for name, value in row.items():
                    if isinstance(value, float):
                        self._events.add_scalar(name, value, report.epoch)
                self._events.flush()

    @contextmanager
    def _warned(self) -> Iterator[None]:
        """Inside, an event file that cannot be written is given up with a word."""
        try:
            yield
        except Exception as error:
            self._events = None
            text = f"warning: no more events are written to {self._run.path}: {error}"
            _LOG.warning(text)
            self.log(text)

    def _checkpoint(
        self, path: Any, model: nn.Module, value: float | None, *, averaged: bool
    ) -> None:
        epoch = self._state.position.epoch
        metrics: dict[str, float | None] = {} if value is None else {"val_mAP": value}
        card = replace(self._card, epoch=epoch, averaged=averaged, metrics=metrics)
        save_checkpoint(path, model.state_dict(), card)

    def save_if_due(self, tick: Tick) -> None:
        """Save the state inside an epoch, if the last time was long ago or many steps ago.

        After so many steps it is copied in memory, and written in a thread.
        """
        self._steps += tick.phase == "train"
        if self._every and self._steps >= self._every:
            self._wait()
            content = self._state.content()
            copied = tree_map_only(torch.Tensor, lambda t: t.detach().to("cpu", copy=True), content)
            self._writing = self._pool.submit(self._write, copied)
        elif time.monotonic() - self._saved > self._interval:
            self.save()

    def save(self) -> None:
        """Save the state."""
        self._wait()
        self._write(self._state.content())

    def _wait(self) -> None:
        if self._writing:
            self._writing.result()
        self._saved, self._steps, self._writing = time.monotonic(), 0, None

    def _write(self, content: dict[str, Any]) -> None:
        path = self._run.trainer
        if self._every and path.exists():
            before_last(path).unlink(missing_ok=True)
            os.link(path, before_last(path))
        self._state.save(path, content)
        if self._mirror:
            self._mirror.copy()

    def close(self) -> None:
        """Close the event file, and wait for the last state and the mirror."""
        self._pool.shutdown()
        if self._mirror:
            self._mirror.close()
        with self._warned():
            if self._events:
                self._events.close()


def before_last(path: Path) -> Path:
    """The state that is kept beside the last one."""
    return path.with_stem(f"{path.stem}-before")


def load_state(state: TrainState, path: Path, *, accept_changed_data: bool) -> str:
    """Continue from the last state, or, if that is damaged, from the one before it.

    Returns:
        What the user should know.

    Raises:
        RunError: As of `TrainState.load`.
    """
    try:
        return state.load(path, accept_changed_data=accept_changed_data)
    except RunError as error:
        if not before_last(path).exists():
            raise
        state.load(before_last(path), accept_changed_data=accept_changed_data)
        return f"{error.message}; continued from {before_last(path).name}"


def metrics_row(report: EpochReport) -> dict[str, Any]:
    """An epoch as a line of `metrics.jsonl`."""
    validation = report.validation
    return {
        "epoch": report.epoch,
        "train/loss": report.loss,
        "train/lr": report.lr,
        "train/images_per_second": round(report.images_per_second, 2),
        "val/mAP": validation.map_raw if validation else None,
        "val/mAP_ema": validation.map_ema if validation else None,
        "seconds": round(report.seconds, 2),
        "stopped": report.stopped,
    }


def card_of(
    settings: TrainSettings, splits: Splits, learnt: Annotation, built: BuiltModel
) -> ModelCard:
    """What every checkpoint of a training knows; `learnt` has images without labels."""
    geometry, unlabelled = geometry_of(settings.data), {}
    if settings.data.unlabelled:
        paths = [learnt.paths[n] for n in range(len(splits.train), len(learnt))]
        digest = hashlib.sha256("\n".join(paths).encode()).hexdigest()
        unlabelled[settings.data.unlabelled] = Fingerprint(digest, len(paths), 0)
    return ModelCard(
        classes=list(splits.train.classes),  # type: ignore[arg-type]
        model=settings.model.model_dump(mode="json"),
        input_size=geometry.size,
        **geometry.kept,
        mean=built.mean,
        std=built.std,
        scale=float(built.classifier.head.scale),
        data=settings.data.absolute().model_dump(mode="json"),
        versions={"mlc": __version__, "torch": str(torch.__version__), "timm": timm.__version__},
        annotations={
            settings.data.train: fingerprint(splits.train),
            settings.data.val: fingerprint(splits.val),
            **unlabelled,
        },
        rules=splits.train.rules,
    )
