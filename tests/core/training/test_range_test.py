"""The learning-rate range test, against a literal loop and curves that are known."""

import math
from contextlib import closing

import pytest
import torch

from mlc_cli.core.training.build import prepare
from mlc_cli.core.training.range_test import FIRST, LAST, STEPS, range_test, steepest


def test_the_steepest_fall_is_that_of_the_curve() -> None:
    """Of a logistic fall around 1e-3, and a rise after it that is steeper, but no fall."""
    rates = [10 ** (-6 + 6 * k / 99) for k in range(100)]
    losses = [1 / (1 + math.exp(4 * (math.log10(x) + 3))) + 50 * max(0.0, x - 0.5) for x in rates]
    assert steepest(list(zip(rates, losses, strict=True))) == pytest.approx(1e-3, rel=0.1)


def test_a_loss_that_never_falls_gives_its_lowest() -> None:
    assert steepest([(0.1, 1.0), (0.2, 2.0), (0.3, 3.0)]) == 0.1


def test_rates_and_losses_are_those_of_a_literal_loop(make_dataset, tiny_settings) -> None:
    settings = tiny_settings(
        make_dataset(16, 8), "optim={name: sgd, momentum: 0, weight_decay: 0}", "augment.flip=0",
        "epochs=1", "model.freeze_bn=true",
    )  # fmt: skip
    with closing(prepare(settings)) as training:
        seen = []
        points = range_test(training, seen.append)
    with closing(prepare(settings)) as other:
        plan, model = other.plan, other.state.model.train()
        mean, expected, batches = 0.0, [], []
        for number in range(len(points)):
            batches = batches or list(plan.train.epoch(number // len(plan.train), 0))
            batch = batches.pop(0)
            rate = FIRST * (LAST / FIRST) ** (number / (STEPS - 1))
            model.zero_grad()
            images = plan.step.normalise(batch.images_NHWC)
            loss = plan.step.loss(model(images), batch.targets_NC.float())
            loss.backward()
            with torch.no_grad():
                for weight in (p for p in model.parameters() if p.grad is not None):
                    weight.sub_(rate * weight.grad)
            mean = 0.9 * mean + 0.1 * loss.item()
            expected.append((rate, mean / (1 - 0.9 ** (number + 1))))
    assert len(points) > 60
    assert [len(points), len(seen)] == [len(expected)] * 2
    for found, own in zip(points[:60], expected, strict=False):
        assert found == pytest.approx(own, rel=1e-3)
    losses = [loss for _, loss in points]
    assert max(losses) <= 3 * min(losses)
