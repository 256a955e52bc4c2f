"""Settings of `mlc train`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mlc_cli.settings.augment import AugmentSettings
from mlc_cli.settings.base import Count, Positive, Settings
from mlc_cli.settings.data import DataSettings
from mlc_cli.settings.download import DownloadSettings
from mlc_cli.settings.loss import BceSettings, DistillSettings, LossSettings
from mlc_cli.settings.model import ModelSettings
from mlc_cli.settings.optim import (
    AdamWSettings,
    EarlyStopSettings,
    EmaSettings,
    OneCycleSettings,
    OptimSettings,
    ScheduleSettings,
    WarmStartSettings,
)

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class TrainSettings(Settings):
    """One training, whole."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "train"
    """Name of the run; its folder is NAME-1, NAME-2 and so on."""
    output: str = "runs"
    """Folder of the run folders."""
    mirror: str | None = None
    """Address (`s3://bucket/runs`) below which each saved state is copied to a folder of the run's
    name, in the background; `--resume` can start from there."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Same seed, same machine, same result; on a GPU with `deterministic` alone."""
    epochs: Annotated[int, Field(ge=0)] = 20
    """Passes over the training split; 0 trains nothing after the warm start, if there is one."""
    minutes: Positive | None = None
    """Time for the training, in place of `epochs`: as many epochs as fit, at most five times
    `epochs`, measured on the first steps and fixed before the run begins."""
    until: Annotated[str, Field(pattern=r"^(\d{4}-\d\d-\d\dT)?\d\d:\d\d$")] | None = None
    """The same as the time of this machine when it is to end: `18:30`, `2030-01-31T18:30`."""
    batch_size: Count = 32
    """Images a batch, all processes together."""
    eval_batch_size: Count = 64
    """Images a batch in evaluation."""
    eval_every: Count = 1
    """Epochs between evaluations; the last epoch is always evaluated."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass; `auto` is bf16 on a GPU that has it itself, fp16 on
    others, and fp32 on the CPU."""
    matmul: Literal["highest", "high"] = "high"
    """Convolutions and products in fp32 on a GPU: `high` allows TF32, `highest` does not."""
    channels_last: bool = True
    """Memory layout of convolutions; channels-last is the faster one on most machines."""
    compile: bool = False
    """Compile the model with torch.compile."""
    sync_bn: bool = False
    """Of several processes, on GPUs: batch normalisation by the images of all (SyncBatchNorm); by
    default by each process's own."""
    deterministic: bool = False
    """Only deterministic algorithms on the GPU; the CPU always is."""
    save_minutes: Positive = 10.0
    """Minutes between saves of the state inside an epoch."""
    save_steps: Count | None = None
    """Save the state every so many steps, too; it is written while the training goes on, and the
    last two are kept."""

    data: DataSettings
    augment: AugmentSettings = AugmentSettings()
    model: ModelSettings = ModelSettings()
    warm_start: WarmStartSettings | None = None
    loss: LossSettings = BceSettings()
    distill: DistillSettings | None = None
    optim: OptimSettings = AdamWSettings()
    schedule: ScheduleSettings = OneCycleSettings()
    ema: EmaSettings | None = None
    early_stop: EarlyStopSettings | None = None
    download: DownloadSettings = DownloadSettings()

    @model_validator(mode="after")
    def _the_last_training_of_a_cross_validation_is_not_evaluated(self) -> "TrainSettings":
        if self.data.cross_validate and (self.minutes or self.until):
            raise ValueError("data.cross_validate goes with epochs, not with minutes or until")
        if self.data.cross_validate and self.schedule.name == "plateau":
            raise ValueError("data.cross_validate: the schedule plateau needs a split to look at")
        return self

    @model_validator(mode="after")
    def _images_without_labels_have_teachers(self) -> "TrainSettings":
        guessed = self.loss.unknown != "ignore" or (self.warm_start and self.warm_start.unsure)
        if self.data.unlabelled and not self.distill:
            raise ValueError("data.unlabelled: only teachers say what is on them; give --teacher")
        if self.data.unlabelled and guessed:
            raise ValueError(
                "data.unlabelled: all of their labels are unknown, and loss.unknown or"
                " warm_start.unsure would take them for absent"
            )
        return self

    def absolute(self) -> "TrainSettings":
        """The same with folders that are found from everywhere."""
        changes: dict[str, Any] = {"output": str(Path(self.output).absolute())}
        if self.distill:
            teachers = tuple(str(Path(path).absolute()) for path in self.distill.teachers)
            changes["distill"] = self.distill.model_copy(update={"teachers": teachers})
        return self.model_copy(update={"data": self.data.absolute(), **changes})
