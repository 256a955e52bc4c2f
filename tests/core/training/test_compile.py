"""Steps of a compiled model: what torch.compile makes of it, with a backend that only counts."""

import pytest
import timm
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.optim.sam import Sam
from tests.core.training.test_step import make_batch, make_model, make_state, make_step, weights


def network() -> nn.Module:
    model: nn.Module = timm.create_model("test_efficientnet", num_classes=3, drop_rate=0.2)
    return model


@pytest.mark.parametrize("sam", [None, Sam(0.05, False)])
def test_a_model_is_one_graph_which_is_compiled_again_once_at_most(sam: Sam | None) -> None:
    images = torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8)
    results, counter = [], CompileCounter()
    for compiled in (False, True):
        model = make_model(network)
        torch.compiler.reset()
        forward = torch.compile(model, backend=counter) if compiled else model
        state = make_state(model)
        state.ema = Ema(model, 0.9)
        step = make_step(model, forward=forward, sam=sam, clip_norm=1.0)
        for number in range(3):
            batches = [make_batch(4, seed)._replace(images_NHWC=images) for seed in range(2)]
            step(state, batches, number)
        results.append(weights(model))
    torch.testing.assert_close(*results)
    # SAM's second pass, whose statistics stand still, is the other one
    assert counter.frame_count == (2 if sam else 1)
