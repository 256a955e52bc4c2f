"""CelebA: a count, the names of the attributes, then each image with 1 (present) or -1 (absent).

list_attr_celeba.txt     000001.jpg -1  1  1 -1 ...
list_eval_partition.txt  000001.jpg 0     (0 train, 1 val, 2 test)
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from mlc_cli.core.datasets.formats.base import Sample, Source
from mlc_cli.core.datasets.formats.shared.lines import is_file, text_lines
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_ATTRIBUTES = ("list_attr_celeba.txt", "Anno/list_attr_celeba.txt")
_PARTITIONS = ("list_eval_partition.txt", "Eval/list_eval_partition.txt")
_IMAGES = ("img_align_celeba", "Img/img_align_celeba")
_SPLITS = {"0": "train", "1": "val", "2": "test"}


class CelebaReader:
    """Reads the attributes of CelebA."""

    name = "celeba"
    title = "CelebA attributes"

    def detect(self, source: Path) -> str | None:
        """Name the file of attributes, judged by its first three lines."""
        file = _file(source)
        if file.suffix != ".txt":
            return None
        try:
            _, names = _head(file)
            _, line = next(islice(text_lines(file), 2, None), (0, ""))
        except DataError:
            return None
        fits = len(line.split()) == len(names) + 1
        return f"count and names of attributes in {file.name}" if fits else None

    def read(self, source: Path, images: Path | None, dropped: IssueLog) -> Source:
        """Open the file of attributes, or the folder that has it."""
        file = _file(source)
        count, names = _head(file)
        base = file.parent.parent if file.absolute().parent.name == "Anno" else file.parent
        splits = dict(_partition(base, dropped))
        root = images or next((base / name for name in _IMAGES if (base / name).is_dir()), base)
        return Source(
            image_root=root,
            samples=_samples(file, count, names, splits, dropped),
            classes=names,
        )


def _file(source: Path) -> Path:
    """The file of attributes."""
    if not source.is_dir():
        return source
    found = [source / name for name in _ATTRIBUTES if is_file(source / name)]
    return found[0] if found else source / _ATTRIBUTES[0]


def _head(file: Path) -> tuple[int, list[str]]:
    """Number of images and names of attributes.

    Raises:
        DataError: The file does not begin with them.
    """
    lines = [line for _, line in islice(text_lines(file), 2)]
    if len(lines) < 2 or not (lines[0].isdecimal() and len(lines[0]) < 10):
        raise DataError(f"{file}: does not begin with a count and a line of names")
    names = lines[1].split()
    if len(set(names)) < len(names):
        raise DataError(f"{file}: its second line has a name twice")
    return int(lines[0]), names


def _partition(base: Path, dropped: IssueLog) -> Iterator[tuple[str, str]]:
    """Image and split, if there is a file of them."""
    for path in (base / name for name in _PARTITIONS if is_file(base / name)):
        for number, line in text_lines(path):
            image, _, part = line.rpartition(" ")
            if part in _SPLITS:
                yield image.rstrip(), _SPLITS[part]
            else:
                kind = "lines that are not an image and 0, 1 or 2 (its split unknown)"
                dropped.add(kind, f"{path}, line {number}")


def _samples(
    file: Path, count: int, names: Sequence[str], splits: Mapping[str, str], dropped: IssueLog
) -> Iterator[Sample]:
    found = 0
    for number, line in islice(text_lines(file), 2, None):
        found += 1
        image, *states = line.split()
        if len(states) != len(names) or not set(states) <= {"1", "-1"}:
            kind = "lines that are not an image and 1 or -1 for each attribute"
            dropped.add(kind, f"{file}, line {number}")
            continue
        labels = [name for name, state in zip(names, states, strict=True) if state == "1"]
        yield Sample(image, labels, (), splits.get(image, ""))
    if found < count:
        dropped.add("images that the count promises, but that are not listed", f"{file}: {count}",
                    count - found)  # fmt: skip
