"""Who is out of the race."""

import numpy as np
import pytest

from mlc_cli.core.choosing.race import Candidate, dominated_by, front


def candidate(name: str, latency: float | None, mean_ap: float, **more: object) -> Candidate:
    """One whose draws scatter widely around its estimate, together with those of all others."""
    maps = mean_ap + np.random.default_rng(0).normal(scale=0.05, size=200)
    one = Candidate(name, 64, "mit", latency_ms=latency, mean_ap=mean_ap, maps_B=maps, images=9)
    for key, value in more.items():
        setattr(one, key, value)
    return one


def test_noise_that_both_share_saves_nobody() -> None:
    slow, fast = candidate("slow", 9.0, 0.60), candidate("fast", 3.0, 0.61)
    assert dominated_by(slow, [slow, fast]) is fast
    assert dominated_by(fast, [slow, fast]) is None


def test_noise_of_its_own_saves_a_candidate() -> None:
    slow, fast = candidate("slow", 9.0, 0.60), candidate("fast", 3.0, 0.61)
    fast.maps_B = fast.maps_B + np.random.default_rng(1).normal(scale=0.01, size=200)
    assert dominated_by(slow, [slow, fast]) is None


def test_a_slower_one_beats_nobody() -> None:
    assert dominated_by(candidate("a", 3.0, 0.5), [candidate("b", 3.1, 0.9)]) is None


def test_estimates_from_other_images_are_not_compared() -> None:
    assert dominated_by(candidate("a", 9.0, 0.5), [candidate("b", 1.0, 0.9, images=3)]) is None


@pytest.mark.parametrize(("gmacs", "beaten"), [(1.4, False), (1.6, True)])
def test_work_stands_for_time_that_is_not_measured(gmacs: float, beaten: bool) -> None:
    one = candidate("a", None, 0.5, gmacs=gmacs)
    assert (dominated_by(one, [candidate("b", 1.0, 0.9, gmacs=1.0)]) is not None) == beaten


def test_front_holds_what_no_other_beats() -> None:
    points = [(1, 0.5), (2, 0.7), (2, 0.6), (3, 0.7), (4, 0.65), (5, 0.9)]
    made = [candidate(str(n), float(t), m) for n, (t, m) in enumerate(points)]
    expected = [
        one for one in made
        if not any(
            o.latency_ms <= one.latency_ms and o.mean_ap >= one.mean_ap  # type: ignore[operator]
            and (o.latency_ms, o.mean_ap) != (one.latency_ms, one.mean_ap) for o in made
        )
    ]  # fmt: skip
    assert front(made) == expected
