"""The state of a training: everything that changes while it runs, and nothing else."""

import math
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter
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
        warm: Whether the warm start is done.
        stopped: Whether the training was stopped early.
    """

    epoch: int = 0
    batch: int = 0
    warm: bool = False
    stopped: bool = False


class LossMeter:
    """Sums the losses of an epoch and looks for one that is not finite.

    To look at a loss on a GPU is to wait for it, so that there it is done every `interval` steps.

    Args:
        interval: Steps between two looks.
    """

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._pending: list[tuple[str, Tensor]] = []
        self._sum = 0.0
        self._steps = 0

    def add(self, loss: Tensor, where: str) -> None:
        """Add the loss of a step; `where` names the step in a message.

        Raises:
            TrainingError: A loss is not finite.
        """
        self._pending.append((where, loss.detach()))
        if len(self._pending) >= self._interval:
            self._look()

    def _look(self) -> None:
        if not self._pending:
            return
        values = torch.stack([loss for _, loss in self._pending]).tolist()
        for (where, _), value in zip(self._pending, values, strict=True):
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss is {value} in {where}",
                    "Take a smaller --lr, clip gradients (`--set optim.clip_norm=1`), or use"
                    " `--set precision=fp32`. The last complete state is on disk.",
                )
        self._sum += math.fsum(values)
        self._steps += len(values)
        self._pending.clear()

    def mean(self) -> float | None:
        """Mean loss of the steps so far; `None` before the first."""
        self._look()
        return self.mean_so_far()

    def mean_so_far(self) -> float | None:
        """Mean loss of the steps looked at so far, without waiting for others."""
        return self._sum / self._steps if self._steps else None

    def state(self) -> tuple[float, int]:
        """Sum and number of the losses so far."""
        self._look()
        return self._sum, self._steps

    def load(self, state: tuple[float, int]) -> None:
        """Continue from a saved state; nothing is pending."""
        self._pending.clear()
        self._sum, self._steps = state


@dataclass
class TrainState:
    """Model, optimiser and everything else that a step may change.

    Attributes:
        model: Raw weights.
        optimizer: Of the model.
        schedule: Of the learning rate.
        ema: Moving average, if there is one.
        scaler: Gradient scaler of fp16; does nothing in other precisions.
        early_stop: Rule for stopping early, if there is one.
        best: The best evaluation so far.
        losses: Losses of the epoch so far.
        position: Where in the training we are.
        metrics: Rows of the metrics file so far.
        processes: That train together.
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
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state(),
            "ema": (self.ema.model.state_dict(), self.ema.steps) if self.ema else None,
            "scaler": self.scaler.state_dict(),
            "early_stop": vars(self.early_stop) if self.early_stop else None,
            "losses": self.losses.state(),
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
            self.schedule.load(_like(self.schedule.state(), content["schedule"], "schedule"))
            self.scaler.load_state_dict(content["scaler"])
            if self.ema:
                weights, steps = content["ema"]
                self.ema.steps = _like({"steps": 0}, {"steps": steps}, "ema")["steps"]
                self.ema.model.load_state_dict(weights)
            if self.early_stop:
                kept = _like(vars(self.early_stop), content["early_stop"], "early_stop")
                self.early_stop = EarlyStop(**kept)
            self.losses.load(_LOSSES.validate_python(content["losses"], strict=True))
            self.best = Best(**_like(vars(self.best), content["best"], "best"))
            self.position = Position(**_like(vars(self.position), content["position"], "position"))
            self.metrics = _METRICS.validate_python(content["metrics"], strict=True)
            _check_history(self.metrics, self.best, self.position)
            before = content.get("processes", 1)
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


_LOSSES = TypeAdapter(
    tuple[Annotated[float, Field(allow_inf_nan=False)], Annotated[int, Field(ge=0)]]
)
_METRICS = TypeAdapter(list[dict[str, float | int | bool | None]])


def _like(own: Mapping[str, Any], found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Values of the same names and types as ours, whole numbers from 0 on, or ValueError."""
    if found.keys() != own.keys():
        raise ValueError(f"{name} has other parts")
    for key, value in found.items():
        whole = type(value) is int and 0 <= value < 2**31
        number = whole or (isinstance(value, float) and value < 2**31)
        if not (number if isinstance(own[key], float) else whole or type(value) is not int):
            raise ValueError(f"{name}: {key} cannot be {value}")
        if not isinstance(own[key], float) and type(value) is not type(own[key]):
            raise ValueError(f"{name}: {key} is of another kind")
    return dict(found)


def _check_history(metrics: list[dict[str, Any]], best: Best, position: Position) -> None:
    """Raise ValueError where the parts of a state tell of different trainings."""
    epochs = [row["epoch"] for row in metrics]
    if epochs != sorted({int(epoch) for epoch in epochs}) or best.mean_ap > 1:
        raise ValueError("its metrics are damaged")
    if max(best.epoch, *epochs, 0) > position.epoch + 1:
        raise ValueError("its metrics are of another time")


_OF_THE_RUN = {"params", "lr", "foreach", "fused", "capturable"}
"""What of a group of an optimiser is not said by the settings."""


def _check_optimizer(optimizer: torch.optim.Optimizer, found: Mapping[str, Any]) -> None:
    """Raise ValueError where the state of an optimiser is of another one, or would break a step."""
    parameters: list[Tensor] = []
    for own, group in zip(optimizer.param_groups, found["param_groups"], strict=True):
        parameters += own["params"]
        _like({"lr": float(own["lr"])}, {"lr": group["lr"]}, "a learning rate")
        fixed = own.keys() - _OF_THE_RUN
        if any(group.get(key, own[key]) != own[key] for key in fixed):
            raise ValueError("the optimiser is another")
    for number, kept in found["state"].items():
        tensors = [value for value in kept.values() if value is not None]
        shapes = {value.shape for value in tensors}
        finite = all(bool(value.isfinite().all()) for value in tensors)
        if not finite or not shapes <= {parameters[number].shape, torch.Size()}:
            raise ValueError("the optimiser keeps what does not fit its parameters")
