"""What a folder of earlier conversions says, and what it makes of nonsense."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlc_cli.core.datasets.converting.output_folder import inspect_existing
from mlc_cli.errors import DataError


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def test_splits_are_those_of_usual_names_and_of_the_record(tmp_path: Path) -> None:
    for name in ("val", "fold1", "other"):
        write(tmp_path / f"{name}.json", {"classes": ["a"], "images": []})
    write(tmp_path / "convert.json", {"conversions": [{"splits": {"fold1": {}, "gone": {}}}]})
    assert set(inspect_existing(tmp_path).classes) == {"val", "fold1"}
    assert inspect_existing(tmp_path / "none").classes == {}


@pytest.mark.parametrize("record", [3, [], {"conversions": 3}, {"conversions": [3, {"splits": 3}]}])
@pytest.mark.parametrize("split", [[], {"classes": 3}, {"classes": [[]]}])
def test_nonsense_is_no_conversion(tmp_path: Path, record: Any, split: Any) -> None:
    write(tmp_path / "convert.json", record)
    write(tmp_path / "train.json", split)
    assert not any(inspect_existing(tmp_path).classes.values())


def test_splits_of_other_classes_are_refused_unless_replaced(tmp_path: Path) -> None:
    write(tmp_path / "val.json", {"classes": ["a", "b"], "images": []})
    dest = inspect_existing(tmp_path)
    dest.check(("a", "b"), ["train"])
    dest.check(("a", "c"), ["val"])
    with pytest.raises(DataError, match=r"(?s)only here: c.*only there: b"):
        dest.check(("a", "c"), ["train"])


def test_a_file_is_no_destination(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="no folder"):
        inspect_existing(tmp_path / "file")
