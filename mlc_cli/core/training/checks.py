"""What is refused before a training begins, and what is advised."""

import torch

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.completing import completed
from mlc_cli.core.models.weights.backbone import LoadReport
from mlc_cli.core.system.distributed import Group
from mlc_cli.core.training.optim.schedules import Constant, Plateau, Schedule
from mlc_cli.errors import SettingsError
from mlc_cli.text import some

REPAIR = "Train the head alone with `--set warm_start.epochs=20`, or give --epochs."
MUCH = 0.2
"""Part of the labels that is unknown from which the loss matters."""


def check_share(batch_size: int, images: int, group: Group) -> None:
    """Refuse batches of which some process would get nothing."""
    if min(batch_size, images) < group.size:
        raise SettingsError(
            f"batch_size: {min(batch_size, images)} images a step cannot be shared by"
            f" {group.size} processes",
            "batch_size counts the images of all processes together: raise it, or start fewer.",
        )


def check_learns(optimizer: torch.optim.Optimizer, epochs: int) -> None:
    """Refuse epochs in which no weight would change."""
    if epochs and not any(group["params"] for group in optimizer.param_groups):
        raise SettingsError("nothing would learn: all is frozen or has no learning rate")


def check_sync_bn(device: torch.device, on_bad_image: str) -> None:
    """Refuse synchronised batch normalisation where torch has none, or would wait for ever."""
    if device.type != "cuda":
        raise SettingsError(f"sync_bn: torch has it on GPUs alone, and the device is {device}")
    if on_bad_image == "skip":
        raise SettingsError(
            "sync_bn: every process must have images in every batch, and data.on_bad_image = skip"
            " may leave one without",
            "Repair the images, and use `--set data.on_bad_image=error`.",
        )


def refuse_parts(report: LoadReport) -> None:
    """Refuse to evaluate a model of which a part was never trained."""
    if report.whole:
        return
    lacks = f"{len(report.missing) + len(report.mismatched)} tensors of the model are not in them"
    raise SettingsError(
        "nothing would be trained: epochs is 0, and the weights are not of a whole model: "
        + "; ".join([lacks, *report.notes]),
        REPAIR,
    )


def advice_on_absent(train: Annotation) -> str:
    """Classes that no image shows, which a training cannot learn; empty if there are none."""
    never_C = train.positives.counts_C(len(train.classes)) == 0
    names = [train.class_names[place] for place in never_C.nonzero()[0]]
    if not names:
        return ""
    shown = f"{len(names)} of the {len(never_C)} classes: {some(names)}"
    return f"no image of {train.source.name} shows {shown}"


def advice_on_unknown(train: Annotation, unknown: str) -> str:
    """What the states of the labels make of `loss.unknown`; empty where nothing is to be said."""
    classes = len(train.classes)
    unknown_C, positives_C = train.unknown_C(), train.positives.counts_C(classes)
    part = unknown_C.sum() / (len(train) * classes)
    selective = "`--set loss.unknown=selective` takes the unlikely ones among them for absent"
    if (
        unknown == "ignore"
        and positives_C.any()
        and (unknown_C + positives_C).sum() == len(train) * classes
    ):
        return (
            f"no label is known to be absent, so that all would be learnt as present: {selective}"
        )
    if unknown == "ignore" and part >= MUCH:
        return f"{part:.0%} of the labels are unknown, and the loss leaves them out; {selective}"
    if not part and classes > 2 and (train.positives.sizes_N() == 1).all():
        return (
            "every image has exactly one label: if an image may show others that were not looked"
            ' for, write `"unlisted": "unknown"` into the annotation file; ' + selective
        )
    return ""


def advice_on_schedule(schedule: Schedule, steps: int) -> str:
    """What the learning rate does not come to in so many steps; empty where nothing is amiss."""
    if steps and not schedule.warm(steps - 1):
        return "the learning rate never reaches its peak: the warm-up takes the whole training"
    if steps and schedule.factor(steps - 1) >= 1 and not isinstance(schedule, Constant | Plateau):
        return "the learning rate never falls: the training ends before `schedule` lets it"
    return ""


def by_rules(split: Annotation) -> Annotation:
    """A split with all that follows by its label rules; a SettingsError if it has none."""
    if not split.rules:
        raise SettingsError(f"loss.rules: {split.source} has no label rules")
    return completed(split)
