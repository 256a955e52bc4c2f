"""Steps and trainings on a GPU: `pytest -m gpu`.

`MLC_TEST_DEVICE=cpu pytest -m gpu` runs what a CPU can, to find mistakes of typing without a card.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mlc_cli.core.loading.normalise import Normalise
from mlc_cli.core.training.build import prepare
from mlc_cli.core.training.loop import train
from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.optim.sam import Sam
from mlc_cli.settings.train import TrainSettings
from tests.core.training.test_step import make_batch, make_model, make_state, make_step, weights

DEVICE = torch.device(os.environ.get("MLC_TEST_DEVICE", "cuda"))
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        DEVICE.type == "cuda" and not torch.cuda.is_available(), reason="there is no CUDA device"
    ),
]
EVERYTHING = ("optim.sam.rho=0.05", "ema.decay=0.9", "augment.mix.name=mixup",
              "optim.accumulate=2", "optim.clip_norm=1")  # fmt: skip


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
    if DEVICE.type == "cuda":
        images = images.pin_memory()
    made = Normalise((0.5,) * 3, (0.25,) * 3, DEVICE)(images)
    assert made.is_contiguous(memory_format=torch.channels_last)
    expected = (images.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    torch.testing.assert_close(made.cpu(), expected, atol=1e-5, rtol=0)
