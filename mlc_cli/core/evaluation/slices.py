"""Groups of images, each measured apart: a mean hides those that a model fails.

Names of arrays: N images, C classes.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.columns import read_columns
from mlc_cli.core.evaluation.bootstrap import bootstrap
from mlc_cli.core.evaluation.metrics import (
    Flags,
    Floats,
    counted,
    mean_ap_of,
    metrics_of_decisions,
    ratio,
)
from mlc_cli.core.evaluation.objectives import Objective
from mlc_cli.core.evaluation.promises import Floor
from mlc_cli.core.evaluation.reliability import share_interval
from mlc_cli.core.evaluation.scores import SavedScores, ScoredSplit
from mlc_cli.core.html.words import span
from mlc_cli.core.html.words import value as shown
from mlc_cli.core.images.header import Header, read_header
from mlc_cli.core.images.scaled import exif_value
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.system import addresses, places
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.files import named_faults
from mlc_cli.core.system.threads import in_threads
from mlc_cli.errors import UsageError
from mlc_cli.text import nearest, some

FEW = 20
"""Images of a slice that tell too little to fail a gate by."""
MOST, MOST_NUMBERS = 100, 12
NONE = "(none)"
OF_IMAGES = ("folder", "camera", "size")
_MAKE, _MODEL = 0x010F, 0x0110  # tags of EXIF
KeptFloor = tuple[Floor, Floats, Collection[str]]
"""A floor, the thresholds that keep it, and the classes that it is not set for."""


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval, nan where it is undefined, and how many images it is of."""

    value: float
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class Slice:
    """Images that have something in common.

    Attributes:
        by: What: the name of a kept column, `folder`, `camera` or `size`.
        value: Of this slice.
        few: Whether it is too small to tell much.
        metrics: mAP, CF1 and OF1 at the thresholds, with intervals of the bootstrap.
        floors: Measures of the classes that a floor was set for, by floor and class, with
            exact intervals, which hold for few images, too.
        missed: Classes whose whole interval misses the floor, by floor.
    """

    by: str
    value: str
    images: int
    few: bool
    metrics: dict[str, Measured]
    floors: dict[str, dict[str, Measured]]
    missed: dict[str, list[str]]


def check_slices(bys: Sequence[str], source: Path) -> dict[str, dict[str, str]]:
    """Columns beside an annotation file; refuses what tells no slices of its images.

    Raises:
        UsageError: There is no such column.
        DataError: The columns cannot be read.
    """
    cells = read_columns(source).images if bys else {}
    names = sorted({name for row in cells.values() for name in row})
    for by in bys:
        if by not in {*names, *OF_IMAGES}:
            raise UsageError(
                f"--slices {by}: is neither {', '.join(OF_IMAGES)} nor a column that was kept"
                f" beside {source}{nearest(by, [*names, *OF_IMAGES])}",
                f"Kept columns are {some(names)}." if names
                else "`mlc dataset-convert --keep-columns` keeps those of a table.",
            )  # fmt: skip
    return cells


def slice_values(by: str, paths: Sequence[str], scored: ScoredSplit | None) -> list[str]:
    """The value of each image; a kept column goes before what images tell under its name.

    Without what was scored, paths alone can tell slices.

    Raises:
        UsageError: There is no such column, or no image to look at.
        MlcError: A file cannot be read.
    """
    cells = check_slices([by], scored.source) if scored else {}
    if any(by in row for row in cells.values()):
        return _banded([cells.get(path, {}).get(by, "").strip() or NONE for path in paths])
    if by == "folder":
        return [str(PurePosixPath(path).parent) for path in paths]
    if scored is None:
        raise UsageError(
            f"--slices {by}: saved scores know only the folders of the images",
            "Leave out --scores, or take --slices folder.",
        )
    files = map(scored.place, range(len(paths)))
    return list(in_threads(_camera if by == "camera" else _size, files, usable_cores()))


def _header(path: Path) -> Header:
    with named_faults(addresses.shown(path), "cannot be read"):
        return read_header(places.read(path))


def _camera(path: Path) -> str:
    exif = _header(path).exif
    make, model = (str(exif_value(exif, tag) or "") for tag in (_MAKE, _MODEL))
    return (model if model.startswith(make) else f"{make} {model}").strip() or NONE


def _size(path: Path) -> str:
    least = 1 << min(_header(path).shown).bit_length() - 1
    return f"shorter side {least} to {2 * least - 1}"


def _banded(cells: list[str]) -> list[str]:
    """Numbers of many values in quarters; other cells as they are."""
    try:
        numbers_N = np.array([float(cell) if cell != NONE else np.nan for cell in cells])
    except ValueError:
        return cells
    known_N = np.isfinite(numbers_N)
    if len(np.unique(numbers_N[known_N])) <= MOST_NUMBERS:
        return cells
    edges = np.unique(np.quantile(numbers_N[known_N], (0, 0.25, 0.5, 0.75, 1))).tolist()
    bands = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    places_N = np.clip(np.searchsorted(edges, numbers_N, side="right") - 1, 0, len(bands) - 1)
    return [bands[p] if k else c for p, k, c in zip(places_N, known_N, cells, strict=True)]


def floors_at(
    floors: Sequence[Floor],
    thresholds_C: Floats | None,
    unpromised: Mapping[str, str],
    *,
    band: bool,
) -> list[KeptFloor]:
    """Floors that thresholds keep, but for classes where they cannot, and why; of a band singly."""
    return [
        (floor, thresholds_C, [n for n, why in unpromised.items() if not band or str(floor) in why])
        for floor in floors
        if thresholds_C is not None
    ]


def promised_floors(card: ModelCard) -> list[KeptFloor]:
    """Floors that a model promises at its thresholds."""
    promise, kept = card.promise or {"floors": [], "not_promised": {}}, []
    low_C = card.lower_thresholds
    for floor in (f for text in promise["floors"] for f in Objective.parse(text).floors):
        own_C = low_C if low_C and floor.measure == "recall" else card.thresholds
        kept += floors_at([floor], np.array(own_C), promise["not_promised"], band=bool(low_C))
    return kept


def measure_slices(
    bys: Sequence[str],
    scores: SavedScores,
    thresholds_C: Floats | None,
    floors: Sequence[KeptFloor] = (),
    scored: ScoredSplit | None = None,
) -> list[Slice]:
    """Measure each slice by itself, those of the lowest mAP first; thresholds are 0.5 by default.

    Raises:
        MlcError: As `slice_values`.
    """
    decide, slices = scores.bound.decide, []
    made_NC = decide(scores.probabilities_NC, 0.5 if thresholds_C is None else thresholds_C)
    kept = [(floor, decide(scores.probabilities_NC, own_C), none) for floor, own_C, none in floors]
    for by in dict.fromkeys(bys):
        values = slice_values(by, scores.paths, scored)
        common = [value for value, _ in Counter(values).most_common()]
        rest = dict.fromkeys(common[MOST - 1 :], f"({len(common) - MOST + 1} others)")
        named_N = np.array([rest.get(v, v) for v in values] if len(common) > MOST else values)
        own = [
            _measure(by, value, np.flatnonzero(named_N == value), scores, made_NC, kept)
            for value in dict.fromkeys(named_N.tolist())
        ]
        slices += sorted(own, key=lambda one: np.nan_to_num(one.metrics["mAP"].value, nan=2.0))
    return slices


def _measure(
    by: str,
    value: str,
    rows: NDArray[np.int64],
    scores: SavedScores,
    made_NC: Flags,
    floors: Sequence[tuple[Floor, Flags, Collection[str]]],
) -> Slice:
    arrays = scores.probabilities_NC[rows], scores.targets_NC[rows]
    spans = bootstrap(*arrays, {"": made_NC[rows]})
    metrics, around = metrics_of_decisions(made_NC[rows], arrays[1]), spans.decisions[""]
    values = {"mAP": (mean_ap_of(*arrays), spans.mean_ap)}
    values |= {key: (getattr(metrics, key), around[key]) for key in ("CF1", "OF1")}
    numbers = {key: Measured(n, own.low, own.high, len(rows)) for key, (n, own) in values.items()}
    found, missed = {}, {}
    for floor, kept_NC, without in floors:
        true, predicted, present, known = (
            part.sum(axis=0) for part in counted(kept_NC[rows], arrays[1])
        )
        hits_C, of_C = {
            "precision": (true, predicted),
            "recall": (true, present),
            "fpr": (predicted - true, known - present),
        }[floor.measure]
        columns = zip(ratio(hits_C, of_C), *share_interval(hits_C, of_C), of_C, strict=True)
        of_classes = {
            name: Measured(float(share), float(low), float(high), int(images))
            for name, (share, low, high, images) in zip(scores.classes, columns, strict=True)
            if images and name not in without
        }
        found[str(floor)] = of_classes
        missed[str(floor)] = [name for name, one in of_classes.items() if _misses(floor, one)]
    return Slice(by, value, len(rows), len(rows) < FEW, numbers, found, missed)


def _misses(floor: Floor, one: Measured) -> bool:
    return one.low > floor.bound if floor.measure == "fpr" else one.high < floor.bound


def worst_slice(slices: Sequence[Slice]) -> Slice | None:
    """The slice of the lowest mAP among those that are not too small; `None` without any."""
    large = [one for one in slices if not one.few and math.isfinite(one.metrics["mAP"].value)]
    return min(large, key=lambda one: one.metrics["mAP"].value, default=None)


def slice_table(slices: Sequence[Slice]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows about slices that are told by the same, for people."""
    rows = []
    for one in slices:
        cells = [one.value + " (few)" * one.few, f"{one.images:,}"]
        for found in one.metrics.values():
            cells += [shown(found.value), span(found, 2) or "–"]
        for floor, names in one.missed.items():
            of = f"{len(names)} of {len(one.floors[floor])}"
            cells.append(f"{of}: {some(names, 3)}" if names else of)
        rows.append(cells)
    heads = [head for key in slices[0].metrics for head in (key, "95 %")]
    return [slices[0].by, "images", *heads, *(f"{f} missed by" for f in slices[0].floors)], rows
