"""Settings of the losses; formulas stand with the losses themselves."""

from typing import Annotated, Literal

from pydantic import Field

from mlc_cli.settings.base import NotNegative, Positive, Probability, Settings


class SelectiveSettings(Settings):
    """Which unknown labels count as absent (Ben-Baruch et al. 2022)."""

    likeliest: NotNegative = 1.0
    """Labels an image that are left out: the likeliest unknown ones of each batch."""
    frequent: Probability = 0.5
    """Classes with a larger part of present labels among the known ones are left out."""
    gamma: NotNegative = 0.0
    """Focusing of unknown labels: larger, the less of those that are surely absent."""
    weight: Positive = 1.0
    """Of unknown labels against known ones."""


class LossBaseSettings(Settings):
    """What all losses share."""

    reduction: Literal["batch_mean", "sum"] = "batch_mean"
    """Sum over classes, then mean or sum over images."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Targets become 1 - e and e."""
    pos_weight: Positive | Literal["auto"] | None = None
    """Weight of positives; `auto` is negatives over positives of each class, 0.1 to 20."""
    rules: bool = False
    """Learn what follows by the label rules, too: what a present label implies is present; what it
    excludes, or what implies an absent label, is absent if it was unknown."""
    unknown: Literal["ignore", "absent", "selective"] = "ignore"
    """Labels whose state is unknown: left out, taken for absent, or only the unlikely ones
    of classes that are not frequent (class-aware selective loss)."""
    selective: SelectiveSettings = SelectiveSettings()
    """For `unknown: selective`."""


class BceSettings(LossBaseSettings):
    """Binary cross-entropy."""

    name: Literal["bce"] = "bce"


class AslSettings(LossBaseSettings):
    """Asymmetric loss (Ridnik et al. 2021)."""

    name: Literal["asl"] = "asl"
    gamma_neg: NotNegative = 4.0
    """Focusing of negatives."""
    gamma_pos: NotNegative = 0.0
    """Focusing of positives."""
    clip: Probability = 0.05
    """Shift of the probability of negatives."""
    focal_gradient: bool = True
    """Let gradients flow through the focusing weights; the authors of ASL take none."""


class AamSettings(LossBaseSettings):
    """Asymmetric angular margin loss (Prokofiev & Sovrasov 2022)."""

    name: Literal["aam"] = "aam"
    margin: NotNegative = 0.0
    """Margin on the cosine."""
    k: Probability = 0.7
    """Weight of positives against negatives."""
    gamma_neg: NotNegative = 0.0
    """Focusing of negatives."""
    gamma_pos: NotNegative = 0.0
    """Focusing of positives."""
    clip: Probability = 0.05
    """Shift of the probability of negatives, where a gamma is set."""


LossSettings = Annotated[BceSettings | AslSettings | AamSettings, Field(discriminator="name")]


class DistillSettings(Settings):
    """Learn what other models say of the same pixels, too (Hinton et al. 2015)."""

    teachers: Annotated[tuple[str, ...], Field(min_length=1)]
    """Checkpoint of a teacher, or its run; of several the mean of the logits is learnt."""
    temperature: Positive = 1.0
    """Divides the logits of both: above 1, small probabilities tell more."""
    weight: Probability = 0.5
    """Part of the loss that the teachers are; the labels are the rest."""
