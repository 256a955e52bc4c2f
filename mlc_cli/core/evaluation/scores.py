"""Scores of a split on disk, so that what follows needs no model.

Names of arrays: N images, C classes.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.system.files import write_atomic
from mlc_cli.errors import DataError


@dataclass(frozen=True)
class SavedScores:
    """What a model said of a split.

    Attributes:
        probabilities_NC: float64, in 0..1.
        targets_NC: int8: 1 present, 0 absent, -1 unknown.
        classes: C names.
        paths: N image paths, as in the annotation file.
    """

    probabilities_NC: NDArray[np.float64]
    targets_NC: NDArray[np.int8]
    classes: list[str]
    paths: list[str]


def write_scores(path: Path, scores: SavedScores) -> None:
    """Write a `.npz` file, atomically."""
    arrays: dict[str, Any] = {
        "probabilities": scores.probabilities_NC,
        "targets": scores.targets_NC,
        "classes": np.array(scores.classes),
        "paths": np.array(scores.paths),
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
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            scores = SavedScores(
                arrays["probabilities"],
                arrays["targets"],
                arrays["classes"].tolist(),
                arrays["paths"].tolist(),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: cannot be read as scores: {error}", "`mlc eval` writes scores.npz."
        ) from None
    shape = (len(scores.paths), len(scores.classes))
    if scores.probabilities_NC.shape != shape or scores.targets_NC.shape != shape:
        raise DataError(f"{path}: its arrays do not fit each other; write it anew with `mlc eval`")
    return scores


@dataclass(frozen=True)
class ScoredSplit:
    """What a checkpoint says of a split.

    Attributes:
        checkpoint: The file.
        card: What it knows beside its weights.
        warning: What the user should know about it, if anything.
        source: Annotation file of the split.
        folder: Folder that image paths are relative to.
        max_pixels: Larger images are refused.
        scores: Probabilities and targets.
        unreadable: Images that could not be read, with the reason.
    """

    checkpoint: Path
    card: ModelCard
    warning: str
    source: Path
    folder: Path
    max_pixels: float
    scores: SavedScores
    unreadable: dict[str, str]
