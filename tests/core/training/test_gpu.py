"""Steps and trainings on a GPU: `pytest -m gpu`.

`MLC_TEST_DEVICE=cpu pytest -m gpu` runs what a CPU can, to find mistakes of typing without a card.
"""

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch import distributed as dist

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.exporting.onnx_graph import write_onnx
from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.inference.runtime.metadata import ExportInfo
from mlc_cli.core.inference.runtime.onnx_file import OnnxEngine
from mlc_cli.core.loading.dataset import ImageDataset
from mlc_cli.core.loading.normalise import Normalise
from mlc_cli.core.loading.readers import Readers
from mlc_cli.core.system.distributed import joined
from mlc_cli.core.training.build import Training, prepare
from mlc_cli.core.training.events import Tick
from mlc_cli.core.training.loop import train
from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.optim.sam import Sam
from mlc_cli.errors import Interrupted, MlcError
from mlc_cli.jobs.train import train as train_job
from mlc_cli.settings.train import TrainSettings
from tests import launch
from tests.core.loading.test_loader import make_batches
from tests.core.training.test_step import make_batch, make_model, make_state, make_step, weights

DEVICE = torch.device(os.environ.get("MLC_TEST_DEVICE", "cuda:0"))
ON_GPU = DEVICE.type == "cuda"
only_gpu = pytest.mark.skipif(not ON_GPU, reason="a CPU has nothing like it")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(ON_GPU and not torch.cuda.is_available(), reason="there is no CUDA device"),
]
EVERYTHING = ("optim.sam.rho=0.05", "ema.decay=0.9", "augment.mix.name=mixup",
              "optim.accumulate=2", "optim.clip_norm=1")  # fmt: skip


@pytest.fixture
def make(
    make_dataset: Callable[..., Path], tiny_settings: Callable[..., TrainSettings]
) -> Iterator[Callable[..., Training]]:
    """Trainings on the device, ready to run."""
    made: list[Training] = []

    def build(*extra: str, images: int = 40) -> Training:
        data = make_dataset(images, 12, name=f"data{images}")
        made.append(prepare(tiny_settings(data, f"device={DEVICE}", *extra)))
        return made[-1]

    yield build
    for training in made:
        training.close()


def stepped(device: torch.device, sam: Sam | None) -> tuple[Tensor, Tensor]:
    """Weights and losses of four steps in fp32 without TF32."""
    model = make_model().to(device)
    state = make_state(model)
    state.ema = Ema(model, 0.9)
    normalise = Normalise((0.5,) * 3, (0.5,) * 3, device)
    step = make_step(model, normalise=normalise, sam=sam, clip_norm=0.5)
    losses = [step(state, [make_batch(8, n), make_batch(3, n + 9)], n) for n in range(4)]
    return weights(model).cpu(), torch.stack(losses).cpu()


@pytest.mark.parametrize("sam", [None, Sam(0.1, False), Sam(0.5, True)])
def test_steps_are_those_of_the_cpu(sam: Sam | None) -> None:
    expected = stepped(torch.device("cpu"), sam)
    torch.testing.assert_close(stepped(DEVICE, sam), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_precision_trains(
    make_dataset: Callable[..., Path],
    tiny_settings: Callable[..., TrainSettings],
    precision: str,
) -> None:
    extra = (f"device={DEVICE}", f"precision={precision}", "epochs=5", "optim.lr=0.005")
    training = prepare(tiny_settings(make_dataset(64, 12), *extra))
    reports = list(train(training.plan, training.state, lambda _: None))
    assert reports[-1].best.mean_ap > 0.9, "chance is about 0.5"


def test_the_same_seed_gives_the_same_weights_where_that_is_asked_for(
    make_dataset: Callable[..., Path], tiny_settings: Callable[..., TrainSettings]
) -> None:
    settings = tiny_settings(
        make_dataset(), f"device={DEVICE}", "deterministic=true", "epochs=2", *EVERYTHING
    )
    results = []
    for _ in range(2):
        training = prepare(settings)
        list(train(training.plan, training.state, lambda _: None))
        results.append(weights(training.state.model))
    assert torch.equal(*results)


def test_pixels_are_copied_without_waiting_and_come_out_channels_last() -> None:
    images = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    if ON_GPU:
        images = images.pin_memory()
    made = Normalise((0.5,) * 3, (0.25,) * 3, DEVICE)(images)
    assert made.is_contiguous(memory_format=torch.channels_last)
    expected = (images.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    torch.testing.assert_close(made.cpu(), expected, atol=1e-5, rtol=0)


def test_a_training_goes_on_from_its_state_as_if_it_had_not_stopped(
    make: Callable[..., Training], tmp_path: Path
) -> None:
    extra = ("deterministic=true", "epochs=2", *EVERYTHING)
    whole = make(*extra)
    list(train(whole.plan, whole.state, lambda _: None))

    def stop(tick: Tick) -> None:
        if (tick.phase, tick.epoch, tick.done) == ("train", 2, 2):
            raise Interrupted("enough")

    first, second = make(*extra), make(*extra)
    with pytest.raises(Interrupted):
        list(train(first.plan, first.state, stop))
    first.state.save(tmp_path / "trainer.pt")
    second.state.load(tmp_path / "trainer.pt")
    list(train(second.plan, second.state, lambda _: None))
    assert torch.equal(weights(second.state.model), weights(whole.state.model))


def test_a_compiled_model_trains_as_it_does_otherwise(make: Callable[..., Training]) -> None:
    losses = []
    for compiled in ("true", "false"):
        training = make(
            f"compile={compiled}", "matmul=highest", "precision=fp32", "epochs=2",
            "optim.sam.rho=0.05",
        )  # fmt: skip
        losses.append([r.loss for r in train(training.plan, training.state, lambda _: None)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_two_processes_on_one_device_make_the_training_of_one(
    make_dataset: Callable[..., Path], tiny_settings: Callable[..., TrainSettings]
) -> None:
    """By gloo: NCCL wants a GPU for each."""
    settings = tiny_settings(
        make_dataset(24, 8), f"device={DEVICE}", "model.backbone=test_vit", "optim.name=sgd",
        "optim.lr=0.01", "optim.sam.rho=0.05", "precision=fp32", "matmul=highest", "epochs=2",
    )  # fmt: skip

    def trained() -> Tensor:
        training = prepare(settings)
        list(train(training.plan, training.state, lambda _: None))
        training.close()
        return weights(training.state.model).cpu()

    def join() -> Tensor:
        os.environ.update(LOCAL_RANK="0", LOCAL_WORLD_SIZE="1")
        start = dist.init_process_group
        dist.init_process_group = lambda _backend, **options: start("gloo", **options)
        with joined():
            return trained()

    first, second = launch.start_together(join).results()
    assert torch.equal(first, second)
    torch.testing.assert_close(first, trained(), rtol=0, atol=1e-4)


@only_gpu
def test_too_little_memory_is_an_error_with_the_ways_out(
    make_dataset: Callable[..., Path], tiny_settings: Callable[..., TrainSettings]
) -> None:
    settings = tiny_settings(
        make_dataset(64, 4), f"device={DEVICE}", "data.input_size=768", "batch_size=64"
    )
    total = torch.cuda.get_device_properties(DEVICE).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 3e8) / total)
    try:
        with pytest.raises(MlcError, match="memory") as caught:
            list(train_job(settings))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "--batch-size" in caught.value.hint


@only_gpu
def test_a_step_waits_for_nothing(make: Callable[..., Training]) -> None:
    training = make("precision=fp16", "augment.mix.name=cutmix", *EVERYTHING)
    batches = list(itertools.islice(training.plan.train.epoch(), 2))
    for step in range(3):  # the first ones choose algorithms
        torch.cuda.set_sync_debug_mode("error" if step == 2 else "default")
        try:
            training.plan.step(training.state, batches, step)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_batches_of_readers_are_ready_for_copies_that_nobody_waits_for(
    make_split: Callable[..., Annotation],
) -> None:
    dataset = ImageDataset(make_split(12), Geometry((16, 24)))
    batches = make_batches(dataset, 4, workers=Readers(2, DEVICE))
    expected = list(make_batches(dataset, 4, workers=0).epoch())
    for batch, plain in zip(batches.epoch(), expected, strict=True):
        assert batch.images_NHWC.is_pinned() == batch.targets_NC.is_pinned() == ON_GPU
        assert torch.equal(batch.images_NHWC, plain.images_NHWC)
        assert torch.equal(batch.indices_N, plain.indices_N)
    batches.close()


def test_the_model_computes_channels_last(make: Callable[..., Training]) -> None:
    training = make("model.backbone=test_resnet", "batch_size=4")
    layouts = []

    def note(_module: object, _given: object, made: Tensor) -> None:
        layouts.append(made.is_contiguous(memory_format=torch.channels_last))

    for module in training.state.model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(note)
    training.plan.step(training.state, [next(training.plan.train.epoch())], 0)
    assert layouts
    assert all(layouts)


def test_features_of_a_warm_start_are_kept_by_the_model(make: Callable[..., Training]) -> None:
    training = make("warm_start.epochs=2", "epochs=0")
    warm, step = training.plan.warm_start, training.plan.step
    assert warm
    model = training.built.classifier
    features, targets, *_ = warm._features(model, step, lambda *_: None)
    assert features.device.type == targets.device.type == DEVICE.type
    list(train(training.plan, training.state, lambda _: None))


def test_onnx_runtime_gives_the_logits_of_torch(
    make: Callable[..., Training], tmp_path: Path
) -> None:
    if ON_GPU and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA")
    training = make()
    model = training.built.classifier.cpu().eval()
    path = tmp_path / "model.onnx"
    write_onnx(path, model, ExportInfo(training.card), saliency=False)
    height, width = training.card.input_size
    images = np.random.default_rng(0).integers(0, 256, (19, height, width, 3), np.uint8)
    logits = OnnxEngine(path, DEVICE.type)(images)
    card = training.card
    with torch.no_grad():
        normalise = Normalise(card.mean, card.std, torch.device("cpu"))
        expected = model(normalise(torch.from_numpy(images)))
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-3 if ON_GPU else 1e-4)


def test_an_epoch_is_nearly_as_fast_as_its_bare_steps(make: Callable[..., Training]) -> None:
    large = ("data.input_size=224", "model.backbone=tf_efficientnet_lite0", "batch_size=64")
    training = make(
        *(large if ON_GPU else ()), "data.cache=ram", "epochs=5", "eval_every=9",
        images=2048 if ON_GPU else 160,
    )  # fmt: skip
    batches = list(itertools.islice(training.plan.train.epoch(9), 4))

    def bare(steps: int) -> float:
        """Images a second of steps over batches that are there already."""
        started, images = time.perf_counter(), 0
        for number, batch in enumerate(itertools.islice(itertools.cycle(batches), steps)):
            training.plan.step(training.state, [batch], number)
            images += len(batch.indices_N)
        if ON_GPU:
            torch.cuda.synchronize()
        return images / (time.perf_counter() - started)

    bare(8)
    before = bare(20)
    rates = [r.images_per_second for r in train(training.plan, training.state, lambda _: None)]
    # batches of the first two may have been read beside the bare steps
    ratio = statistics.median(rates[2:]) / ((before + bare(20)) / 2)
    assert ratio >= (0.95 if ON_GPU else 0.2), ratio
