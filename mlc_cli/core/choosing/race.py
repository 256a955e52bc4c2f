"""Candidates and who is still in the race.

Estimates are compared in pairs, on the same draws of the same images: what is common to both, most
of the noise, cancels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlc_cli.core.evaluation.bootstrap import Interval, interval
from mlc_cli.core.evaluation.metrics import Floats


@dataclass
class Candidate:
    """A backbone at a size, and what is known of it so far.

    Attributes:
        backbone: timm's name.
        size: Height and width in pixels.
        licence: Of its weights.
        weights: File of the weights, if they do not come from the hub.
        out: Why it is out of the race, if it is.
        gmacs: Multiply-accumulates of an image, in 1e9.
        megabytes: Of its fp32 weights, head included.
        latency_ms: Of one image, on this machine.
        rate: Images a second, on this machine.
        int8_ms: As `latency_ms`, quantised.
        int8_rate: As `rate`, quantised.
        images: Training images that the estimates are from.
        lr: Best learning rate of the head.
        mean_ap: Mean of the two below, by their images.
        out_of_fold: On training images alone.
        val: On validation images alone.
        maps_B: `mean_ap`, and then that of each draw of the images.
    """

    backbone: str
    size: int
    licence: str
    weights: str | None = None
    out: str = ""
    gmacs: float = 0.0
    megabytes: float = 0.0
    latency_ms: float | None = None
    rate: float | None = None
    int8_ms: float | None = None
    int8_rate: float | None = None
    images: int = 0
    lr: float = 0.0
    mean_ap: float = float("nan")
    out_of_fold: float = float("nan")
    val: float = float("nan")
    maps_B: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.backbone} at {self.size}"

    @property
    def speeds(self) -> list[str]:
        """Milliseconds and images a second, as fp32 and as INT8; "-" where it is not known."""
        values = (self.latency_ms, self.rate, self.int8_ms, self.int8_rate)
        return ["-" if value is None else f"{value:,.2f}" for value in values]

    @property
    def interval(self) -> Interval:
        """Of `mean_ap`."""
        return interval(self.maps_B)


WORK = 1.5
"""How much less work tells that a model is faster, before both are measured."""


def is_faster(one: Candidate, other: Candidate) -> bool:
    """Whether one is faster: as measured, else by the work it does."""
    if one.latency_ms is not None and other.latency_ms is not None:
        return one.latency_ms <= other.latency_ms
    return one.gmacs * WORK <= other.gmacs


def dominated_by(one: Candidate, others: Sequence[Candidate]) -> Candidate | None:
    """One that is faster and beyond noise better, on as many images: in 97.5 % of the draws."""
    for other in others:
        if other is not one and other.images == one.images and is_faster(other, one):
            gain = interval(other.maps_B - one.maps_B, least=-1)
            if gain.low > 0:
                return other
    return None


def front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those of which no other is faster and better, by latency: the Pareto front."""
    chosen: list[Candidate] = []
    for one in sorted(candidates, key=lambda c: (c.latency_ms or 0.0, -c.mean_ap)):
        if not chosen or one.mean_ap > chosen[-1].mean_ap:
            chosen.append(one)
    return chosen


@dataclass(frozen=True)
class Choice:
    """What came out.

    Attributes:
        folder: Where `choose.json`, `choose.html` and `chosen.yaml` are.
        candidates: All, those with the least work first.
        best: The recommended one, if any fits.
        alternative: The fastest that is not worse beyond noise, if it is another.
        machine: Processor and cores.
        warnings: What the user should know.
    """

    folder: Path
    candidates: tuple[Candidate, ...]
    best: Candidate | None
    alternative: Candidate | None
    machine: str
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "machine": self.machine,
            "best": self.best.name if self.best else None,
            "alternative": self.alternative.name if self.alternative else None,
            "candidates": [_row(c) for c in self.candidates],
            "warnings": list(self.warnings),
        }


def _row(one: Candidate) -> dict[str, Any]:
    row = {key: value for key, value in vars(one).items() if key != "maps_B"}
    low_high = one.interval
    row |= {"mean_ap_low": low_high.low, "mean_ap_high": low_high.high}
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
