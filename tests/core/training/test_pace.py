"""How many epochs fit a time."""

from dataclasses import replace

import pytest

from mlc_cli.core.training.pace import Demand, Pace, fit
from mlc_cli.errors import SettingsError

PACE = Pace(read=0.01, step=0.05, forward=0.02, save=0.0, on_host=True, cached=True)
DEMAND = Demand(train=1000, val=100, features=0, models=1, eval_every=1, sam_epochs=None)


def as_it_happens(demand: Demand, pace: Pace, epochs: int, part: float) -> float:
    """The seconds of a training, image by image as it goes."""
    seconds, known = 0.0, 0.0

    def look(images: float, work: float, first: float) -> None:
        nonlocal seconds
        reading = pace.read * first
        busy = images * work
        seconds += busy + reading if pace.on_host else busy + max(0.0, reading - first * work)

    if demand.features:  # reads all, in another size than training does
        seconds += demand.train * pace.read + 1.1 * demand.features * pace.forward
    look(demand.val, pace.forward, demand.val)  # the first evaluation reads, of a new run or epoch
    for epoch in range(epochs):
        shown = part * demand.train
        fresh = min(shown, demand.train - known) if pace.cached else shown
        known += fresh
        heavy = demand.sam_epochs is None or epoch >= epochs - demand.sam_epochs
        seconds += shown * pace.step * (1.0 if heavy else 0.5)
        rest = pace.read if pace.on_host else max(0.0, pace.read - pace.step)
        seconds += fresh * rest
        if (epoch + 1) % demand.eval_every == 0 or epoch + 1 == epochs:
            seconds += demand.models * demand.val * pace.forward
        seconds += 4 * pace.save
    return seconds + demand.val * pace.forward  # the evaluation at the end


PACES = [
    PACE,
    replace(PACE, on_host=False),
    replace(PACE, cached=False, save=0.7),
    replace(PACE, on_host=False, read=0.2),
]
DEMANDS = [
    DEMAND,
    replace(DEMAND, models=2, eval_every=3),
    replace(DEMAND, features=2000),
    replace(DEMAND, sam_epochs=2),
]


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize("demand", DEMANDS)
def test_the_time_is_that_of_a_training_step_by_step(pace: Pace, demand: Demand) -> None:
    for epochs, part in ((1, 1.0), (4, 1.0), (3, 0.25), (5, 0.5)):
        expected = as_it_happens(demand, pace, epochs, part)
        assert demand.seconds(pace, epochs, part) == pytest.approx(expected)


@pytest.mark.parametrize("seconds", [20.0, 70.0, 130.0, 333.0, 777.0, 5000.0])
def test_no_longer_training_would_fit(seconds: float) -> None:
    epochs, part = fit(DEMAND, PACE, seconds, most=20)
    assert DEMAND.seconds(PACE, epochs, part) <= seconds
    longer = [(n, 1.0) for n in range(epochs + 1, 21)]
    if part < 1:
        longer.append((epochs, part + 0.01))
    assert all(DEMAND.seconds(PACE, *more) > seconds for more in longer)
    epoch = DEMAND.seconds(PACE, 2) - DEMAND.seconds(PACE, 1)
    left = seconds - DEMAND.seconds(PACE, epochs, part)
    assert left < (1.0 if epochs >= 5 else 0.1) * epoch or epochs == 20


def test_there_are_no_more_epochs_than_allowed() -> None:
    assert fit(DEMAND, PACE, 1e6, most=20) == (20, 1.0)


def test_too_little_time_is_told_with_what_it_takes() -> None:
    with pytest.raises(SettingsError, match=r"0\.1 minutes are left, .* take more than 0\.1"):
        fit(DEMAND, PACE, 3.0, most=20)
