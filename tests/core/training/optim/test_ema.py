"""The moving average against its literal recurrence."""

import inspect

import pytest
import torch
from torch import nn

from mlc_cli.core.training.optim.ema import Ema


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.mark.parametrize("decay", [0.5, 0.9997])
def test_weights_and_float_buffers_follow_the_recurrence_with_warm_up(decay: float) -> None:
    model = small_model()
    ema = Ema(model, decay)
    literal = {name: value.double() for name, value in model.state_dict().items()}
    for step in range(40):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        model(torch.randn(6, 3))
        ema.update()
        d = min(decay, (1 + step) / (10 + step))
        literal = {
            name: d * old + (1 - d) * model.state_dict()[name].double()
            for name, old in literal.items()
        }
    for name, value in ema.model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), literal[name], rtol=1e-5, atol=1e-6)
    assert ema.model.state_dict()["1.num_batches_tracked"] == 40
    assert ema.steps == 40


@pytest.mark.parametrize("steps", [1, 7, 30])
def test_a_warm_up_of_two_is_the_mean_of_all_weights_so_far(steps: int) -> None:
    model = nn.Linear(3, 2)
    ema = Ema(model, 0.9999, 2.0)
    seen = [model.weight.detach().clone()]
    for _ in range(steps):
        with torch.no_grad():
            model.weight.normal_()
        seen.append(model.weight.detach().clone())
        ema.update()
    torch.testing.assert_close(ema.model.weight, torch.stack(seen).mean(0))  # type: ignore[arg-type]


def test_the_average_is_a_copy_in_evaluation_mode_that_does_not_learn() -> None:
    model = small_model().train()
    ema = Ema(model, 0.9)
    assert not any(module.training for module in ema.model.modules())
    assert not any(p.requires_grad for p in ema.model.parameters())
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    shared = {p.data_ptr() for p in model.parameters()} & {
        p.data_ptr() for p in ema.model.parameters()
    }
    assert not shared


def test_weights_that_stand_still_stay_equal_to_the_bit() -> None:
    model = small_model()
    ema = Ema(model, 0.9)
    for _ in range(20):
        ema.update()
    for mine, other in zip(ema.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_the_warm_up_of_ten_is_the_default() -> None:
    assert inspect.signature(Ema).parameters["warmup"].default == 10


def test_a_constant_decay_keeps_the_published_share_of_the_start() -> None:
    """3,540 steps of Pascal VOC 2007 at 0.9993 leave 8.4 % of the weights that came first."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)
    ema = Ema(model, 0.9993, warmup=None)
    nn.init.zeros_(model.weight)
    for _ in range(3540):
        ema.update()
    assert float(ema.model.weight) == pytest.approx(0.9993**3540, rel=1e-9)
    assert float(ema.model.weight) == pytest.approx(0.084, abs=5e-4)
