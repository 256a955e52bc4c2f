"""Our own annotation files."""

import json

import pytest

from mlc_cli.core.datasets.formats.mlc import MLC_READER, MLC_WRITER
from mlc_cli.errors import DataError

TRAIN = {
    "classes": ["dog", "cat", "Fuß"],
    "images": [["a.jpg", ["dog", "cat"]], ["b c.jpg", []], ["d.jpg", ["Fuß"], ["cat"]]],
}
VAL = {"classes": ["cat", "dog", "Fuß"], "images": [["v.jpg", ["cat"]]]}


def test_files_of_a_folder_are_its_splits(put, read_all) -> None:
    folder = put("data/train.json", TRAIN).parent
    put("data/val.json", VAL)
    put("data/notes.json", {"classes": 3})
    reading = read_all(MLC_READER, folder)
    assert reading.states == {
        ("train", "a.jpg"): ({"dog", "cat"}, set()),
        ("train", "b c.jpg"): (set(), set()),
        ("train", "d.jpg"): ({"Fuß"}, {"cat"}),
        ("val", "v.jpg"): ({"cat"}, set()),
    }
    assert reading.source.classes == ["dog", "cat", "Fuß"]
    assert reading.source.image_root == folder
    assert reading.source.unlisted == "absent"
    assert not reading.dropped.counts
    assert MLC_READER.detect(folder) == "classes and images in train.json and 1 more"


def test_one_file_is_one_split_and_may_say_where_its_images_are(put, read_all) -> None:
    file = put("val.json", VAL | {"image_root": "../photos"})
    reading = read_all(MLC_READER, file)
    assert list(reading.states) == [("val", "v.jpg")]
    assert reading.source.image_root.resolve() == file.parent.parent / "photos"
    assert read_all(MLC_READER, file, file.parent).source.image_root == file.parent


def test_unlisted_labels_may_be_unknown(put, read_all) -> None:
    folder = put("data/train.json", TRAIN | {"unlisted": "unknown"}).parent
    reading = read_all(MLC_READER, folder)
    assert reading.source.unlisted == "unknown"
    assert reading.states["train", "d.jpg"] == ({"Fuß"}, {"cat"})


def test_files_that_differ_in_what_unlisted_labels_are_come_to_one_meaning(put, read_all) -> None:
    folder = put("data/train.json", TRAIN | {"unlisted": "unknown"}).parent
    put("data/val.json", VAL)
    reading = read_all(MLC_READER, folder)
    assert reading.source.unlisted == "absent"
    assert reading.states["train", "d.jpg"] == ({"Fuß"}, {"dog"})
    assert reading.states["train", "b c.jpg"] == (set(), {"dog", "cat", "Fuß"})
    assert reading.states["val", "v.jpg"] == ({"cat"}, set())


def test_entries_of_another_form_are_counted(put, read_all) -> None:
    bad = ["x.jpg", ["x.jpg"], ["", []], ["x.jpg", "cat"], ["x.jpg", [None]], ["x.jpg", [True]],
           ["x.jpg", [], [], []], ["x.jpg", [], "cat"], [7, []], None]  # fmt: skip
    file = put("train.json", TRAIN | {"images": [*bad, ["good.jpg", ["cat"]]]})
    reading = read_all(MLC_READER, file)
    assert list(reading.states) == [("train", "good.jpg")]
    assert list(reading.dropped.counts.values()) == [len(bad)]
    assert "train.json, entry 0" in reading.dropped.lines()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1"),
        (b'{"classes": ["cat"], "images": [["a.jpg", ["c', "line 1, column"),
        ('{"classes": ["Fuß"], "images": []}'.encode("latin-1"), "not UTF-8"),
        ('{"classes": ["cat"], "images": []}'.encode("utf-16"), "not UTF-8"),
        ({"images": []}, "classes"),
        ({"classes": ["cat"]}, "images"),
        ({"classes": ["cat", None], "images": []}, "found NoneType"),
        ({"classes": ["cat", True], "images": []}, "found bool"),
        ({"classes": ["cat"], "images": {}}, "no list 'images'"),
        ({"classes": ["cat"], "images": [], "unlisted": "maybe"}, "'unlisted' is"),
        ([], "no list 'classes'"),
    ],
)
def test_what_is_no_annotation_file_is_refused_by_name(put, content, message) -> None:
    file = put("train.json", content)
    with pytest.raises(DataError) as caught:
        MLC_READER.read(file, None, None)
    assert str(file) in caught.value.message
    assert message in caught.value.message


def test_a_byte_order_mark_changes_nothing(put, read_all) -> None:
    file = put("val.json", b"\xef\xbb\xbf" + json.dumps(VAL).encode())
    assert MLC_READER.detect(file)
    assert read_all(MLC_READER, file).labels == {"v.jpg": {"cat"}}


def test_a_folder_without_annotation_files_is_refused(put) -> None:
    folder = put("data/other.json", {"labels": {}}).parent
    assert MLC_READER.detect(folder) is None
    assert MLC_READER.detect(folder / "nothing") is None
    with pytest.raises(DataError, match="no file has classes and images"):
        MLC_READER.read(folder, None, None)


def test_images_in_two_folders_are_refused(put) -> None:
    put("data/train.json", TRAIN)
    folder = put("data/val.json", VAL | {"image_root": "elsewhere"}).parent
    with pytest.raises(DataError, match="below one folder"):
        MLC_READER.read(folder, None, None)


SPLITS = {
    "train": [["images/ä ö.jpg", ["b"], ["a"]], ["images/2.jpg", []]],
    "val": [["images/3.jpg", ["a", "b"]]],
}


@pytest.mark.parametrize("unlisted", ["absent", "unknown"])
@pytest.mark.parametrize("classes", [["b", "a"], [10, 9]])
def test_what_is_written_is_read(make_splits, round_trip, classes, unlisted) -> None:
    numbered = {"b": classes[0], "a": classes[1]}
    splits = {
        name: [[path, *([numbered[label] for label in part] for part in parts)]
               for path, *parts in images]
        for name, images in SPLITS.items()
    }  # fmt: skip
    round_trip(MLC_WRITER, MLC_READER, make_splits(splits, classes, unlisted))


def test_files_are_short_and_plain(make_splits) -> None:
    splits = make_splits(SPLITS, ["b", "a"])
    [train, _] = MLC_WRITER.write(splits, splits["train"].folder)
    assert train.read_text(encoding="utf-8") == (
        '{"classes": ["a","b"],\n'
        '"images": [["images/ä ö.jpg",["b"],["a"]],\n["images/2.jpg",[]]]}\n'
    )


def test_images_elsewhere_are_named_from_the_file(make_splits, tmp_path, read_all) -> None:
    splits = make_splits(SPLITS, ["b", "a"])
    [train, _] = MLC_WRITER.write(splits, tmp_path / "other")
    assert json.loads(train.read_text(encoding="utf-8"))["image_root"] == "../result"
    root = read_all(MLC_READER, train).source.image_root
    assert root.resolve() == splits["train"].folder.resolve()


def test_damage_is_reported_or_counted(put, stands_damage) -> None:
    file = put("data/train.json", TRAIN)
    stands_damage(MLC_READER, file, file)
