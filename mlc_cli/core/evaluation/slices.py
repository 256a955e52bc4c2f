"""Groups of images, each measured apart: a mean hides those that a model fails.

Names of arrays: N images, C classes.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mlc_cli.core.datasets.columns import read_columns
from mlc_cli.core.evaluation.bootstrap import Interval, bootstrap
from mlc_cli.core.evaluation.metrics import (
    Flags,
    Floats,
    average_precision_C,
    counted,
    mean_average_precision,
    metrics_of_decisions,
    ratio,
)
from mlc_cli.core.evaluation.objectives import Objective
from mlc_cli.core.evaluation.promises import Floor
from mlc_cli.core.evaluation.reliability import share_interval
from mlc_cli.core.evaluation.scores import SavedScores
from mlc_cli.core.images.header import read_header
from mlc_cli.core.images.scaled import exif_value
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.files import read_bytes
from mlc_cli.core.system.threads import in_threads
from mlc_cli.errors import UsageError
from mlc_cli.text import nearest, some

FEW = 20
"""Images of a slice that tell too little to fail a gate by."""
MOST, MOST_NUMBERS = 100, 12
NONE = "(none)"
_MAKE, _MODEL = 0x010F, 0x0110  # tags of EXIF


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval, both nan where it is undefined, and what it is of."""

    value: float
    interval: Interval
    images: int


@dataclass(frozen=True)
class Slice:
    """Images that have something in common.

    Attributes:
        by: What: the name of a kept column, `folder`, `camera` or `size`.
        value: Of this slice.
        images: How many.
        metrics: mAP, CF1 and OF1 at the thresholds, with intervals of the bootstrap.
        floors: Measures of the classes that a floor was set for, by floor and class, with
            exact intervals, which hold for few images, too.
        missed: Classes whose whole interval misses the floor, by floor.
    """

    by: str
    value: str
    images: int
    metrics: dict[str, Measured]
    floors: dict[str, dict[str, Measured]]
    missed: dict[str, list[str]]

    @property
    def few(self) -> bool:
        """Whether it is too small to tell much."""
        return self.images < FEW

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "slice": self.value,
            "images": self.images,
            "few": self.few,
            **{name: _plain(one) for name, one in self.metrics.items()},
            "floors": {
                floor: {
                    "missed": self.missed[floor],
                    "per_class": {name: _plain(one) for name, one in own.items()},
                }
                for floor, own in self.floors.items()
            },
        }


def _plain(one: Measured) -> dict[str, float | int | None]:
    numbers = {"value": one.value, "low": one.interval.low, "high": one.interval.high}
    plain = {name: float(n) if np.isfinite(n) else None for name, n in numbers.items()}
    return {**plain, "images": one.images}


def slice_values(
    bys: Sequence[str], source: Path | None, folder: Path, paths: Sequence[str]
) -> dict[str, list[str]]:
    """The value of each image by all that slices are told by.

    Args:
        bys: What slices are told by.
        source: Annotation file, beside which columns are kept; `None` where scores are all there
            is, and paths alone can tell slices.
        folder: Folder of the images.
        paths: Of the images, below it.

    Raises:
        UsageError: There is no such column, or no image to look at.
        MlcError: A file cannot be read.
    """
    return {by: _values(by, source, folder, paths) for by in bys}


def _values(by: str, source: Path | None, folder: Path, paths: Sequence[str]) -> list[str]:
    if by == "folder":
        return [str(PurePosixPath(path).parent) for path in paths]
    if source is None:
        raise UsageError(
            f"--slices {by}: saved scores know only the folders of the images",
            "Leave out --scores, or take --slices folder.",
        )
    if by in ("camera", "size"):
        tell = _camera if by == "camera" else _size
        files = [folder / path for path in paths]
        return list(in_threads(tell, files, usable_cores()))
    cells = read_columns(source).images
    names = sorted({name for row in cells.values() for name in row})
    if by not in names:
        raise UsageError(
            f"--slices {by}: is neither folder, camera or size nor a column that was kept beside"
            f" {source}{nearest(by, [*names, 'folder', 'camera', 'size'])}",
            f"Kept columns are {some(names)}."
            if names
            else "`mlc dataset-convert --keep-columns` keeps those of a table.",
        )
    return _banded([cells.get(path, {}).get(by, "").strip() or NONE for path in paths])


def _camera(path: Path) -> str:
    exif = read_header(read_bytes(path)).exif
    make, model = (str(exif_value(exif, tag) or "") for tag in (_MAKE, _MODEL))
    return (model if model.startswith(make) else f"{make} {model}").strip() or NONE


def _size(path: Path) -> str:
    least = 1 << min(read_header(read_bytes(path)).shown).bit_length() - 1
    return f"shorter side {least} to {2 * least - 1}"


def _banded(cells: list[str]) -> list[str]:
    """Numbers of many values in quarters; other cells as they are."""
    try:
        numbers_N = np.array([float(cell) if cell != NONE else np.nan for cell in cells])
    except ValueError:
        return cells
    known = numbers_N[np.isfinite(numbers_N)]
    if len(np.unique(known)) <= MOST_NUMBERS:
        return cells
    edges = np.unique(np.quantile(known, (0, 0.25, 0.5, 0.75, 1))).tolist()
    bands = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    places_N = np.clip(np.searchsorted(edges, numbers_N, side="right") - 1, 0, len(bands) - 1)
    known_N = np.isfinite(numbers_N)
    return [bands[p] if k else c for p, k, c in zip(places_N, known_N, cells, strict=True)]


KeptFloor = tuple[Floor, Floats, Collection[str]]
"""A floor, the thresholds that keep it, and the classes that it is not set for."""


def promised_floors(card: ModelCard) -> list[KeptFloor]:
    """Floors that a model promises at its thresholds."""
    promise, lower = card.promise or {"floors": []}, card.lower_thresholds
    return [
        (floor, np.array(lower if lower and floor.measure == "recall" else card.thresholds),
         promise["not_promised"])
        for text in promise["floors"]
        for floor in Objective.parse(text).floors
    ]  # fmt: skip


def measure_slices(
    values: Mapping[str, Sequence[str]],
    scores: SavedScores,
    thresholds_C: Floats | None,
    floors: Sequence[KeptFloor] = (),
) -> list[Slice]:
    """Measure each slice by itself, those of the lowest mAP first.

    Args:
        values: The slice of each image, by what slices are told by; those of rare ones beyond so
            many are taken together.
        scores: Of all images.
        thresholds_C: Probability from which each class counts as present; one half by default.
        floors: That were set.
    """
    decide, half_C = scores.bound.decide, np.full(len(scores.classes), 0.5)
    made_NC = decide(scores.probabilities_NC, half_C if thresholds_C is None else thresholds_C)
    kept = [(floor, decide(scores.probabilities_NC, own_C), none) for floor, own_C, none in floors]
    return [one for by in values for one in _measure(by, values[by], scores, made_NC, kept)]


def _measure(
    by: str,
    values: Sequence[str],
    scores: SavedScores,
    made_NC: Flags,
    floors: Sequence[tuple[Floor, Flags, Collection[str]]],
) -> list[Slice]:
    common = [value for value, _ in Counter(values).most_common()]
    rest = {value: f"({len(common) - MOST + 1} others)" for value in common[MOST - 1 :]}
    named_N = np.array([rest.get(v, v) if len(common) > MOST else v for v in values])
    slices = []
    for value in dict.fromkeys(named_N.tolist()):
        rows = np.flatnonzero(named_N == value)
        own = scores.probabilities_NC[rows], scores.targets_NC[rows]
        intervals = bootstrap(*own, {"": made_NC[rows]})
        metrics = metrics_of_decisions(made_NC[rows], own[1])
        mean_ap = mean_average_precision(average_precision_C(*own))
        measured = {"mAP": Measured(mean_ap, intervals.mean_ap, len(rows))}
        for name in ("CF1", "OF1"):
            span = intervals.decisions[""][name]
            measured[name] = Measured(getattr(metrics, name), span, len(rows))
        found = {
            str(floor): _classes(floor, kept_NC[rows], own[1], scores.classes, without)
            for floor, kept_NC, without in floors
        }
        missed = {
            str(floor): [name for name, m in found[str(floor)].items() if _missed(floor, m)]
            for floor, *_ in floors
        }
        slices.append(Slice(by, value, len(rows), measured, found, missed))
    return sorted(slices, key=lambda one: np.nan_to_num(one.metrics["mAP"].value, nan=2.0))


def _classes(
    floor: Floor, made_NC: Flags, targets_NC: Any, names: list[str], without: Collection[str]
) -> dict[str, Measured]:
    """The measure of a floor for each class that it was set for and that has such images."""
    true, predicted, present, known = (f.sum(axis=0) for f in counted(made_NC, targets_NC))
    hits_C, of_C = {
        "precision": (true, predicted),
        "recall": (true, present),
        "fpr": (predicted - true, known - present),
    }[floor.measure]
    low_C, high_C = share_interval(hits_C, of_C)
    value_C = ratio(hits_C, of_C)
    return {
        name: Measured(float(value_C[c]), Interval(float(low_C[c]), float(high_C[c])), int(of_C[c]))
        for c, name in enumerate(names)
        if of_C[c] and name not in without
    }


def _missed(floor: Floor, one: Measured) -> bool:
    if floor.measure == "fpr":
        return one.interval.low > floor.bound
    return one.interval.high < floor.bound


def worst_slice(slices: Sequence[Slice]) -> Slice | None:
    """The slice of the lowest mAP among those that are not too small; `None` without any."""
    large = [s for s in slices if not s.few and np.isfinite(s.metrics["mAP"].value)]
    return min(large, key=lambda one: one.metrics["mAP"].value, default=None)
