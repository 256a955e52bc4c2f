"""Annotation files of folds."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.datasets.annotations import Annotation, read_annotation
from mlc_cli.core.datasets.columns import write_columns
from mlc_cli.core.datasets.converting.folds import joined, write_folds
from mlc_cli.errors import DataError


def write(path: Path, images: list[list[object]], **more: object) -> Annotation:
    path.write_text(json.dumps({"classes": ["a", "b"], "images": images, **more}))
    return read_annotation(path)


def test_joined_splits_are_those_of_one_file(tmp_path: Path) -> None:
    one: list[list[object]] = [["1.jpg", ["a"]], ["2.jpg", [], ["b"]]]
    two: list[list[object]] = [["3.jpg", ["a", "b"]], ["4.jpg", ["b"], ["a"]]]
    for unlisted in ("absent", "unknown"):
        both = joined(*(write(tmp_path / f"{name}.json", images, unlisted=unlisted)
                        for name, images in (("x", one), ("y", two))))  # fmt: skip
        whole = write(tmp_path / "z.json", one + two, unlisted=unlisted)
        assert list(both.paths) == list(whole.paths)
        np.testing.assert_array_equal(both.targets_NC(range(4)), whole.targets_NC(range(4)))


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "x.json", [["1.jpg", ["a"]]])
    with pytest.raises(DataError, match="are also in"):
        joined(first, write(tmp_path / "y.json", [["1.jpg", []]]))
    with pytest.raises(DataError, match="unlisted"):
        joined(first, write(tmp_path / "y.json", [["2.jpg", []]], unlisted="unknown"))
    with pytest.raises(DataError, match="image_root"):
        joined(first, write(tmp_path / "y.json", [["2.jpg", []]], image_root="there"))


def folds_of(folder: Path, folds: int) -> list[list[str]]:
    return [[*read_annotation(folder / str(k) / "val.json").paths] for k in range(folds)]


def test_groups_of_a_column_or_of_a_pattern_stay_together(tmp_path: Path) -> None:
    images: list[list[object]] = [
        [f"p{n % 8}_{n}.jpg", ["a"] if n % 3 else ["a", "b"]] for n in range(40)
    ]
    split = write(tmp_path / "train.json", images)
    said = write_folds(tmp_path / "plain", [split], 4, 0, None)
    assert "warning: 8 groups with one name before a running number lie in several" in said[1]
    assert "--set data.group_by=" in said[1]
    said = write_folds(tmp_path / "named", [split], 4, 0, r"p\d+")
    assert said == [f"folds  40 images in 4 folds (40 of {split.source}); 8 groups stay together"]
    write_columns(split.source, "who", {path: {"who": path[:2]} for path in split.paths})
    assert len(write_folds(tmp_path / "column", [split], 4, 0, None)) == 1
    for name in ("named", "column"):
        folds = folds_of(tmp_path / name, 4)
        assert Counter(map(len, folds)) == {10: 4}
        owners = [{path[:2] for path in fold} for fold in folds]
        assert sum(map(len, owners)) == len(set.union(*owners)) == 8
    with pytest.raises(DataError, match="8 images or groups are too few for 9"):
        write_folds(tmp_path / "many", [split], 9, 0, None)


def test_every_class_is_in_every_fold(tmp_path: Path) -> None:
    images: list[list[object]] = [[f"{n}.jpg", ["b"] if n < 5 else ["a"]] for n in range(60)]
    write_folds(tmp_path / "folds", [write(tmp_path / "train.json", images)], 5, 0, None)
    for fold in folds_of(tmp_path / "folds", 5):
        assert sum(int(path.split(".")[0]) < 5 for path in fold) == 1
        assert len(fold) == 12
