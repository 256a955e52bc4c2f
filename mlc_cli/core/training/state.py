"""The state of a training: everything that changes while it runs, and nothing else."""

import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from mlc_cli.core.runs.card import Fingerprint, say_unsealed
from mlc_cli.core.system.checksum import digest_of, is_intact, seal_zip
from mlc_cli.core.system.files import named_faults, write_atomic
from mlc_cli.core.training.optim.early_stop import EarlyStop
from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.optim.schedules import Schedule
from mlc_cli.errors import RunError, TrainingError


@dataclass
class Best:
    """The best evaluation so far.

    Attributes:
        mean_ap: Its validation mAP.
        epoch: After how many epochs.
        averaged: Whether the moving average gave it, rather than the raw weights.
    """

    mean_ap: float = -math.inf
    epoch: int = 0
    averaged: bool = False


@dataclass
class Position:
    """Where in the training we are: before this batch of this epoch.

    Attributes:
        epoch: Counted from 0.
        batch: Counted from 0; all batches done means that the evaluation is next.
    """

    epoch: int = 0
    batch: int = 0
    warm: bool = False
    stopped: bool = False


@dataclass
class LossMeter:
    """Sums the losses of an epoch and looks for one that is not finite.

    To look at a loss on a GPU is to wait for it, so that there it is done every `interval` steps.

    Attributes:
        interval: Steps between two looks.
        sum: Of the losses looked at.
        steps: How many these are.
        pending: The others, each with its step in words.
    """

    interval: int
    sum: float = 0.0
    steps: int = 0
    pending: list[tuple[Callable[[], str], Tensor]] = field(default_factory=list)

    def add(self, loss: Tensor, where: Callable[[], str]) -> None:
        """Add the loss of a step; `where` names the step in a message.

        Raises:
            TrainingError: A loss is not finite.
        """
        self.pending.append((where, loss.detach()))
        if len(self.pending) >= self.interval:
            self.look()

    def look(self) -> None:
        """Wait for all losses so far, and look at them."""
        if not self.pending:
            return
        values = torch.stack([loss for _, loss in self.pending]).tolist()
        for (where, _), value in zip(self.pending, values, strict=True):
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss is {value} in {where()}",
                    "Take a smaller --lr, clip gradients (`--set optim.clip_norm=1`), or use"
                    " `--set precision=fp32`. The last complete state is on disk.",
                )
        self.sum += math.fsum(values)
        self.steps += len(values)
        self.pending.clear()

    @property
    def mean(self) -> float | None:
        """Of the losses looked at; `None` before the first."""
        return self.sum / self.steps if self.steps else None


@dataclass
class TrainState:
    """Model, optimiser and everything else that a step may change.

    Attributes:
        model: Raw weights.
        scaler: Gradient scaler of fp16; does nothing in other precisions.
        data: What the annotation files were, by name.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    ema: Ema | None
    scaler: torch.amp.GradScaler
    early_stop: EarlyStop | None
    losses: LossMeter
    best: Best = field(default_factory=Best)
    position: Position = field(default_factory=Position)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    processes: int = 1
    data: Mapping[str, Fingerprint] = field(default_factory=dict)

    @cached_property
    def learning(self) -> list[nn.Parameter]:
        """Parameters that a step changes: others may hold gradients that nobody clears."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    @cached_property
    def batch_norms(self) -> list[BatchNorm]:
        """Layers with running statistics."""
        modules = self.model.modules()
        return [m for m in modules if isinstance(m, BatchNorm) and m.track_running_stats]

    def content(self) -> dict[str, Any]:
        """Everything, with tensors that the next step changes."""
        self.losses.look()
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state(),
            "ema": (self.ema.model.state_dict(), self.ema.steps) if self.ema else None,
            "scaler": self.scaler.state_dict(),
            "early_stop": vars(self.early_stop) if self.early_stop else None,
            "losses": (self.losses.sum, self.losses.steps),
            "best": vars(self.best),
            "position": vars(self.position),
            "metrics": self.metrics,
            "processes": self.processes,
            "data": {name: asdict(kept) for name, kept in self.data.items()},
        }

    def save(self, path: Path, content: dict[str, Any] | None = None) -> None:
        """Write everything, or a copy of `content`, to one file, atomically."""
        whole = {**(content or self.content()), "sealed": True}
        whole["digest"] = digest_of(whole)

        def write(temporary: Path) -> None:
            torch.save(whole, temporary)
            seal_zip(temporary)

        write_atomic(path, write)

    def load(self, path: Path, *, accept_changed_data: bool = False) -> str:
        """Continue from a saved state, be it of another number of processes.

        With `accept_changed_data` also where an annotation file is not what it was.

        Returns:
            A warning where one of both is.

        Raises:
            RunError: The file is damaged or belongs to another training, or the data have changed.
        """
        hint = "Start a new training from its weights: mlc train --weights last.safetensors."
        with named_faults(path, "cannot be continued", RunError, hint):
            content = _read(path)
            self.model.load_state_dict(content["model"])
            _check_optimizer(self.optimizer, content["optimizer"])
            self.optimizer.load_state_dict(content["optimizer"])
            if content["schedule"].keys() != self.schedule.state().keys():
                raise ValueError("the schedule is another")
            self.schedule.load(content["schedule"])
            self.scaler.load_state_dict(content["scaler"])
            if self.ema:
                weights, self.ema.steps = content["ema"]
                self.ema.model.load_state_dict(weights)
            if self.early_stop:
                self.early_stop = EarlyStop(**content["early_stop"])
            self.losses = LossMeter(self.losses.interval, *content["losses"])
            self.best, self.position = Best(**content["best"]), Position(**content["position"])
            self.metrics, before = list(content["metrics"]), content.get("processes", 1)
            data = {name: Fingerprint(**kept) for name, kept in content.get("data", {}).items()}
        warnings = [
            f"{name} has changed since the training began: {then} then, {self.data[name]} now"
            for name, then in data.items()
            if name in self.data and self.data[name].sha256 != then.sha256
        ]
        if warnings and not accept_changed_data:
            raise RunError(
                f"{path.parent}: {'; '.join(warnings)}",
                "Put the file back, or go on with what is there now: --accept-changed-data.",
            )
        if before != self.processes:
            warnings.append(
                f"continued by {self.processes} in place of {before} processes: it is the same"
                " training but for rounding, and for what is drawn at random in dropout and mixing"
            )
        return "; ".join(warnings)


def _read(path: Path) -> dict[str, Any]:
    """Read a state, and hold it against its checksums: once those of zip, which torch ignores."""
    sealed = is_intact(path)
    if sealed is None:
        say_unsealed(path)
        with zipfile.ZipFile(path) as archive:
            sealed = False if archive.testzip() else None
    content: dict[str, Any] = {} if sealed is False else torch.load(path, "cpu", weights_only=True)
    unchanged = content.pop("digest", None) in (None, digest_of(content))
    if sealed is False or not unchanged or content.pop("sealed", sealed) != sealed:
        raise ValueError("its checksum is another")
    return content


_OF_THE_RUN = {"params", "lr", "foreach", "fused", "capturable"}
"""What of a group of an optimiser is not said by the settings."""


def _check_optimizer(optimizer: torch.optim.Optimizer, found: Mapping[str, Any]) -> None:
    """Raise ValueError where the state of an optimiser is of another one."""
    for own, group in zip(optimizer.param_groups, found["param_groups"], strict=True):
        if any(group.get(key, own[key]) != own[key] for key in own.keys() - _OF_THE_RUN):
            raise ValueError("the optimiser is another")
