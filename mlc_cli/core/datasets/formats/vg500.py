"""Visual Genome with 500 classes, as SSGRL lists it.

`train_list_500.txt` and `test_list_500.txt` have a file name a line;
`vg_category_500_labels_index.json` is `{"2386621.jpg": [3, 17]}`. The images of Visual Genome come
in two folders, `VG_100K` and `VG_100K_2`. No file names the classes.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.json_files import load, numbered
from mlc_cli.core.datasets.formats.shared.lines import text_lines
from mlc_cli.core.datasets.formats.shared.naming import ImageNames
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

CLASSES = 500
LABELS = "vg_category_500_labels_index.json"
LISTS = {"train": "train_list_500.txt", "test": "test_list_500.txt"}


def vg500_reader(names: Path | str | None = None) -> Reader:
    """Reads the lists of VG-500.

    Args:
        names: File with the names of the 500 classes, one a line; without it they are called
            `class_000` to `class_499`.
    """
    return Reader("vg500", "Visual Genome, 500 classes", _detect, partial(_read, names))


def _detect(source: Path) -> str | None:
    """Whether the file of labels is there."""
    return LABELS if (_folder(source) / LABELS).is_file() else None


def _read(
    names_file: Path | str | None, source: Path, images: Path | None, dropped: IssueLog
) -> Source:
    """Open the folder of the lists, or the file of labels in it."""
    folder = _folder(source)
    labels = load(folder / LABELS, dict[str, list[Any]], 'It looks like {"1.jpg": [3, 17]}.')
    there = {split: folder / file for split, file in LISTS.items()}
    lists = {split: _lines(file) for split, file in there.items() if file.exists()}
    if not lists:
        raise DataError(f"{folder}: has neither {' nor '.join(LISTS.values())}")
    names, root = _read_names(names_file), images or folder
    return Source(root, _samples(lists, labels, names, root, dropped), names)


def _read_names(file: Path | str | None) -> list[str]:
    if file is None:
        return [f"class_{number:03d}" for number in range(CLASSES)]
    names = _lines(Path(file))
    if len(set(names)) != CLASSES:
        raise DataError(
            f"{file}: has {len(set(names))} names, not {CLASSES}",
            "Put one name on a line, in the order of the numbers; no name may come twice.",
        )
    return names


def _lines(file: Path) -> list[str]:
    return [line for _, line in text_lines(file)]


def _folder(source: Path) -> Path:
    return source.parent if source.name == LABELS else source


def _samples(
    lists: Mapping[str, list[str]],
    labels: Mapping[str, list[Any]],
    names: list[str],
    root: Path,
    dropped: IssueLog,
) -> Iterator[Sample]:
    images = ImageNames(root, dropped)
    for split, files in lists.items():
        for file in files:
            if file not in labels:
                dropped.add("listed images of which no labels are told", file)
            elif path := images.find(file):
                yield Sample(path, numbered(labels[file], names, file, dropped), (), split)
    listed = {file for files in lists.values() for file in files}
    for file in labels:
        if file not in listed:
            dropped.add("images with labels that are in no list", file)
