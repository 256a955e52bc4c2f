"""Settings of the optimiser, the learning-rate schedule, averaging and stopping."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlc_cli.settings.base import Count, NotNegative, Positive, Probability, Settings


class SamSettings(Settings):
    """Sharpness-aware minimisation: two passes a step (Foret et al. 2021)."""

    rho: Positive = 0.05
    """Radius of the neighbourhood."""
    adaptive: bool = False
    """Scale the radius by the weights (Kwon et al. 2021)."""
    last_epochs: Count | None = None
    """Only in the last epochs; by default in all."""
    statistics: Literal["first", "both"] = "first"
    """Passes of a step that move the statistics of batch normalisation; the published code moves
    them in both."""
    per_process: bool = False
    """Of several processes, each moves along the gradient of its own images, as in the paper; by
    default all move along that of the whole batch, as one process does."""


class OptimBaseSettings(Settings):
    """What all optimisers share."""

    lr: Positive = 1e-3
    """Peak learning rate."""
    weight_decay: NotNegative = 1e-4
    """Weight decay; biases and normalisation have none."""
    backbone_lr_scale: NotNegative = 1.0
    """Factor on the learning rate of the backbone."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    """Factor on the learning rate from each layer of the backbone to the one before."""
    bias_lr_scale: Positive = 1.0
    """Factor on the learning rate of biases."""
    clip_norm: Positive | None = None
    """Largest norm of all gradients together."""
    accumulate: Count = 1
    """Batches whose gradients make up one step."""
    sam: SamSettings | None = None


class SgdSettings(OptimBaseSettings):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    lr: Positive = 0.01
    """Peak learning rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum."""
    nesterov: bool = False
    """Nesterov momentum."""

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "SgdSettings":
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class AdamWSettings(OptimBaseSettings):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"] = "adamw"
    betas: tuple[Probability, Probability] = (0.9, 0.999)
    """Decay of the two moments."""


class RAdamSettings(OptimBaseSettings):
    """Adam with a rectified variance (Liu et al. 2020)."""

    name: Literal["radam"] = "radam"
    betas: tuple[Probability, Probability] = (0.9, 0.999)
    """Decay of the two moments."""


class RmsPropSettings(OptimBaseSettings):
    """RMSprop, as torch has it."""

    name: Literal["rmsprop"] = "rmsprop"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum."""
    alpha: Probability = 0.99
    """Decay of the mean of squares."""


class OneCycleSettings(Settings):
    """Cosine up to the peak and down again (Smith & Topin 2018)."""

    name: Literal["one_cycle"] = "one_cycle"
    pct_start: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Part of the training before the peak."""
    warmup_epochs: NotNegative | None = None
    """Epochs before the peak, in place of `pct_start`."""
    div: Annotated[float, Field(ge=1)] = 100.0
    """Peak over first learning rate."""
    final_div: Annotated[float, Field(ge=1)] = 1000.0
    """First over last learning rate."""
    momentum: tuple[Probability, Probability] | None = None
    """Momentum (or first beta) at the peak and at both ends; by default that of the optimiser."""


class CosineSettings(Settings):
    """Linear warm-up, then a cosine."""

    name: Literal["cosine"] = "cosine"
    warmup_epochs: NotNegative = 1.0
    """Epochs of linear warm-up from zero."""
    final: Probability = 0.0
    """Last learning rate as a part of the peak."""


class StepSettings(Settings):
    """Linear warm-up, then a fall every so many epochs."""

    name: Literal["step"] = "step"
    warmup_epochs: NotNegative = 0.0
    """Epochs of linear warm-up from zero."""
    every: Count = 20
    """Epochs between falls."""
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What the learning rate is multiplied by."""


class MultiStepSettings(Settings):
    """Linear warm-up, then a fall at each of some epochs."""

    name: Literal["multi_step"] = "multi_step"
    warmup_epochs: NotNegative = 0.0
    """Epochs of linear warm-up from zero."""
    milestones: Annotated[tuple[Count, ...], Field(min_length=1)] = (30, 45)
    """Epochs after which the learning rate falls."""
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What the learning rate is multiplied by."""


class PlateauSettings(Settings):
    """Lower the learning rate when the validation mAP stands still."""

    name: Literal["plateau"] = "plateau"
    warmup_epochs: NotNegative = 1.0
    """Epochs of linear warm-up from zero."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What the learning rate is multiplied by."""
    patience: Annotated[int, Field(ge=0)] = 3
    """Evaluations without a gain before that."""
    final: Probability = 0.001
    """Smallest learning rate as a part of the peak."""


class ConstantSettings(Settings):
    """Linear warm-up, then the same learning rate to the end."""

    name: Literal["constant"] = "constant"
    warmup_epochs: NotNegative = 0.0
    """Epochs of linear warm-up from zero."""


class EmaSettings(Settings):
    """Moving average of the weights: decay min(decay, (1 + t) / (warmup + t)) at step t."""

    decay: Annotated[float, Field(gt=0, lt=1)] = 0.9997
    """Largest decay a step."""
    warmup: Annotated[float, Field(gt=1)] | None = 10.0
    """The larger, the sooner the start is forgotten; 2 is the plain mean of all weights so far.
    `null` keeps the decay constant, as published: decay^steps of the start stays in the average."""


class EarlyStopSettings(Settings):
    """Stop when the validation mAP no longer rises."""

    patience: Count = 5
    """Evaluations without a gain."""
    rule: Literal["annealed", "smoothed"] = "annealed"
    """Count evaluations only below half of the peak learning rate, or as published: from the end of
    the warm-up, against a running mean."""
    min_delta: NotNegative = 0.0
    """Smallest rise that is a gain."""


class WarmStartSettings(Settings):
    """Train the head alone first, on features of the loaded backbone computed once."""

    epochs: Count = 20
    """Epochs over the cached features."""
    lr: Positive = 1e-3
    """Peak learning rate of AdamW, one-cycle."""
    weight_decay: NotNegative = 1e-4
    """Weight decay."""
    batch_size: Count = 64
    """Images a step."""
    dropout: Probability = 0.0
    """Part of the features dropped; large values keep a head on few images from overfitting."""
    flip: bool = True
    """Also compute the features of the mirrored images."""
    max_gigabytes: Positive = 4.0
    """Largest memory for the features."""
    unsure: Probability | None = None
    """Take unknown labels for absent but for this part, the likeliest by heads of other images: for
    images that name one of their labels; 0.05 is a start."""


OptimSettings = Annotated[
    SgdSettings | AdamWSettings | RAdamSettings | RmsPropSettings, Field(discriminator="name")
]
ScheduleSettings = Annotated[
    OneCycleSettings
    | CosineSettings
    | StepSettings
    | MultiStepSettings
    | PlateauSettings
    | ConstantSettings,
    Field(discriminator="name"),
]
