"""Vectors of labels from a file: word vectors as text (GloVe, fastText), or arrays of numpy."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.annotations import Label
from mlc_cli.core.system.files import named_faults
from mlc_cli.errors import DataError
from mlc_cli.text import listing

Vector = NDArray[np.float32]


def read_vectors(path: Path, classes: Sequence[Label]) -> tuple[Vector, list[str]]:
    """Read a vector for each class.

    `.npz` holds an array for each label, named after it; `.npy` a row for each label, in sorted
    order. Everything else is text, with a word and its numbers on each line: a label of several
    words takes their mean, and one that is not in the file is looked for as two words in one.

    Returns:
        Vectors, C×E, and notes on what was assumed.

    Raises:
        DataError: The file cannot be read, is not of this kind or lacks a label.
    """
    with named_faults(path, "vectors of labels cannot be read"):
        return {".npz": _from_npz, ".npy": _from_npy}.get(path.suffix, _from_words)(path, classes)


def _from_npz(path: Path, classes: Sequence[Label]) -> tuple[Vector, list[str]]:
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        missing = [str(label) for label in classes if str(label) not in arrays]
        if missing:
            raise _lacks(path, missing, "It needs an array for each label, named after it.")
        return _stack(path, [arrays[str(label)] for label in classes]), []


def _from_npy(path: Path, classes: Sequence[Label]) -> tuple[Vector, list[str]]:
    rows = np.load(path, allow_pickle=False)
    if rows.ndim != 2 or len(rows) != len(classes):
        raise DataError(f"{path}: is {rows.shape}, and not a row for each of {len(classes)} labels")
    note = f"{path}: its first row is taken for '{classes[0]}', its last for '{classes[-1]}'"
    return _stack(path, list(rows)), [note]


def _stack(path: Path, vectors: Sequence[NDArray[Any]]) -> Vector:
    if len({vector.shape for vector in vectors}) > 1 or vectors[0].ndim != 1:
        raise DataError(f"{path}: its vectors are not all of one length")
    stacked = np.stack(vectors).astype(np.float32)
    if not np.isfinite(stacked).all():
        raise DataError(f"{path}: holds numbers that are not finite")
    return stacked


def _from_words(path: Path, classes: Sequence[Label]) -> tuple[Vector, list[str]]:
    if not all(isinstance(label, str) for label in classes):
        raise DataError(
            f"{path}: word vectors say nothing of labels that are numbers",
            "Leave out model.head.vectors, or give an .npz with an array for each label.",
        )
    words_of = {str(label): re.findall(r"[^\s_/-]+", str(label).lower()) for label in classes}
    wanted = {word for words in words_of.values() for word in words}
    halves = {half for word in wanted for pair in _splits(word) for half in pair}
    with path.open(encoding="utf-8") as lines:
        found = dict(_vectors(lines, wanted | halves))
    place = {word: position for position, word in enumerate(found)}
    chosen, missing, notes = [], [], []
    for label, words in words_of.items():
        parts = [part for word in words for part in _known_parts(word, place)]
        if not parts:
            missing.append(label)
            continue
        if parts != words:
            notes.append(f"{path}: '{label}' is taken for '{' '.join(parts)}'")
        chosen.append(np.mean([found[part] for part in parts], axis=0))
    if missing:
        raise _lacks(path, missing, "Give an .npz with an array for each label instead.")
    return _stack(path, chosen), notes


def _vectors(lines: Iterable[str], wanted: set[str]) -> Iterator[tuple[str, Vector]]:
    for line in lines:
        word, _, numbers = line.partition(" ")
        if word in wanted and numbers.strip():
            yield word, np.array(numbers.split(), np.float32)


def _known_parts(word: str, place: dict[str, int]) -> list[str]:
    """The word, or the two known words that it is made of, or nothing.

    Files of word vectors begin with the most frequent words: of several ways to split, the one
    whose rarer half is the most frequent is the likeliest.
    """
    if word in place:
        return [word]
    pairs = [pair for pair in _splits(word) if pair[0] in place and pair[1] in place]
    return list(min(pairs, key=lambda pair: max(place[half] for half in pair), default=()))


def _splits(word: str) -> Iterator[tuple[str, str]]:
    """Every way to cut a word into two of at least two letters."""
    return ((word[:cut], word[cut:]) for cut in range(2, len(word) - 1))


def _lacks(path: Path, missing: Sequence[str], repair: str) -> DataError:
    return DataError(
        f"{path}: lacks vectors of {len(missing)} labels:\n{listing(missing, len(missing))}", repair
    )
