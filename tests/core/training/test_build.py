"""Settings of a training that change how it runs, and not what it computes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from mlc_cli.core.training.build import Training, prepare
from mlc_cli.settings.train import TrainSettings

Make = Callable[..., TrainSettings]


@pytest.fixture
def prepared(tiny_settings: Make, make_dataset: Callable[..., Path]) -> Callable[..., Training]:
    root = make_dataset(16, 8)
    return lambda *assignments: prepare(tiny_settings(root, *assignments))


def test_a_compiled_model_gives_the_same_logits(
    prepared: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[nn.Module] = []
    original = torch.compile

    def compile_(model: nn.Module) -> nn.Module:
        compiled.append(model)
        return original(model, backend="eager")

    monkeypatch.setattr(torch, "compile", compile_)
    plain, other = prepared("compile=false"), prepared("compile=true")
    assert compiled == [other.built.classifier]
    assert plain.plan.step.forward is plain.built.classifier
    assert other.plan.step.forward is not other.built.classifier
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator())
    first, second = (training.plan.step.forward(images) for training in (plain, other))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("on", [True, False])
def test_deterministic_algorithms_are_chosen_before_the_model_is_built(
    prepared: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, on: bool
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")  # whatever is set is taken back
    try:
        prepared(f"deterministic={str(on).lower()}")
        assert torch.are_deterministic_algorithms_enabled() == on
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = torch.backends.cudnn.benchmark = False
