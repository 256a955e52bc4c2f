from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.shared.split_names import (
    meaning,
    split_in_name,
    split_of_name,
)


@pytest.mark.parametrize(
    ("name", "split"),
    [("train2017", "train"), ("Valid", "val"), ("validation", "val"), ("trainval", "train"),
     ("TEST", "test"), ("val-2014", "val"), ("test-dev", "test"), ("bus", None), ("", None),
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


@pytest.mark.parametrize(
    ("name", "split"),
    [("annotations_train", "train"), ("person_keypoints_val2017", "val2017"), ("dev", "dev"),
     ("train_labels", "train"), ("coco_test", "test"), ("valid", "valid"), ("trainLabels", "train"),
     ("lvis_v1_minival", "minival"), ("image_info_test-dev2017", "test-dev2017"),
     ("sample_submission", ""), ("mask_colors", ""), ("train_val", ""),
     ("training_01", "training_01"),
     ("contrast", ""), ("constrain", ""), ("", "")],
)  # fmt: skip
def test_the_part_of_a_name_that_tells_a_split(name: str, split: str) -> None:
    assert split_of_name(name) == split
