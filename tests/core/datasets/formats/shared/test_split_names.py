from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.shared.split_names import meaning, split_in_name


@pytest.mark.parametrize(
    ("name", "split"),
    [("train2017", "train"), ("Valid", "val"), ("validation", "val"), ("trainval", "train"),
     ("TEST", "test"), ("val-2014", "val"), ("test-dev", None), ("bus", None), ("", None),
     ("2017", None), ("training_01", "train")],
)  # fmt: skip
def test_meaning_of_names(name: str, split: str | None) -> None:
    assert meaning(name) == split


@pytest.mark.parametrize(
    ("file", "split"),
    [("instances_val2017.json", "val"), ("my train.csv", "train"), ("ann.json", None),
     ("train_val.json", None), ("constrain.json", None), ("data-test.v2.json", "test")],
)  # fmt: skip
def test_split_in_the_name_of_a_file(file: str, split: str | None) -> None:
    assert split_in_name(Path("train") / file) == split
