"""Datumaro JSON."""

import json
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.datumaro import DATUMARO_READER, DATUMARO_WRITER
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError


def datumaro(names, *items) -> dict:
    """Content of a file, as version 1.13 of Datumaro exports it."""
    return {
        "dm_format_version": "1.0",
        "media_type": 2,
        "infos": {},
        "categories": {
            "label": {
                "labels": [{"name": name, "parent": "", "attributes": []} for name in names],
                "label_groups": [],
                "attributes": [],
            }
        },
        "items": list(items),
    }


def item(name, path, *annotations) -> dict:
    return {"id": name, "annotations": annotations, "image": {"path": path, "size": [20, 30]}}


def label(number) -> dict:
    return {"id": 0, "type": "label", "attributes": {}, "group": 0, "label_id": number}


BOX = {"id": 1, "type": "bbox", "attributes": {"is_crowd": False}, "group": 1, "label_id": 0,
       "z_order": 0, "bbox": [1.0, 2.0, 3.5, 4.0]}  # fmt: skip
CAPTION = {"id": 2, "type": "caption", "attributes": {}, "group": 0, "caption": "a dog"}
TRAIN = datumaro(
    ["Fuß", "dog"],
    item("ä b", "ä b.jpg", label(1), BOX, BOX),
    item("sub/c", "sub_c.png"),
)


@pytest.fixture
def exported(put) -> Path:
    put("data/annotations/train.json", TRAIN)
    put("data/annotations/val.json", datumaro(["Fuß", "dog"], item("v", "v.jpg", label(1))))
    put("data/images/train/ä b.jpg")
    return put("data/images/val/v.jpg").parent.parent.parent


def test_an_export_with_boxes(exported, read_all) -> None:
    reading = read_all(DATUMARO_READER, exported)
    assert reading.states == {
        ("train", "images/train/ä b.jpg"): ({"Fuß", "dog"}, set()),
        ("train", "images/train/sub_c.png"): (set(), set()),
        ("val", "images/val/v.jpg"): ({"dog"}, set()),
    }
    assert reading.source.classes == ["Fuß", "dog"]
    assert reading.source.image_root == exported
    assert not reading.dropped.counts
    seen = DATUMARO_READER.detect(exported)
    assert seen == "categories and items in annotations/train.json and 1 more"


def test_one_file_and_a_folder_of_images(exported, read_all) -> None:
    file = exported / "annotations" / "val.json"
    assert list(read_all(DATUMARO_READER, file).labels) == ["images/val/v.jpg"]
    reading = read_all(DATUMARO_READER, file, exported / "images" / "val")
    assert list(reading.states) == [("val", "v.jpg")]


def test_the_default_subset_is_no_split(put, read_all) -> None:
    put("data/images/default/a.jpg")
    file = put("data/annotations/default.json", datumaro(["dog"], item("a", "a.jpg", label(0))))
    reading = read_all(DATUMARO_READER, file.parent.parent)
    assert reading.states == {("", "images/default/a.jpg"): ({"dog"}, set())}


def test_old_files_have_no_version_and_items_may_have_no_path(put, read_all) -> None:
    content = datumaro(["dog"], {"id": "a", "annotations": [label(0)], "image": {"path": ""}})
    del content["dm_format_version"]
    file = put("val.json", content)
    assert DATUMARO_READER.detect(file)
    assert read_all(DATUMARO_READER, file).labels == {"a.jpg": {"dog"}}


def test_absolute_paths_of_exports_without_images_are_passed_on(put, read_all) -> None:
    file = put("val.json", datumaro(["dog"], item("a", "/far/a.jpg"), item("b", "C:\\b.jpg")))
    assert list(read_all(DATUMARO_READER, file).labels) == ["/far/a.jpg", "C:/b.jpg"]


def test_what_has_no_class_or_no_image_is_counted(put, read_all) -> None:
    video = {"id": "v", "annotations": [label(0)], "video_frame": {"video_path": "v.mp4"}}
    content = datumaro(
        ["dog"], item("a", "a.jpg", label(1), label(-1), CAPTION, label(0.5), label("0")), video
    )
    reading = read_all(DATUMARO_READER, put("val.json", content))
    assert reading.labels == {"a.jpg": {"dog"}}
    assert reading.dropped.counts == {
        "labels that are not the number of a class": 4,
        "items without an image": 1,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(TRAIN)[:-9], "line 1, column"),
        (json.dumps(TRAIN, ensure_ascii=False).encode("cp1252"), "not UTF-8"),
        ({**TRAIN, "items": {}}, "$.items"),
        ({**TRAIN, "categories": {"label": {}}}, "`labels`"),
        ({**TRAIN, "items": ["a.jpg"]}, "items[0]"),
        ([], "object"),
    ],
)
def test_what_is_not_datumaro_is_refused_by_name_and_place(put, content, message) -> None:
    file = put("train.json", content)
    with pytest.raises(DataError) as caught:
        DATUMARO_READER.read(file, None, IssueLog())
    assert str(file) in caught.value.message
    assert message in caught.value.message


def test_a_folder_without_annotations_is_refused(put) -> None:
    folder = put("data/annotations/other.json", {"images": []}).parent.parent
    assert DATUMARO_READER.detect(folder) is None
    with pytest.raises(DataError, match="no file has categories and items"):
        DATUMARO_READER.read(folder, None, IssueLog())


def test_damage_is_reported_or_counted(exported, stands_damage) -> None:
    stands_damage(DATUMARO_READER, exported, exported / "annotations" / "train.json")


@pytest.mark.parametrize("folder", ["images/train/", "images/", ""])
def test_what_is_written_is_read(make_splits, round_trip, folder) -> None:
    splits = {
        "train": [[f"{folder}ä b.jpg", ["dog"]], [f"{folder}2.jpg", []]],
        "val": [["images/val/3.png", ["cat", "dog"]], ["images/val/3.jpg", ["cat"]]],
    }
    round_trip(DATUMARO_WRITER, DATUMARO_READER, make_splits(splits, ["dog", "cat", "never"]))


def test_what_is_written_looks_like_an_export(make_splits) -> None:
    images = [["images/val/v.jpg", ["dog", "Fuß"]], ["images/val/v.png", []]]
    splits = make_splits({"val": images}, ["dog", "Fuß"])
    [file] = DATUMARO_WRITER.write(splits, splits["val"].folder)
    assert file == splits["val"].folder / "annotations" / "val.json"
    first = {"id": "v", "annotations": [label(0), label(1)], "image": {"path": "v.jpg"}}
    second = {"id": "v.png", "annotations": [], "image": {"path": "v.png"}}
    assert json.loads(file.read_text("utf-8")) == datumaro(["Fuß", "dog"], first, second)


def test_what_cannot_be_written_is_told(make_splits) -> None:
    [unknown] = DATUMARO_WRITER.losses(make_splits({"val": [["a", [], ["x"]]]}, ["x"]))
    assert "val: 1 labels are unknown" in unknown
    [numbers] = DATUMARO_WRITER.losses(make_splits({"val": [["a", []]]}, [1]))
    assert "integers" in numbers
