"""Heads on frozen features, against heads that are trained one by one."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mlc_cli.core.choosing.probe import Recipe, probe
from mlc_cli.core.datasets.stratify import stratify
from mlc_cli.core.evaluation.metrics import average_precision_C, mean_average_precision

IMAGES, OTHERS, CHANNELS, CLASSES, FOLDS = 61, 20, 12, 3, 4


@pytest.fixture
def data() -> tuple[torch.Tensor, np.ndarray, torch.Tensor, np.ndarray]:
    """Features of two views and targets that they tell, with some unknown ones."""
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(CHANNELS, CLASSES))
    features = rng.normal(size=(IMAGES + OTHERS, CHANNELS))
    targets = (features @ truth + rng.normal(size=(IMAGES + OTHERS, CLASSES)) > 0.5).astype(np.int8)
    views = features[:IMAGES, None] + rng.normal(scale=0.1, size=(IMAGES, 2, CHANNELS))
    learnt = targets[:IMAGES].copy()
    learnt[rng.random(learnt.shape) < 0.1] = -1
    return (
        torch.tensor(views, dtype=torch.float32),
        learnt,
        torch.tensor(features[IMAGES:], dtype=torch.float32),
        targets[IMAGES:],
    )


def recipe(**changes: object) -> Recipe:
    values = {
        "rates": (0.001, 0.03, 0.1), "epochs": 6, "weight_decay": 0.02, "batch_size": 16,
        "dropout": 0.0, "folds": FOLDS, "seed": 5,
    }  # fmt: skip
    return Recipe(**{**values, **changes})  # type: ignore[arg-type]


def alone(
    views: torch.Tensor, targets: np.ndarray, rate: float, keep: np.ndarray, how: Recipe
) -> tuple[torch.Tensor, torch.Tensor]:
    """One head, trained as written: weight and bias in float64."""
    known = np.maximum((targets >= 0).sum(0), 1)
    prior = np.clip((targets == 1).sum(0) / known, 1e-4, 1 - 1e-4)
    weight = torch.zeros(CLASSES, CHANNELS, dtype=torch.double, requires_grad=True)
    bias = torch.tensor(np.log(prior / (1 - prior)), requires_grad=True)
    optimizer = torch.optim.AdamW(
        [{"params": [weight], "weight_decay": how.weight_decay},
         {"params": [bias], "weight_decay": 0.0}]
    )  # fmt: skip
    steps = how.epochs * -(-2 * IMAGES // how.batch_size)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.2, div_factor=100, final_div_factor=1000,
        cycle_momentum=False,
    )  # fmt: skip
    order = np.random.default_rng((how.seed, 1))
    for _ in range(how.epochs):
        drawn = order.permutation(2 * IMAGES)
        for start in range(0, len(drawn), how.batch_size):
            chosen = drawn[start : start + how.batch_size]
            image, view = chosen // 2, chosen % 2
            logits = F.linear(views[image, view].double(), weight, bias)
            goal = torch.tensor(targets[image])
            counted = (goal >= 0) & torch.tensor(keep[image])[:, None]
            terms = F.binary_cross_entropy_with_logits(
                logits, goal.clamp(min=0).double(), reduction="none"
            )
            loss = (terms * counted).sum() / counted.sum().clamp(min=1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
    return weight.detach(), bias.detach()


def test_all_heads_are_as_those_trained_alone(
    data: tuple[torch.Tensor, np.ndarray, torch.Tensor, np.ndarray],
) -> None:
    views, targets, others, _ = data
    how = recipe()
    result = probe(views, targets, others, how)
    fold = stratify(targets, [1.0] * FOLDS, how.seed)
    expected = np.empty((IMAGES, CLASSES))
    for number in range(FOLDS):
        weight, bias = alone(views, targets, result.rate, fold != number, how)
        inside = fold == number
        expected[inside] = F.linear(views[inside, 0].double(), weight, bias).numpy()
    np.testing.assert_allclose(result.out_of_fold_NC, expected, atol=2e-4)
    weight, bias = alone(views, targets, result.rate, np.ones(IMAGES, bool), how)
    whole = F.linear(others.double(), weight, bias).numpy()
    np.testing.assert_allclose(result.others_MC, whole, atol=2e-4)


def test_the_rate_that_is_best_out_of_fold_is_taken(
    data: tuple[torch.Tensor, np.ndarray, torch.Tensor, np.ndarray],
) -> None:
    views, targets, others, _ = data
    maps = {}
    for rate in recipe().rates:
        scores = probe(views, targets, others, recipe(rates=(rate,))).out_of_fold_NC
        maps[rate] = mean_average_precision(average_precision_C(scores, targets))
    assert len({round(value, 6) for value in maps.values()}) > 1
    assert probe(views, targets, others, recipe()).rate == max(maps, key=maps.__getitem__)


def test_a_class_without_any_known_image_hurts_no_other(
    data: tuple[torch.Tensor, np.ndarray, torch.Tensor, np.ndarray],
) -> None:
    views, targets, others, truth = data
    targets = targets.copy()
    targets[:, 1] = -1
    result = probe(views, targets, others, recipe())
    assert np.isfinite(result.others_MC).all()
    assert average_precision_C(result.others_MC, truth)[0] > 0.8
