"""mmpretrain."""

import json

import pytest

from mlc_cli.core.datasets.formats.mmpretrain import MMPRETRAIN_READER
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

TRAIN = {
    "metainfo": {"classes": ["cat", "dog", "Fuß"]},
    "data_list": [
        {"img_path": "ä b.jpg", "gt_label": [0, 2]},
        {"img_path": "sub\\c.jpg", "gt_label": []},
        {"img_path": "d.jpg", "gt_label": 1, "sample_idx": 2},
    ],
}


def test_numbers_become_names(put, read_all) -> None:
    put("data/train/ä b.jpg")
    put("data/annotations/train.json", TRAIN)
    folder = put("data/annotations/val.json", TRAIN).parent.parent
    reading = read_all(MMPRETRAIN_READER, folder)
    assert reading.states["train", "train/ä b.jpg"] == ({"cat", "Fuß"}, set())
    assert reading.states["train", "train/sub/c.jpg"] == (set(), set())
    assert reading.states["val", "d.jpg"] == ({"dog"}, set())
    assert reading.source.classes == ["cat", "dog", "Fuß"]
    assert not reading.dropped.counts
    seen = MMPRETRAIN_READER.detect(folder)
    assert seen == "metainfo and data_list in annotations/train.json and 1 more"


def test_without_names_numbers_are_the_names(put, read_all) -> None:
    content = {"metainfo": {}, "data_list": [{"img_path": "a.jpg", "gt_label": [3, -1]}]}
    reading = read_all(MMPRETRAIN_READER, put("some.json", content))
    assert reading.states == {("", "a.jpg"): ({3}, set())}
    assert reading.source.classes is None
    assert reading.dropped.counts == {"labels that are not the number of a class": 1}


def test_what_has_no_image_or_no_class_is_counted(put, read_all) -> None:
    entries = [{"img_path": "a.jpg", "gt_label": [0, 3, -1, True, "cat", None]},
               {"img_path": "b.jpg"}, {"gt_label": [0]}, {"img_path": "", "gt_label": [0]},
               {"img_path": "c.jpg", "gt_label": {}}]  # fmt: skip
    reading = read_all(MMPRETRAIN_READER, put("a.json", TRAIN | {"data_list": entries}))
    assert reading.labels == {"a.jpg": {"cat"}, "c.jpg": set()}
    assert reading.dropped.counts == {
        "labels that are not the number of a class": 6,
        "entries without img_path or gt_label": 3,
    }
    assert "a.json, entry 1: b.jpg" in reading.dropped.lines()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(TRAIN)[:60], "line 1, column"),
        ({"metainfo": {"classes": "cat"}, "data_list": []}, "$.metainfo.classes"),
        ({"metainfo": {}}, "`data_list`"),
        ({"data_list": ["a.jpg"]}, "$.data_list[0]"),
    ],
)
def test_what_is_not_mmpretrain_is_refused_by_name_and_place(put, content, message) -> None:
    file = put("a.json", content)
    with pytest.raises(DataError) as caught:
        MMPRETRAIN_READER.read(file, None, IssueLog())
    assert str(file) in caught.value.message
    assert message in caught.value.message


def test_files_must_agree_on_whether_classes_have_names(put) -> None:
    put("data/train.json", TRAIN)
    folder = put("data/val.json", {"metainfo": {}, "data_list": TRAIN["data_list"]}).parent
    with pytest.raises(DataError, match="some files name the classes"):
        MMPRETRAIN_READER.read(folder, None, IssueLog())
    assert MMPRETRAIN_READER.detect(folder / "nothing") is None


def test_damage_is_reported_or_counted(put, stands_damage) -> None:
    file = put("train.json", TRAIN)
    stands_damage(MMPRETRAIN_READER, file, file)
