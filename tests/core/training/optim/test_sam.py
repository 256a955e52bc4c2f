"""Sharpness-aware steps against a literal implementation."""

import copy

import pytest
import torch
from torch import Tensor, nn

from mlc_cli.core.training.optim.sam import Sam, frozen_bn_statistics


def model_and_loss(seed: int = 0) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    return model, torch.randn(16, 4), torch.randint(0, 2, (16, 3)).float()


def backward(model: nn.Module, inputs: Tensor, targets: Tensor, scale: float = 1.0) -> None:
    model.zero_grad()
    loss = nn.functional.binary_cross_entropy_with_logits(model(inputs), targets)
    (loss * scale).backward()


def literal_worst_point(model: nn.Module, rho: float, *, adaptive: bool) -> list[Tensor]:
    """w + rho g / |g|, or w + rho w^2 g / |w g|, in float64."""
    weights = [p.detach().double() for p in model.parameters()]
    gradients = [p.grad.double() for p in model.parameters()]  # type: ignore[union-attr]
    if adaptive:
        norm = sum(((w * g) ** 2).sum() for w, g in zip(weights, gradients, strict=True)) ** 0.5
        steps = [w**2 * g for w, g in zip(weights, gradients, strict=True)]
    else:
        norm = sum((g**2).sum() for g in gradients) ** 0.5
        steps = gradients
    return [w + rho * s / norm for w, s in zip(weights, steps, strict=True)]


@pytest.mark.parametrize("scale", [1.0, 65536.0, 1e-3])
@pytest.mark.parametrize("adaptive", [False, True])
def test_weights_move_to_the_literal_worst_point_whatever_the_scale_of_the_loss(
    adaptive: bool, scale: float
) -> None:
    model, inputs, targets = model_and_loss()
    backward(model, inputs, targets)
    expected = literal_worst_point(model, 0.5, adaptive=adaptive)
    backward(model, inputs, targets, scale)
    sam = Sam(0.5, adaptive)
    with sam.perturbed(list(model.parameters())):
        for found, wanted in zip(model.parameters(), expected, strict=True):
            torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("adaptive", [False, True])
def test_weights_are_restored_to_the_bit(adaptive: bool) -> None:
    model, inputs, targets = model_and_loss()
    before = copy.deepcopy(model.state_dict())
    backward(model, inputs, targets)
    with Sam(0.05, adaptive).perturbed(list(model.parameters())):
        assert not torch.equal(model[0].weight, before["0.weight"])  # type: ignore[index]
        backward(model, inputs, targets)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_weights_are_restored_to_the_bit_when_the_second_pass_raises() -> None:
    model, inputs, targets = model_and_loss()
    before = copy.deepcopy(model.state_dict())
    backward(model, inputs, targets)
    with pytest.raises(KeyboardInterrupt), Sam(0.05, False).perturbed(list(model.parameters())):
        raise KeyboardInterrupt
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
@pytest.mark.parametrize("adaptive", [False, True])
def test_a_gradient_that_is_not_finite_leaves_the_weights_in_place(
    adaptive: bool, bad: float
) -> None:
    model, inputs, targets = model_and_loss()
    before = copy.deepcopy(model.state_dict())
    backward(model, inputs, targets)
    model[2].bias.grad[1] = bad  # type: ignore[index, union-attr]
    with Sam(0.05, adaptive).perturbed(list(model.parameters())):
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name])


@pytest.mark.parametrize("adaptive", [False, True])
def test_zero_gradients_and_parameters_without_one_are_no_trouble(adaptive: bool) -> None:
    model, inputs, targets = model_and_loss()
    backward(model, inputs, targets)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    model[0].bias.grad = None  # type: ignore[index, union-attr]
    before = copy.deepcopy(model.state_dict())
    with Sam(0.05, adaptive).perturbed(list(model.parameters())):
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name])
    with Sam(0.05, adaptive).perturbed([]):
        pass


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_stand_still_while_frozen(momentum: float | None) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=momentum))
    model(torch.randn(5, 3, 8, 8))
    before = copy.deepcopy(model.state_dict())
    with frozen_bn_statistics([m for m in model if isinstance(m, nn.modules.batchnorm._BatchNorm)]):
        inside = model(10 + torch.randn(5, 3, 8, 8))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert inside.mean().abs() < 0.1, "the batch's own statistics normalise it"
    model(10 + torch.randn(5, 3, 8, 8))
    for name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
        assert not torch.equal(model.state_dict()[name], before[name])
    assert model[1].momentum == momentum


def test_running_statistics_move_again_after_an_error() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3))
    with (
        pytest.raises(RuntimeError, match="stop"),
        frozen_bn_statistics([m for m in model if isinstance(m, nn.modules.batchnorm._BatchNorm)]),
    ):
        raise RuntimeError("stop")
    model(torch.randn(8, 3))
    assert model[0].num_batches_tracked == 1
    assert model[0].momentum == 0.1
