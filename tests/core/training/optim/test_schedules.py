"""Schedules against torch's own."""

import math

import numpy as np
import pytest
import torch

from mlc_cli.core.training.optim.build import build_schedule
from mlc_cli.core.training.optim.early_stop import EarlyStop
from mlc_cli.core.training.optim.schedules import Constant, Cosine, OneCycle, Plateau, Schedule
from mlc_cli.settings.optim import (
    ConstantSettings,
    CosineSettings,
    MultiStepSettings,
    OneCycleSettings,
    PlateauSettings,
    ScheduleSettings,
    StepSettings,
)


@pytest.mark.parametrize(
    ("steps", "pct"), [(100, 0.2), (37, 0.3), (7, 0.5), (5, 0.25), (1000, 0.05)]
)
@pytest.mark.parametrize(("div", "final_div"), [(100, 1000), (25, 1e4), (1, 1)])
def test_one_cycle_equals_torchs_at_every_step(
    steps: int, pct: float, div: float, final_div: float
) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=0.005,
        total_steps=steps,
        pct_start=pct,
        div_factor=div,
        final_div_factor=final_div,
        base_momentum=0.85,
        max_momentum=0.95,
    )
    schedule = OneCycle(steps, pct, div, final_div, (0.85, 0.95))
    for step in range(steps):
        group = optimizer.param_groups[0]
        assert 0.005 * schedule.factor(step) == pytest.approx(group["lr"], rel=1e-9)
        assert schedule.momentum(step) == pytest.approx(group["momentum"], rel=1e-9)
        optimizer.step()
        if step < steps - 1:
            reference.step()


def test_one_cycle_equals_the_golden_numbers() -> None:
    schedule = OneCycle(100, 0.2, 100, 1000, (0.85, 0.95))
    lrs = [0.005 * schedule.factor(step) for step in range(100)]
    assert lrs[0] == pytest.approx(5e-5)
    assert lrs[19] == pytest.approx(5e-3)
    assert f"{lrs[50]:.4e}" == "3.3653e-03"
    assert lrs[99] == pytest.approx(5e-8)
    assert schedule.momentum(0) == pytest.approx(0.95)
    assert schedule.momentum(19) == pytest.approx(0.85)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_one_cycle_of_few_steps_stays_within_its_bounds(steps: int) -> None:
    schedule = OneCycle(steps, 0.2, 100, 1000, (0.85, 0.95))
    for step in range(steps):
        assert 1e-5 * (1 - 1e-9) <= schedule.factor(step) <= 1
        assert 0.85 <= schedule.momentum(step) <= 0.95  # type: ignore[operator]


@pytest.mark.parametrize("name", ["one_cycle", "cosine", "constant", "plateau"])
def test_momentum_is_left_to_the_optimizer_by_default(name: str) -> None:
    assert schedules()[name].momentum(3) is None


def schedules(steps: int = 40, per_epoch: int = 10) -> dict[str, Schedule]:
    settings: dict[str, ScheduleSettings] = {
        "one_cycle": OneCycleSettings(),
        "cosine": CosineSettings(final=0.1),
        "constant": ConstantSettings(warmup_epochs=0.5),
        "plateau": PlateauSettings(patience=1, factor=0.4, final=0.05),
    }
    return {name: build_schedule(value, steps, per_epoch) for name, value in settings.items()}


def test_cosine_warms_up_linearly_then_equals_torchs_annealing() -> None:
    schedule = build_schedule(CosineSettings(warmup_epochs=1, final=0.1), 40, 10)
    assert isinstance(schedule, Cosine)
    assert [schedule.factor(step) for step in range(10)] == pytest.approx(
        [(step + 1) / 10 for step in range(10)]
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=29, eta_min=0.1)
    for step in range(10, 40):
        assert schedule.factor(step) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert schedule.factor(39) == pytest.approx(0.1)


@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.25, 4.0, 9.0])
def test_cosine_with_any_warm_up_has_finite_positive_rates(warmup: float) -> None:
    schedule = build_schedule(CosineSettings(warmup_epochs=warmup, final=0.01), 40, 10)
    factors = [schedule.factor(step) for step in range(40)]
    assert all(0 < factor <= 1 for factor in factors)
    if warmup <= 0.25:
        assert max(factors) == pytest.approx(1, abs=0.01)


def test_constant_warms_up_and_stays() -> None:
    schedule = build_schedule(ConstantSettings(warmup_epochs=0.5), 40, 10)
    assert isinstance(schedule, Constant)
    assert [schedule.factor(step) for step in range(7)] == pytest.approx(
        [0.2, 0.4, 0.6, 0.8, 1, 1, 1]
    )
    assert build_schedule(ConstantSettings(), 40, 10).factor(0) == 1


def test_plateau_equals_torchs_reduce_on_plateau() -> None:
    generator = torch.Generator().manual_seed(0)
    metrics = (0.5 + 0.1 * torch.randn(60, generator=generator)).tolist()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.4, patience=2, threshold=0.0, min_lr=0.05, eps=0
    )
    schedule = Plateau(0, 0.4, 2, 0.05)
    for metric in metrics:
        schedule.observe(metric)
        reference.step(metric)
        assert schedule.factor(99) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert schedule.factor(99) == pytest.approx(0.05)


def test_plateau_continues_from_its_saved_state() -> None:
    first, second = Plateau(4, 0.4, 2, 0.05), Plateau(4, 0.4, 2, 0.05)
    for metric in (0.5, 0.4, 0.3, 0.2, 0.1):
        first.observe(metric)
    second.load(first.state())
    for metric in (0.45, 0.45, 0.6, 0.1, 0.1, 0.1):
        first.observe(metric)
        second.observe(metric)
        assert first.factor(9) == second.factor(9)
    assert first.factor(9) < 0.4


@pytest.mark.parametrize("name", ["one_cycle", "cosine", "plateau"])
def test_annealed_holds_only_after_the_peak_and_below_half_of_it(name: str) -> None:
    schedule = schedules()[name]
    peaked = False
    seen = []
    for step in range(40):
        schedule.observe(0.0)
        peaked = peaked or schedule.factor(step) > 0.95
        if schedule.annealed(step):
            assert peaked or name == "plateau"
            assert schedule.factor(step) < 0.5
        seen.append(schedule.annealed(step))
    assert seen[-1]
    assert seen == sorted(seen)


def test_a_constant_rate_counts_as_annealed_after_its_warm_up() -> None:
    schedule = schedules()["constant"]
    assert [schedule.annealed(step) for step in range(8)] == [False] * 5 + [True] * 3


def test_early_stop_waits_for_annealing_then_for_its_patience() -> None:
    stop = EarlyStop(2, 0.0)
    assert not any(stop.observe(metric, annealed=False) for metric in (0.5, *[0.1] * 50))
    assert not stop.observe(0.1, annealed=True)
    assert stop.observe(0.1, annealed=True)


def test_a_gain_resets_the_patience_and_must_exceed_min_delta() -> None:
    stop = EarlyStop(2, 0.1)
    assert not stop.observe(0.5, annealed=True)
    assert not stop.observe(0.55, annealed=True)
    assert not stop.observe(0.65, annealed=True)
    assert not stop.observe(0.7, annealed=True)
    assert stop.observe(0.74, annealed=True)


@pytest.mark.parametrize("patience", [1, 3])
@pytest.mark.parametrize("name", ["one_cycle", "cosine", "plateau"])
def test_a_training_without_gain_never_stops_before_annealing(name: str, patience: int) -> None:
    schedule = schedules(steps=200)[name]
    stop = EarlyStop(patience, 0.0)
    annealed = 0
    for epoch in range(20):
        last = epoch * 10 + 9
        schedule.observe(0.0)
        annealed += schedule.annealed(last)
        stopped = stop.observe(-math.inf if epoch else 0.5, annealed=schedule.annealed(last))
        assert stopped == (annealed >= patience)
        if stopped:
            break
    assert annealed == patience


@pytest.mark.parametrize(
    ("settings", "milestones"),
    [
        (StepSettings(every=3, gamma=0.5), [3, 6, 9]),
        (MultiStepSettings(milestones=(7, 4), gamma=0.1), [4, 7]),
    ],
)
def test_falls_equal_torchs_at_every_epoch(
    settings: ScheduleSettings, milestones: list[int]
) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, settings.gamma)
    schedule = build_schedule(settings, 50, 5)
    for step in range(50):
        assert schedule.factor(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        assert schedule.annealed(step) == (schedule.factor(step) < 0.5)
        optimizer.step()
        if step % 5 == 4:
            reference.step()


def test_one_cycle_can_be_told_its_warm_up_in_epochs() -> None:
    schedule = build_schedule(OneCycleSettings(warmup_epochs=3), 100, 10)
    assert max(range(100), key=schedule.factor) == 30
    assert [schedule.warm(step) for step in (29, 30, 99)] == [False, True, True]


def test_the_published_rule_stops_as_its_literal_form() -> None:
    """e <- 0.8 a + 0.2 e at a gain over e; else a wait, once the warm-up is over."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        stop = EarlyStop(4, 0.0, "smoothed")
        smoothed, waited = 0.0, 0
        for epoch in range(60):
            accuracy = float(rng.uniform(0.3, 0.9))
            warm = epoch >= 12
            if round(accuracy, 4) > smoothed:
                smoothed, waited = 0.8 * accuracy + 0.2 * smoothed, 0
            elif warm:
                waited += 1
            assert stop.observe(accuracy, annealed=False, warm=warm) == (waited >= 4)
            if waited >= 4:
                break
    assert EarlyStop(5, 0.0, "smoothed").observe(1.0, annealed=False)
