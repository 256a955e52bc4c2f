"""From train settings to everything that the loop needs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm  # type: ignore[attr-defined]
from torch import nn

from mlc_cli.core.loading.build import (
    Splits,
    build_eval_batches,
    build_mix,
    build_readers,
    build_train_batches,
    make_if_missing,
    read_split,
    read_splits,
)
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.loading.normalise import Normalise
from mlc_cli.core.loading.unlabelled import with_unlabelled
from mlc_cli.core.models.backbone import layer_depths, stay_offline
from mlc_cli.core.models.build import BuiltModel, build_model, label_graph
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.heads.graph import LabelGraph
from mlc_cli.core.runs.card import Fingerprint, ModelCard
from mlc_cli.core.system.device import make_deterministic, pick_device, seed_step
from mlc_cli.core.system.distributed import Group, current
from mlc_cli.core.system.downloads.build import build_cache, with_weights
from mlc_cli.core.system.precision import Precision, allow_tf32, pick_precision
from mlc_cli.core.training import checks
from mlc_cli.core.training.events import OnTick, Tick
from mlc_cli.core.training.loop import Plan
from mlc_cli.core.training.losses.build import build_loss
from mlc_cli.core.training.optim.build import build_optimizer, build_schedule
from mlc_cli.core.training.optim.early_stop import EarlyStop
from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.optim.sam import Sam
from mlc_cli.core.training.parallel import Together, broadcast_module
from mlc_cli.core.training.recorder import card_of
from mlc_cli.core.training.state import LossMeter, TrainState
from mlc_cli.core.training.step import Step, epoch_sizes
from mlc_cli.core.training.teachers import Teach, open_teachers
from mlc_cli.core.training.warm_start import WarmStart
from mlc_cli.errors import SettingsError
from mlc_cli.settings.train import TrainSettings

LOSS_SYNC_EVERY = 50
"""On a GPU, to look at a loss is to wait for it."""


@dataclass(frozen=True)
class Training:
    """A training ready to run; its notes are about teachers and images without labels."""

    settings: TrainSettings
    splits: Splits
    graph: LabelGraph | None
    built: BuiltModel
    plan: Plan
    state: TrainState
    card: ModelCard
    group: Group
    notes: tuple[str, ...]

    def close(self) -> None:
        """End the processes that read images."""
        self.plan.train.close()


def prepare(
    settings: TrainSettings, on_tick: OnTick = lambda _: None, *, resumed: bool = False
) -> Training:
    """Read the data, build the model and everything else, in each of the processes.

    A training that is `resumed` gets its weights from a saved state.
    """
    trains = settings.epochs > 0 or settings.warm_start is not None
    if not trains and not settings.model.weights:
        raise SettingsError(
            "nothing would be trained: epochs is 0 and there is no warm_start", checks.REPAIR
        )
    group = current()
    device = pick_device(settings.device)
    precision = pick_precision(settings.precision, device)
    make_deterministic(on=settings.deterministic)
    allow_tf32(on=settings.matmul == "high")
    seed_step(settings.seed, 0)
    store = build_cache(settings.download)
    group.broadcast(lambda: make_if_missing(settings.data))
    splits = read_splits(settings.data, store)
    checks.check_share(settings.batch_size, len(splits.train), group)
    learnt = replace(splits, train=checks.by_rules(splits.train)) if settings.loss.rules else splits
    classes, graph = list(splits.train.classes), label_graph(settings.model.head, learnt.train)

    def megabytes(done: int, total: int | None) -> None:
        on_tick(Tick("download", 0, done // 10**6, -(-(total or done) // 10**6)))

    with group.main_first():  # it may fetch weights, which the others then find
        if settings.download.offline:
            stay_offline()
        model = settings.model.model_copy(update={"weights": None, "pretrained": False})
        if not resumed:
            model = with_weights(settings.model, settings.download, megabytes)
        size, renames = settings.data.input_size, settings.data.renames
        built = build_model(model, classes, size, graph, renames)  # type: ignore[arg-type]
    if not trains and built.report:
        checks.refuse_parts(built.report)
    if settings.sync_bn and group.size > 1:
        checks.check_sync_bn(device, settings.data.on_bad_image)
        convert_sync_batchnorm(built.classifier)  # type: ignore[no-untyped-call]
    classifier = built.classifier.to_device(device, channels_last=settings.channels_last)
    depths = layer_depths(classifier.backbone.model).items()
    normalise = Normalise(built.mean, built.std, device, channels_last=settings.channels_last)
    broadcast_module(classifier)
    depth_of = {f"backbone.model.{name}": depth for name, depth in depths}
    optimizer = build_optimizer(settings.optim, classifier, depth_of)
    checks.check_learns(optimizer, settings.epochs)
    teach, learnt, notes = _taught(settings, learnt, built, precision)
    plan = _plan(settings, learnt, built, normalise, optimizer, precision, teach)
    card = card_of(settings, splits, learnt.train, built)
    state = _state(settings, classifier, plan, optimizer, group.size, card.annotations)
    return Training(settings, splits, graph, built, plan, state, card, group, notes)


def _taught(
    settings: TrainSettings, splits: Splits, built: BuiltModel, precision: Precision
) -> tuple[Teach | None, Splits, tuple[str, ...]]:
    """Teachers, the splits with images without labels, and a word on both."""
    data, teach, notes = settings.data, None, tuple[str, ...]()
    if distill := settings.distill:
        device, last = next(built.classifier.parameters()).device, settings.channels_last
        place = partial(Classifier.to_device, device=device, channels_last=last)
        normalised, classes = (built.mean, built.std), splits.train.classes
        teach, notes = open_teachers(distill.teachers, classes, normalised, place, precision)
    if data.unlabelled:
        tested = [data.test] if Path(data.root, data.test).exists() else []
        held = [splits.val, *(read_split(data, name) for name in tested)]
        train, said = with_unlabelled(data.unlabelled, splits.train, held)
        return teach, replace(splits, train=train), (*notes, said)
    return teach, splits, notes


def _plan(
    settings: TrainSettings,
    splits: Splits,
    built: BuiltModel,
    normalise: Normalise,
    optimizer: torch.optim.Optimizer,
    precision: Precision,
    teach: Teach | None,
) -> Plan:
    device, group = normalise.device, current()
    positives_C = splits.train.positives.counts_C(len(splits.train.classes))
    unknown_C = splits.train.unknown_C()
    train, val, warming = _batches(settings, splits, device, group)
    sam = settings.optim.sam
    steps_per_epoch = -(-len(train) // settings.optim.accumulate)
    sam_epochs = sam.last_epochs if sam and sam.last_epochs else settings.epochs
    forward: nn.Module = built.classifier.train()
    if settings.compile:
        forward = torch.compile(forward)  # type: ignore[assignment]
    together = _together(settings, forward, built, optimizer) if group.size > 1 else None
    step = Step(
        forward=together.model if together else forward,
        loss=build_loss(
            settings.loss,
            scale=float(built.classifier.head.scale),
            positives_C=positives_C,
            negatives_C=len(splits.train) - positives_C - unknown_C,
            device=device,
            distill=settings.distill,
        ),
        normalise=normalise,
        precision=precision,
        lr=settings.optim.lr,
        mix=build_mix(settings.augment.mix) if settings.augment.mix else None,
        sam=Sam(sam.rho, sam.adaptive, sam.per_process, sam.statistics == "both") if sam else None,
        sam_from=max(0, settings.epochs - sam_epochs) * steps_per_epoch,
        clip_norm=settings.optim.clip_norm,
        seed=settings.seed,
        sizes=epoch_sizes(settings.data.train_sizes, settings.data.input_size, settings.epochs),
        size_steps=steps_per_epoch,
        rank=group.rank,
        together=together,
        teach=teach,
    )
    return Plan(
        train=train,
        val=val,
        step=step,
        accumulate=settings.optim.accumulate,
        epochs=settings.epochs,
        eval_every=settings.eval_every,
        warm_start=_warm_start(settings, warming, built) if warming else None,
    )


def _together(
    settings: TrainSettings,
    forward: nn.Module,
    built: BuiltModel,
    optimizer: torch.optim.Optimizer,
) -> Together | None:
    if not settings.epochs:
        return None
    sam, data = settings.optim.sam, settings.data
    quiet = settings.optim.accumulate > 1 or (sam and sam.per_process)
    static = not quiet and "skip" not in (data.on_bad_image, data.on_damaged)
    return Together(forward, built.classifier, optimizer, data.input_size, static=static)


def _batches(
    settings: TrainSettings, splits: Splits, device: torch.device, group: Group
) -> tuple[Batches, Batches, Batches | None]:
    """Batches to train on, to evaluate on, and to warm the head with."""
    common: dict[str, Any] = {
        "device": device,
        "group": group,
        "store": build_cache(settings.download),
        "readers": build_readers(settings.data, device),
    }
    train = build_train_batches(
        settings.data,
        settings.augment,
        splits.train,
        batch_size=settings.batch_size,
        seed=settings.seed,
        **common,
    )
    common |= {"batch_size": settings.eval_batch_size}
    val = build_eval_batches(settings.data, splits.val, **common)
    if not settings.warm_start:
        return train, val, None
    return train, val, build_eval_batches(settings.data, splits.train, **common)


def _warm_start(settings: TrainSettings, batches: Batches, built: BuiltModel) -> WarmStart:
    warm = settings.warm_start
    assert warm
    return WarmStart(
        **warm.model_dump(exclude={"max_gigabytes"}),
        batches=batches,
        prior=built.new_head,
        kept=built.report.kept if built.report else None,
        max_bytes=warm.max_gigabytes * 1e9,
        seed=settings.seed,
    )


def _state(
    settings: TrainSettings,
    model: Classifier,
    plan: Plan,
    optimizer: torch.optim.Optimizer,
    processes: int,
    data: Mapping[str, Fingerprint],
) -> TrainState:
    device = plan.step.normalise.device
    steps, stop = max(1, settings.epochs * plan.steps_per_epoch), settings.early_stop
    return TrainState(
        model=model,
        optimizer=optimizer,
        schedule=build_schedule(settings.schedule, steps, plan.steps_per_epoch),
        ema=Ema(model, settings.ema.decay, settings.ema.warmup) if settings.ema else None,
        scaler=torch.amp.GradScaler(device.type, enabled=plan.step.precision == "fp16"),
        early_stop=EarlyStop(stop.patience, stop.min_delta, stop.rule) if stop else None,
        losses=LossMeter(1 if device.type == "cpu" else LOSS_SYNC_EVERY),
        processes=processes,
        data=data,
    )
