"""Open Images: labels that people have verified, of which most of nine million images have few.

    class-descriptions*.csv             LabelName,DisplayName (older files have no header)
    *-human-imagelabels*.csv            ImageID,Source,LabelName,Confidence
    *-annotations-bbox.csv              ImageID,Source,LabelName,Confidence,XMin,...

Confidence 1 is verified as present and 0 as absent; what is not listed has not been looked at.
Each box is a label that is present. Images are `<split>/<ImageID>.jpg`, or without the folder where
the user names one that has none for the split. CVAT puts the tables in `annotations/` and images of
any suffix in `images/<split>/`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain, islice
from pathlib import Path

from mlc_cli.core.datasets.annotations import State
from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.layout import root_of
from mlc_cli.core.datasets.formats.shared.lines import csv_rows, is_file
from mlc_cli.core.datasets.formats.shared.naming import ImageNames, without_suffix
from mlc_cli.core.datasets.formats.shared.split_names import split_of_name
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_STATES = {"1": True, "0": False, "1.0": True, "0.0": False}
_TABLE = re.compile(r"(human-imagelabels|-bbox).*\.csv$")
_COLUMNS = ("ImageID", "LabelName", "Confidence")


def open_images_reader(unverified: State = "unknown") -> Reader:
    """Reads Open Images."""
    return Reader("open-images", "Open Images", _detect, partial(_read, unverified))


def _detect(source: Path) -> str | None:
    """Name the first table of labels or boxes."""
    files = _tables(source)
    return files[0].name if files else None


def _read(unverified: State, source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a folder with tables, or one table beside its class descriptions."""
    files = _tables(source)
    if not files:
        raise DataError(
            f"{source}: has no *-human-imagelabels.csv and no *-bbox.csv",
            "Name the folder with the tables of labels and class-descriptions.csv.",
        )
    for file in files:
        _columns(file)
    folder = root_of(source)
    pictures = images or folder / "images"
    finder = None if not pictures.is_dir() or images else ImageNames(folder, dropped)
    names, remarks = _names(folder)
    return Source(
        image_root=images or folder,
        samples=(
            sample
            for file in files
            for sample in _found(_samples(file, names, images, dropped, unverified), finder)
        ),
        unlisted=unverified,
        scattered=True,
        remarks=remarks,
    )


def _samples(
    file: Path,
    names: Mapping[str, str],
    images: Path | None,
    dropped: IssueLog,
    unverified: State,
) -> Iterator[Sample]:
    """Samples of a table, one for each run of rows of one image."""
    split = _split(file)
    flat = not split or (images is not None and not (images / split).is_dir())
    prefix = "" if flat else f"{split}/"
    last, present, absent = "", list[str](), list[str]()
    for image, label, state in chain(_rows(file, dropped), [("", "", True)]):
        if image != last:
            if last:
                yield Sample(f"{prefix}{last}.jpg", present, absent, split)
            last, present, absent = image, [], []
        if state:
            present.append(names.get(label, label))
        elif unverified == "unknown":
            absent.append(names.get(label, label))


def _found(samples: Iterator[Sample], finder: ImageNames | None) -> Iterator[Sample]:
    """Samples with the path of the image of any suffix, where CVAT has put the images."""
    for sample in samples:
        if finder is None:
            yield sample
        elif path := finder(without_suffix(sample.path), sample.split):
            yield sample._replace(path=path)


def _tables(source: Path) -> list[Path]:
    files = _csv_files(source) if source.is_dir() else [source]
    return [file for file in files if _TABLE.search(file.name) and is_file(file)]


def _csv_files(folder: Path) -> list[Path]:
    """Files in a folder and in those below it, not deeper, where millions of images may be."""
    return sorted([*folder.glob("*.csv"), *folder.glob("*/*.csv")])


def _split(file: Path) -> str:
    """Split that the name of a table tells, as the folder of its images is called."""
    split = split_of_name(file.stem)
    return "validation" if split == "val" else split


def _columns(file: Path) -> tuple[int, ...]:
    """Columns of image and label, and of their confidence unless the table is one of boxes."""
    _, row = next(csv_rows(file), (1, []))
    header = [name.strip() for name in row]
    needed = _COLUMNS[:2] if "-bbox" in file.name else _COLUMNS
    missing = [name for name in needed if name not in header]
    if missing:
        raise DataError(f"{file}: has no column {missing[0]}, but {', '.join(header):.80}")
    return tuple(header.index(name) for name in needed)


def _rows(file: Path, dropped: IssueLog) -> Iterator[tuple[str, str, bool]]:
    """Image, label and whether it is present, row by row."""
    image, label, *confidence = _columns(file)
    state: bool | None = True
    for number, row in islice(csv_rows(file), 1, None):
        try:
            if confidence:
                state = _STATES.get(row[confidence[0]])
            if state is None or not row[image] or not row[label]:
                kind = "rows without an image, a label, or a confidence of 0 or 1"
                dropped.add(kind, f"{file}, line {number}")
            else:
                yield row[image], row[label], state
        except IndexError:
            if row:
                dropped.add("rows with too few cells", f"{file}, line {number}")


def _names(folder: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Display name of each class, and what the user should know of them.

    The files describe more classes than there are labels of, so that they are no list of classes.
    """
    files = [file for file in _csv_files(folder) if "class-descriptions" in file.name]
    if not files:
        remark = "no class-descriptions.csv: classes are called by their codes, such as /m/01g317"
        return {}, (remark,)
    names: dict[str, str] = {}
    for file in files:
        for _, row in csv_rows(file):
            if len(row) > 1 and row[0] != "LabelName" and row[1].strip():
                names[row[0]] = row[1].strip()
    counts = Counter(names.values())
    shared = sorted(name for name, count in counts.items() if count > 1)
    if not shared:
        return names, ()
    for code, name in names.items():
        names[code] = f"{name} ({code})" if counts[name] > 1 else name
    return names, (
        f"names of several classes, kept apart by their codes: {', '.join(shared):.300}",
    )
