"""How far exported files are from the checkpoint that they were made of.

Names of arrays: N images, C classes.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mlc_cli.core.evaluation.metrics import Floats, mean_ap_of
from mlc_cli.core.evaluation.probabilities import probabilities
from mlc_cli.core.inference.engines import Engine
from mlc_cli.core.loading.loader import Batches

Logits = NDArray[np.float32]

TIE = 1e-3
"""Logits that are further apart never count as tied."""


@dataclass(frozen=True)
class Outputs:
    """What several engines say of the same images.

    Attributes:
        logits: Logits N×C by engine.
        targets_NC: 1 present, 0 absent, -1 unknown.
        indices_N: Positions of the images in their annotation; unreadable ones are missing.
        rates: Images a second by engine, reading not counted.
    """

    logits: dict[str, Logits]
    targets_NC: NDArray[np.int8]
    indices_N: NDArray[np.int64]
    rates: dict[str, float]


def run_in_turn(engines: Mapping[str, Engine], batches: Batches) -> Outputs:
    """Run engines over the same images, one after the other.

    Each has the machine for itself: threads that wait for work in one library slow the others down.
    So images are read again for each engine.

    Raises:
        TrainingError: A logit is not finite.
    """
    logits, rates = {}, {}
    for name, engine in engines.items():
        logits[name], rates[name] = _run(engine, batches)
    kept = [(b.targets_NC, b.indices_N) for b in batches.epoch() if len(b.indices_N)]
    targets_NC, indices_N = (torch.cat(part).numpy() for part in zip(*kept, strict=True))
    return Outputs(logits, targets_NC, indices_N, rates)


def _run(engine: Engine, batches: Batches) -> tuple[Logits, float]:
    """Logits of all images, and images a second without reading."""
    parts: list[Logits] = []
    seconds = 0.0
    for batch in batches.epoch():
        if not len(batch.indices_N):
            continue
        images_NHWC = batch.images_NHWC.numpy()
        if not parts:
            engine(images_NHWC)  # the first run allocates
        started = time.perf_counter()
        parts.append(engine(images_NHWC))
        seconds += time.perf_counter() - started
    logits_NC: Logits = np.concatenate(parts)
    probabilities(logits_NC)  # refuses what is not finite
    return logits_NC, len(logits_NC) / max(seconds, 1e-9)


@dataclass(frozen=True)
class Difference:
    """Between a file and what it is compared with.

    Attributes:
        logit: Largest absolute difference of a logit.
        probability: Largest absolute difference of a probability.
        decisions: Part of all decisions that agree, in 0..1.
        mean_ap: mAP of the file minus that of the other; nan without positives.
        ties: What of this may come from ranks that swap where logits are as near as both differ.
    """

    logit: float
    probability: float
    decisions: float
    mean_ap: float
    ties: float = 0.0


def compare(
    logits_NC: Logits, other_NC: Logits, targets_NC: NDArray[np.int8], thresholds_C: Floats
) -> Difference:
    """Compare logits of the same images."""
    ours_NC, theirs_NC = probabilities(logits_NC), probabilities(other_NC)
    apart = float(np.abs(logits_NC - other_NC).max())
    agree_NC = (ours_NC >= thresholds_C) == (theirs_NC >= thresholds_C)
    return Difference(
        logit=apart,
        probability=float(np.abs(ours_NC - theirs_NC).max()),
        decisions=float(agree_NC.mean()),
        mean_ap=mean_ap_of(logits_NC, targets_NC) - mean_ap_of(other_NC, targets_NC),
        ties=_ties(other_NC, targets_NC, min(apart, TIE)),
    )


def _ties(logits_NC: Logits, targets_NC: NDArray[np.int8], apart: float) -> float:
    """How far mAP may move if no logit moves further than `apart`: the best and the worst case."""
    way_NC = np.where(targets_NC == 1, apart, -apart)
    worst, base, best = (
        mean_ap_of(logits_NC + sign * way_NC, targets_NC) for sign in (-1.0, 0.0, 1.0)
    )
    return max(best - base, base - worst)


@dataclass(frozen=True)
class Limits:
    """What a difference may come to, of the mAP to either side; `None` sets no limit."""

    logit: float | None = None
    probability: float | None = None
    mean_ap: float | None = None
    mean_ap_drop: float | None = None

    def faults(self, difference: Difference) -> list[str]:
        """What of a difference is above its limit, in words; an undefined mAP is not."""
        checks = (
            ("a logit differs", difference.logit, self.logit),
            ("a probability differs", difference.probability, self.probability),
            ("mAP differs", abs(difference.mean_ap) - difference.ties, self.mean_ap),
            ("mAP drops", -difference.mean_ap, self.mean_ap_drop),
        )
        return [
            f"{what} by {value:.2g}, more than {limit:g}"
            for what, value, limit in checks
            if limit is not None and value > limit
        ]
