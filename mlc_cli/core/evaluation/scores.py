"""Scores of a split on disk, so that what follows needs no model.

Names of arrays: N images, C classes.
"""

import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.rules import NO_RULES, BoundRules, Rules
from mlc_cli.core.runs.card import ModelCard, class_hash
from mlc_cli.core.system.files import named_faults, write_atomic
from mlc_cli.errors import DataError

FOLDS, OF_FOLDS = "folds", "folds.json"
"""Where the folds of a cross-validation are in its run folder, and what they came to in there."""

MAPPED_BYTES = 2**30
"""A file that is larger is not read as a whole; best its arrays are in Fortran's order."""


@dataclass(frozen=True)
class SavedScores:
    """What a model said of a split.

    Attributes:
        probabilities_NC: float64, in 0..1.
        targets_NC: int8: 1 present, 0 absent, -1 unknown.
        classes: C names.
        paths: N image paths, as in the annotation file.
        rules: Between labels.
    """

    probabilities_NC: NDArray[np.float64]
    targets_NC: NDArray[np.int8]
    classes: list[str]
    paths: list[str]
    rules: Rules = NO_RULES

    @property
    def bound(self) -> BoundRules:
        """The rules over the classes."""
        return BoundRules(self.rules, self.classes)


def write_scores(path: Path, scores: SavedScores) -> None:
    """Write a `.npz` file, atomically."""
    arrays: dict[str, Any] = {
        "probabilities": scores.probabilities_NC,
        "targets": scores.targets_NC,
        "classes": np.array(scores.classes),
        "class_hash": np.array(class_hash(scores.classes)),
        "paths": np.array(scores.paths),
        "rules": np.array(json.dumps(scores.rules.written())),
    }

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)

    write_atomic(path, write)


def read_scores(path: Path) -> SavedScores:
    """Read a file of `write_scores`; no code in it is run.

    Raises:
        DataError: The file is missing, damaged or something else.
    """
    with named_faults(path, "cannot be read as scores", DataError, "`mlc eval` writes scores.npz."):
        if path.is_file() and not zipfile.is_zipfile(path):
            raise ValueError("it is no .npz file")
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            large = path.stat().st_size > MAPPED_BYTES
            scores = SavedScores(
                _mapped(path, "probabilities") if large else arrays["probabilities"],
                _mapped(path, "targets") if large else arrays["targets"],
                arrays["classes"].tolist(),
                arrays["paths"].tolist(),
                Rules(**json.loads(str(arrays["rules"]))) if "rules" in arrays else NO_RULES,
            )
            known = str(arrays["class_hash"]) if "class_hash" in arrays else None
        _check(scores)
        if known not in (None, class_hash(scores.classes)):
            raise ValueError("its classes are not those that it was written with")
        BoundRules(scores.rules, scores.classes)
    return scores


def _mapped(path: Path, name: str) -> NDArray[Any]:
    """An array of a `.npz` file, of which a page is read when it is looked at."""
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError("it is compressed, and too large to be read as a whole")
    with path.open("rb") as stream:
        stream.seek(member.header_offset + 26)
        lengths = struct.unpack("<HH", stream.read(4))  # of the name and of what comes behind it
        stream.seek(sum(lengths), 1)
        np.lib.format.read_magic(stream)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        order: Literal["F", "C"] = "F" if fortran else "C"
        return np.memmap(path, dtype, "r", stream.tell(), shape, order)


def _check(scores: SavedScores) -> None:
    """Raise ValueError where arrays do not fit each other or hold what cannot be."""
    probabilities_NC, targets_NC = scores.probabilities_NC, scores.targets_NC
    for names in (scores.classes, scores.paths):
        if not isinstance(names, list) or not names or not all(type(n) is str for n in names):
            raise ValueError("names of classes or images are missing, or are no text")
        if len(set(names)) < len(names):
            raise ValueError("a class or an image is there twice")
    shape = (len(scores.paths), len(scores.classes))
    if probabilities_NC.shape != shape or targets_NC.shape != shape:
        raise ValueError("its arrays do not fit each other; write it anew with `mlc eval`")
    if probabilities_NC.dtype.kind != "f" or targets_NC.dtype != np.int8:
        raise ValueError("its arrays are of another type")
    if not (probabilities_NC.min() >= 0 and probabilities_NC.max() <= 1):  # nor is nan
        raise ValueError("a probability is not in 0..1")
    if targets_NC.min() < -1 or targets_NC.max() > 1:
        raise ValueError("a target is not -1, 0 or 1")


@dataclass(frozen=True)
class ScoredSplit:
    """What a checkpoint says of a split.

    Attributes:
        warning: What the user should know about it, if anything.
        source: Annotation file of the split.
        place: Where an image is, by its position among the scores.
        max_pixels: Larger images are refused.
        folds: What the folds of a cross-validation came to, whose scores these are.
    """

    checkpoint: Path
    card: ModelCard
    warning: str
    source: Path
    place: Callable[[int], Path]
    max_pixels: float
    scores: SavedScores
    unreadable: dict[str, str]
    folds: dict[str, Any] = field(default_factory=dict)
