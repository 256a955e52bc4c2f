"""A folder for each class."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mlc_cli.core.datasets.formats.image_folder import IMAGE_FOLDER_READER
from mlc_cli.errors import DataError


def test_folders_of_splits_and_classes(put, read_all, tmp_path: Path) -> None:
    (
        put("train/cat/1.jpg", b"one"),
        put("train/dog/sub/2.PNG", b"two"),
        put("val/traffic light/1.jpg", b"one"),
    )
    put("train/dog/notes.md"), put("train/.cache/x.jpg"), put("README.txt")
    (tmp_path / "val/empty").mkdir()
    reading = read_all(IMAGE_FOLDER_READER, tmp_path)
    assert reading.states == {
        ("train", "train/cat/1.jpg"): ({"cat"}, set()),
        ("train", "train/dog/sub/2.PNG"): ({"dog"}, set()),
        ("val", "val/traffic light/1.jpg"): ({"traffic light"}, set()),
    }
    assert reading.source.classes == ["cat", "dog", "empty", "traffic light"]
    assert reading.source.image_root == tmp_path
    assert not reading.dropped.counts
    assert IMAGE_FOLDER_READER.detect(tmp_path) == "images in cat, traffic light"


def test_folders_of_classes_alone(put, read_all, tmp_path: Path) -> None:
    put("train/1.jpg", b"1"), put("tram/1.jpg", b"2")
    reading = read_all(IMAGE_FOLDER_READER, tmp_path)
    assert reading.states == {
        ("", "train/1.jpg"): ({"train"}, set()),
        ("", "tram/1.jpg"): ({"tram"}, set()),
    }
    assert IMAGE_FOLDER_READER.detect(tmp_path) == "images in train, tram"


def test_the_same_bytes_in_folders_of_several_classes_are_one_image(
    put, read_all, tmp_path
) -> None:
    put("dog/b.jpg", b"same"), put("cat/a.jpg", b"same"), put("cow/a.jpg", b"same")
    put("cat/b.jpg", b"diff"), put("dog/a.jpg", b"else"), put("dog/longer.jpg", b"longer")
    reading = read_all(IMAGE_FOLDER_READER, tmp_path)
    assert reading.labels == {
        "cat/a.jpg": {"cat", "cow", "dog"},
        "cat/b.jpg": {"cat"},
        "dog/a.jpg": {"dog"},
        "dog/longer.jpg": {"dog"},
    }
    assert not reading.dropped.counts


def test_names_without_a_suffix_count_by_content_and_what_is_no_image_is_named(
    put, read_all, tmp_path
) -> None:
    put("cat/photo", cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes())
    put("dog/b.jpg", b"b"), put("dog/c.cr2", b"raw")
    put("cat/LICENSE", b"text"), put("cat/Thumbs.db", b"t"), put("cat/a.xmp", b"x"), put("x.cr2")
    reading = read_all(IMAGE_FOLDER_READER, tmp_path)
    assert reading.labels == {"cat/photo": {"cat"}, "dog/b.jpg": {"dog"}}
    assert [*reading.dropped.examples.values()] == [["cat/LICENSE", "dog/c.cr2"]]


def test_splits_do_not_mix(put, read_all, tmp_path: Path) -> None:
    put("train/cat/a.jpg", b"same"), put("val/dog/a.jpg", b"same")
    assert read_all(IMAGE_FOLDER_READER, tmp_path).labels == {
        "train/cat/a.jpg": {"cat"},
        "val/dog/a.jpg": {"dog"},
    }


def test_copies_stay_in_one_class_and_are_counted_in_several(put, read_all, tmp_path: Path) -> None:
    put("cat/1.jpg", b"same"), put("cat/2.jpg", b"same")
    put("dog/3.jpg", b"else")
    reading = read_all(IMAGE_FOLDER_READER, tmp_path)
    assert set(reading.labels) == {"cat/1.jpg", "cat/2.jpg", "dog/3.jpg"}
    put("dog/4.jpg", b"same")
    reading = read_all(IMAGE_FOLDER_READER, tmp_path)
    assert reading.labels == {"cat/1.jpg": {"cat", "dog"}, "dog/3.jpg": {"dog"}}
    assert list(reading.dropped.counts.values()) == [1]


def test_empty_and_broken_files_are_not_the_same_image(put, read_all, tmp_path: Path) -> None:
    put("cat/1.jpg"), put("dog/1.jpg")
    (tmp_path / "cat/2.jpg").symlink_to("gone.jpg")
    (tmp_path / "dog/2.jpg").symlink_to("gone.jpg")
    assert len(read_all(IMAGE_FOLDER_READER, tmp_path).states) == 4


def test_images_outside_of_classes_are_counted(put, read_all, tmp_path: Path) -> None:
    put("train/cat/1.jpg"), put("train/2.jpg")
    reading = read_all(IMAGE_FOLDER_READER, tmp_path)
    assert reading.dropped.examples == {"images outside the folders of classes": ["train/2.jpg"]}


@pytest.mark.parametrize(
    "others",
    [("images/1.jpg",), ("cat/1.jpg", "data.yaml"), ("cat/1.jpg", "train.txt"), ("cat/1.txt",),
     ("train/cat/1.jpg", "train/_classes.csv"), ("JPEGImages/1.jpg",)],
)  # fmt: skip
def test_other_formats_are_not_taken_for_it(put, tmp_path: Path, others: tuple[str, ...]) -> None:
    for name in others:
        put(name)
    assert IMAGE_FOLDER_READER.detect(tmp_path) is None


def test_what_is_no_folder_of_folders_is_refused(put, read_all, tmp_path: Path) -> None:
    assert IMAGE_FOLDER_READER.detect(put("a.jpg")) is None
    with pytest.raises(DataError, match="no folders of classes"):
        read_all(IMAGE_FOLDER_READER, tmp_path)
