"""What a step asks of the device besides forward and backward, counted without one."""

from collections import Counter
from typing import Any

import pytest
import timm
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.optim.sam import Sam
from mlc_cli.settings.optim import AdamWSettings, OptimSettings, SgdSettings
from tests.core.training.test_step import make_batch, make_model, make_state, make_step


class Recorder(TorchDispatchMode):
    """Counts operations, and those outside the forward and backward passes."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0
        self.outside: Counter[str] = Counter()
        self.all: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.all[str(func)] += 1
        if not self.passes:
            self.outside[str(func)] += 1
        return func(*args, **(kwargs or {}))


MODELS = {"efficientnet_b0": 4_500, "tf_efficientnetv2_s": 10_500}
"""With how many operations a step may be made, both passes of SAM included."""


def recorded(
    monkeypatch: pytest.MonkeyPatch, name: str, settings: OptimSettings, *, adaptive: bool
) -> Recorder:
    """The second of two steps with everything that may take part in one."""
    model, recorder = make_model(lambda: timm.create_model(name, num_classes=3)), Recorder()

    def passed(function: Any) -> Any:
        def run(*arguments: Any) -> Any:
            recorder.passes += 1
            made = function(*arguments)
            recorder.passes -= 1
            return made

        return run

    monkeypatch.setattr(torch.autograd, "backward", passed(torch.autograd.backward))
    state = make_state(model, settings)
    state.ema = Ema(model, 0.9)
    step = make_step(model, sam=Sam(0.05, adaptive), forward=passed(model), clip_norm=1.0)
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    batches = [make_batch(2)._replace(images_NHWC=images)] * 2
    step(state, batches, 0)
    with recorder:
        loss = step(state, batches, 1)
    assert torch.isfinite(loss)
    return recorder


@pytest.mark.parametrize(
    ("name", "settings", "adaptive"),
    [
        ("efficientnet_b0", SgdSettings(), False),
        ("efficientnet_b0", SgdSettings(), True),
        ("efficientnet_b0", AdamWSettings(), False),
        ("tf_efficientnetv2_s", AdamWSettings(), True),
    ],
)
def test_a_step_takes_few_operations_and_never_waits_for_the_device(
    monkeypatch: pytest.MonkeyPatch, name: str, settings: OptimSettings, adaptive: bool
) -> None:
    recorder = recorded(monkeypatch, name, settings, adaptive=adaptive)
    assert recorder.outside["aten._fused_sgd_.tensor_lr"] == 1, "the recorder sees the step"
    assert recorder.outside.total() < 150, recorder.outside.most_common(10)
    assert recorder.all.total() < MODELS[name]
    assert recorder.all["aten._local_scalar_dense.default"] == 0
