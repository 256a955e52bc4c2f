"""Folders of data sets."""

from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.shared.layout import image_prefix, root_of, split_of
from mlc_cli.core.datasets.formats.shared.writing import common_prefix


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("a/instances_val2017.json", "val2017"),
        ("a/labels_train.json", "train"),
        ("a/instances_default.json", ""),
        ("a/train.json", "train"),
        ("a/Validation.json", "Validation"),
        ("a/test-dev.json", "test-dev"),
        ("a/result.json", ""),
        ("a/labels.json", ""),
        ("valid/_annotations.coco.json", "valid"),
    ],
)
def test_names_of_files_tell_the_split(file, split) -> None:
    assert split_of(Path(file)) == split


def test_a_folder_of_annotations_is_not_the_root(put) -> None:
    file = put("data/annotations/a.json")
    root = file.parent.parent
    assert root_of(file) == root_of(file.parent) == root_of(root) == root
    assert root_of(put("data/a.json")) == root


def test_a_file_in_the_working_folder_annotations_has_its_root_above(put, monkeypatch) -> None:
    folder = put("data/annotations/a.json").parent
    monkeypatch.chdir(folder)
    assert root_of(Path("a.json")).resolve() == root_of(Path()).resolve() == folder.parent


def test_the_place_with_most_images_counts(put, tmp_path) -> None:
    for file in ("images/train/a.jpg", "a.jpg", "b.jpg", "train/c.jpg"):
        put(file)
    assert image_prefix(tmp_path, "train", ["a.jpg"]) == "images/train/"
    assert image_prefix(tmp_path, "train", ["a.jpg", "b.jpg"]) == ""
    assert image_prefix(tmp_path, "train", iter(["c.jpg"])) == "train/"
    assert image_prefix(tmp_path, "", ["a.jpg"]) == ""


def test_without_images_the_first_folder_that_is_there_counts(tmp_path) -> None:
    names = ["a.jpg", "a\0b", "\ud800", "x" * 5000]
    assert image_prefix(tmp_path, "val", names) == ""
    (tmp_path / "images").mkdir()
    assert image_prefix(tmp_path, "val", names) == "images/"
    (tmp_path / "val").mkdir()
    assert image_prefix(tmp_path, "val", names) == "val/"
    assert image_prefix(tmp_path / "none", "val", names) == ""


def test_a_prefix_is_common_or_none(make_splits) -> None:
    images = {
        "train": [["images/train/a", []], ["images/train/b/c", []]],
        "val": [["images/val/a", []], ["b", []]],
    }
    splits = make_splits(images, ["x"])
    assert common_prefix(splits["train"], "train") == "images/train/"
    assert common_prefix(splits["train"], "val") == ""
    assert common_prefix(splits["val"], "val") == ""
