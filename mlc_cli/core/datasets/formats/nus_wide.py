r"""NUS-WIDE: lists of images, and for each concept a column of 0 and 1 as long as a list.

    ConceptsList/Concepts81.txt              airport
    ImageList/TrainImagelist.txt             actor\0001_2124494179.jpg
    Groundtruth/TrainTestLabels/Labels_airport_Train.txt
    Groundtruth/AllLabels/Labels_airport.txt  (of ImageList/Imagelist.txt, read if the others lack)

The table `nus_wid_data.csv` that goes with ASL is read as well.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.csv_list import csv_list_reader
from mlc_cli.core.datasets.formats.shared.lines import is_file, text_lines
from mlc_cli.core.system.files import read_text
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_CONCEPTS = "ConceptsList/Concepts81.txt"


class _Part(NamedTuple):
    """A list of images with its columns: folder and ending of their names."""

    split: str
    images: Path
    folder: Path
    ending: str


def _detect(source: Path) -> str | None:
    """Name the list of concepts; the table of ASL is seen as any CSV."""
    return _CONCEPTS if is_file(source / _CONCEPTS) else None


def _read(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open the folder with ConceptsList, ImageList and Groundtruth, or ASL's table."""
    if not source.is_dir():
        return csv_list_reader().read(source, images, dropped)
    concepts = [name for _, name in text_lines(source / _CONCEPTS)]
    if not concepts:
        raise DataError(f"{source / _CONCEPTS}: is empty")
    samples = chain.from_iterable(_samples(part, concepts) for part in _parts(source))
    flickr = source / "Flickr"
    return Source(images or (flickr if flickr.is_dir() else source), samples, concepts)


def _parts(source: Path) -> list[_Part]:
    lists, truth = source / "ImageList", source / "Groundtruth"
    if not truth.is_dir():
        truth = source
    labels = truth / "TrainTestLabels"
    parts = [
        _Part(split.lower(), lists / f"{split}Imagelist.txt", labels, f"_{split}.txt")
        for split in ("Train", "Test")
    ]
    found = [part for part in parts if is_file(part.images)]
    if found and labels.is_dir():
        return found
    whole = lists / "Imagelist.txt"
    if not is_file(whole):
        raise DataError(
            f"{source}: has neither ImageList/TrainImagelist.txt with Groundtruth/TrainTestLabels"
            " nor ImageList/Imagelist.txt"
        )
    return [_Part("", whole, truth / "AllLabels", ".txt")]


def _samples(part: _Part, concepts: Sequence[str]) -> Iterator[Sample]:
    paths = [line.replace("\\", "/") for _, line in text_lines(part.images)]
    states_CN = [_column(name, part, len(paths)) for name in concepts]
    names = np.array(concepts)
    for path, has_C in zip(paths, np.array(states_CN).T, strict=True):
        yield Sample(path, names[has_C].tolist(), (), part.split)


def _column(concept: str, part: _Part, length: int) -> NDArray[np.bool_]:
    """Which images of a list have a concept.

    Raises:
        DataError: The column is missing, is not as long as the list, or has more than 0 and 1.
    """
    path = part.folder / f"Labels_{concept}{part.ending}"
    states = read_text(path).split()
    if len(states) != length:
        raise DataError(
            f"{path}: has {len(states)} states for the {length} images of {part.images}",
            "Both come from the same archive; unpack them again.",
        )
    others = set(states) - {"0", "1"}
    if others:
        raise DataError(f"{path}: has {min(others)!r:.40} where 0 or 1 is expected")
    has_N: NDArray[np.bool_] = np.array(states) == "1"
    return has_N


NUS_WIDE_READER = Reader("nus-wide", "NUS-WIDE", _detect, _read)
