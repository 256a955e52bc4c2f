"""Whole steps on `meta`, where nothing can be read back: what waits for a device raises there."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mlc_cli.core.inference.torch_engine import TorchEngine
from mlc_cli.core.loading.build import build_mix
from mlc_cli.core.loading.dataset import Batch
from mlc_cli.core.loading.normalise import Normalise
from mlc_cli.core.models.backbone import layer_depths
from mlc_cli.core.models.build import BuiltModel, build_model
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.heads.graph import LabelGraph
from mlc_cli.core.training.losses.build import build_loss
from mlc_cli.core.training.optim.build import build_optimizer
from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.optim.sam import Sam
from mlc_cli.core.training.optim.schedules import OneCycle
from mlc_cli.core.training.state import LossMeter, TrainState
from mlc_cli.core.training.step import Step
from mlc_cli.core.training.warm_start import WarmStart
from mlc_cli.settings.augment import (
    CutmixSettings,
)
from mlc_cli.settings.model import ModelSettings
from mlc_cli.settings.presets import preset_names
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings

META = torch.device("meta")
CLASSES = 20


@pytest.fixture(autouse=True, scope="module")
def kernels() -> Iterator[None]:
    """The fused step of SGD, which SAM moves by, has none on `meta`; it gives nothing back."""
    library = torch.library.Library("aten", "IMPL", "Meta")
    library.impl("_fused_sgd_.tensor_lr", lambda *_arguments, **_options: None)
    yield
    library._destroy()


def settings_of(preset: str) -> TrainSettings:
    content = gather(TrainSettings, "train", preset=preset, flags={"data.root": "data"})
    settings = validate(TrainSettings, content)
    model = settings.model.model_copy(update={"pretrained": False, "weights": None})
    return settings.model_copy(update={"model": model})


def built(settings: TrainSettings) -> BuiltModel:
    return made_of(settings.model.model_dump_json(), settings.data.input_size)


@cache
def made_of(model: str, size: tuple[int, int]) -> BuiltModel:
    """A model on `meta`: several presets have the same."""
    graph = LabelGraph(torch.rand(CLASSES, 8), torch.eye(CLASSES), ())
    labels = [f"c{number:02}" for number in range(CLASSES)]
    with META:  # nothing is drawn for weights
        made = build_model(ModelSettings.model_validate_json(model), labels, size, graph)
    made.classifier.to(META)
    return made


def step_of(settings: TrainSettings, made: BuiltModel, model: Classifier) -> Step:
    """The step of a preset, with mixing, SAM and clipping where it has none, too."""
    sam = settings.optim.sam
    counts = np.arange(1, CLASSES + 1)
    return Step(
        forward=model,
        loss=build_loss(
            settings.loss, scale=10.0, positives_C=counts, negatives_C=counts, device=META
        ),
        normalise=Normalise(made.mean, made.std, META),
        precision="fp32",
        lr=settings.optim.lr,
        mix=build_mix(settings.augment.mix or CutmixSettings(p=1.0)),
        sam=Sam(sam.rho, sam.adaptive) if sam else Sam(0.05, True),
        sam_from=0,
        clip_norm=settings.optim.clip_norm or 1.0,
        seed=0,
    )


def state_of(settings: TrainSettings, model: Classifier) -> TrainState:
    depths = layer_depths(model.backbone.model)
    depth_of = {f"backbone.model.{name}": depth for name, depth in depths.items()}
    return TrainState(
        model=model,
        optimizer=build_optimizer(settings.optim, model, depth_of),
        schedule=OneCycle(10, 0.2, 100, 1000),
        ema=Ema(model, 0.99),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        early_stop=None,
        losses=LossMeter(50),
    )


def batch_of(settings: TrainSettings, images: int = 2) -> Batch:
    pixels = torch.zeros(images, *settings.data.input_size, 3, dtype=torch.uint8, device=META)
    targets = torch.zeros(images, CLASSES, dtype=torch.int8, device=META)
    return Batch(pixels, targets, torch.arange(images), [])


@pytest.mark.parametrize("preset", preset_names("train"))
def test_a_step_of_each_preset_never_waits_for_the_device(preset: str) -> None:
    settings = settings_of(preset)
    made = built(settings)
    model = copy.deepcopy(made.classifier).train()
    state, step = state_of(settings, model), step_of(settings, made, model)
    batches = [batch_of(settings)] * settings.optim.accumulate
    loss = step(state, batches, 0)
    assert (loss.device, loss.shape) == (META, ())
    assert state.ema
    assert state.ema.steps == 1
    state.losses.add(loss, str)
    engine = TorchEngine(state.ema.model, step.normalise, META, "fp32")
    assert engine.logits(batches[0].images_NHWC).shape == (2, CLASSES)


@pytest.mark.parametrize("preset", ["finetune", "effnetv2s-gat-voc", "mobilenetv3l-coco"])
def test_the_steps_of_a_warm_start_never_wait_for_the_device(preset: str) -> None:
    settings = settings_of(preset)
    made = built(settings)
    model = copy.deepcopy(made.classifier)
    step = step_of(settings, made, model)
    reduced = model.head.reduce(model.backbone(step.normalise(batch_of(settings).images_NHWC)))
    warm: Any = WarmStart(
        batches=None, prior=False, epochs=2, lr=0.1, weight_decay=0.1, batch_size=1,  # type: ignore[arg-type]
        dropout=0.5, flip=True, max_bytes=1e9, seed=0,
    )  # fmt: skip
    seen = []
    warm._train_head(model.head, step.loss, reduced.detach(), batch_of(settings).targets_NC,
                     lambda done, total: seen.append((done, total)))  # fmt: skip
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_accumulated_batches_never_wait_for_the_device() -> None:
    settings = settings_of("quickstart")
    made = built(settings)
    model = copy.deepcopy(made.classifier).train()
    loss = step_of(settings, made, model)(state_of(settings, model), [batch_of(settings)] * 3, 0)
    assert (loss.device, loss.shape) == (META, ())


def test_what_reads_a_value_back_is_found() -> None:
    settings = settings_of("quickstart")
    made = built(settings)
    model = copy.deepcopy(made.classifier).train()
    step = step_of(settings, made, model)

    def waits(images: Tensor) -> Tensor:
        logits = model(images)
        return logits if logits.sum() > 0 else -logits

    with pytest.raises(RuntimeError, match="meta"):
        replace(step, forward=waits)(state_of(settings, model), [batch_of(settings)], 0)
