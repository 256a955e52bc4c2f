"""What formats share when they are written."""

import json
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.shared.writing import (
    numbered_classes,
    unknown_states,
    write_object,
)
from mlc_cli.errors import MlcError


def test_unknown_states_are_counted_in_each_split(make_splits) -> None:
    images = {"train": [["a", ["x"], ["y"]], ["b", [], ["x", "y"]]], "val": [["c", ["x"]]]}
    assert unknown_states(make_splits(images, ["x", "y"])) == [
        "train: 3 labels are unknown, and would become absent"
    ]
    sparse = unknown_states(make_splits(images, ["x", "y"], unlisted="unknown"))
    assert sparse == ["val: 1 labels are unknown, and would become absent"]


def test_classes_that_are_integers_are_told(make_splits) -> None:
    images = {"train": [["a", []]]}
    assert numbered_classes(make_splits(images, ["1", "2"])) == []
    assert len(numbered_classes(make_splits(images, [1, 2]))) == 1


def test_iterators_become_arrays_with_an_item_a_line(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    write_object(path, {"ä": [1, 2], "many": iter([[1], "ö"]), "none": iter([])})
    text = path.read_text(encoding="utf-8")
    assert text == '{"ä": [1,2],\n"many": [[1],\n"ö"],\n"none": []}\n'
    assert json.loads(text)["many"] == [[1], "ö"]


def test_a_folder_that_cannot_be_made_is_told(put) -> None:
    file = put("a", "text")
    with pytest.raises(MlcError, match="cannot be made"):
        write_object(file / "b" / "c.json", {})
