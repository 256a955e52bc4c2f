"""A folder that conversions write to, and what earlier ones left there."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_cli.core.datasets.annotations import Label
from mlc_cli.core.datasets.formats.shared.lines import is_file, is_folder
from mlc_cli.core.datasets.formats.shared.split_names import SPLITS
from mlc_cli.core.system.files import read_json
from mlc_cli.errors import DataError
from mlc_cli.text import only_one_side

RECORD = "convert.json"


@dataclass(frozen=True)
class Destination:
    """A folder for results: classes of each split there, and the records of earlier conversions."""

    folder: Path
    classes: Mapping[str, frozenset[Label]]
    records: Sequence[Any]

    def check(self, classes: Sequence[Label], replaced: Sequence[str]) -> None:
        """Refuse to put splits of other classes side by side.

        Raises:
            DataError: With the classes that only one side has.
        """
        for name, there in self.classes.items():
            here = frozenset(classes)
            if name not in replaced and here != there:
                raise DataError(
                    f"{self.folder / name}.json has other classes:\n{only_one_side(here, there)}",
                    "Splits of a data set share their classes. Fix them with"
                    f" `--classes {self.folder / name}.json`, or choose another DEST.",
                )


def inspect_existing(folder: Path) -> Destination:
    """What a folder holds already.

    Raises:
        DataError: It is there and no folder, or a file in it cannot be read.
    """
    if os.path.lexists(folder) and not is_folder(folder):
        raise DataError(f"{folder}: is there already and no folder; the result is one")
    records = _list(folder / RECORD, "conversions")
    names = dict.fromkeys([*SPLITS, *(split for record in records for split in _splits(record))])
    found = {name: _list(folder / f"{name}.json", "classes") for name in names}
    classes = {
        name: frozenset(label for label in own if isinstance(label, str | int))
        for name, own in found.items()
        if own
    }
    return Destination(folder, classes, records)


def _splits(record: Any) -> list[str]:
    splits = record.get("splits") if isinstance(record, dict) else None
    return list(splits) if isinstance(splits, dict) else []


def _list(path: Path, key: str) -> list[Any]:
    """A list in a JSON file; empty if there is none."""
    content = read_json(path) if is_file(path) else {}
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, list) else []
