"""FiftyOne image classification."""

import json
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.fiftyone import FiftyOneWriter, fiftyone_reader
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

NULLS = "images with null for labels (all their states are unknown)"
LABELS = {"classes": ["cat", "Fuß"], "labels": {"ä b": [1, 0], "x.y": None, "sub/c": 1, "d": []}}


@pytest.fixture
def exported(put) -> Path:
    for name in ("ä b.jpg", "x.y.jpg", "x.z.jpg", "sub/c.png", "d.webp"):
        put(f"data/data/{name}")
    return put("data/labels.json", LABELS).parent


def test_an_export(exported, read_all) -> None:
    reading = read_all(fiftyone_reader(), exported)
    assert reading.states == {
        ("", "data/ä b.jpg"): ({"cat", "Fuß"}, set()),
        ("", "data/x.y.jpg"): (set(), {"cat", "Fuß"}),
        ("", "data/sub/c.png"): ({"Fuß"}, set()),
        ("", "data/d.webp"): (set(), set()),
    }
    assert reading.source.classes == ["cat", "Fuß"]
    assert reading.source.image_root == exported
    assert reading.dropped.counts == {NULLS: 1}
    assert fiftyone_reader().detect(exported) == "labels in labels.json"
    assert read_all(fiftyone_reader(), exported / "labels.json").states == reading.states


def test_null_may_be_read_as_absent(exported, read_all) -> None:
    reading = read_all(fiftyone_reader(null="absent"), exported)
    assert reading.states["", "data/x.y.jpg"] == (set(), set())
    assert not reading.dropped.counts


def test_folders_are_splits_and_images_may_be_elsewhere(put, read_all) -> None:
    put("data/train/labels.json", {"classes": ["cat"], "labels": {"a": [0]}})
    put("data/validation/labels.json", {"classes": ["dog"], "labels": {"a": [0], "b": None}})
    put("photos/a.jpg")
    put("photos/2/b.jpg")
    photos = put("photos/c.jpg").parent
    reading = read_all(fiftyone_reader(), photos.parent / "data", photos)
    assert reading.states == {
        ("train", "a.jpg"): ({"cat"}, set()),
        ("validation", "a.jpg"): ({"dog"}, set()),
        ("validation", "2/b.jpg"): (set(), {"cat", "dog"}),
    }
    assert reading.source.classes == ["cat", "dog"]


def test_images_may_be_beside_the_labels_of_their_split(put, read_all) -> None:
    for split in ("train", "val"):
        put(f"data/{split}/labels.json", {"classes": ["cat"], "labels": {"a": [0]}})
        put(f"data/{split}/a.jpg")
    folder = put("data/README").parent
    reading = read_all(fiftyone_reader(), folder)
    assert reading.states == {
        ("train", "train/a.jpg"): ({"cat"}, set()),
        ("val", "val/a.jpg"): ({"cat"}, set()),
    }
    assert fiftyone_reader().detect(folder) == "labels in train/labels.json and 1 more"


def test_labels_by_name_and_with_confidence(put, read_all) -> None:
    labels = {"a": ["cat", {"label": "dog", "confidence": 0.5}], "b": {"label": 7}, "c": None}
    file = put("data/labels.json", {"classes": None, "labels": labels})
    for name in "abc":
        put(f"data/{name}.jpg")
    reading = read_all(fiftyone_reader(), file)
    assert reading.states == {
        ("", "a.jpg"): ({"cat", "dog"}, set()),
        ("", "b.jpg"): ({"7"}, set()),
        ("", "c.jpg"): (set(), {"cat", "dog", "7"}),
    }
    assert reading.source.classes is None


def test_what_has_no_class_or_no_file_is_counted(put, read_all) -> None:
    labels = {"a": [0, 2, -1, True, None, 0.5, [], {}], "gone": [0], "twice": [0], "/far/b.jpg": 1}
    file = put("data/labels.json", {"classes": ["cat", "dog"], "labels": labels})
    for name in ("a", "1/twice", "2/twice"):
        put(f"data/data/{name}.jpg")
    reading = read_all(fiftyone_reader(), file)
    assert reading.labels == {
        "data/a.jpg": {"cat"},
        "data/gone": {"cat"},  # which a conversion then misses
        "/far/b.jpg": {"dog"},
    }
    assert reading.dropped.counts == {
        "labels that are not those of a class": 7,
        "names without suffix that several images have (--images narrows the search)": 1,
    }


def test_a_manifest_says_where_images_are(put, read_all) -> None:
    put("data/labels.json", {"classes": ["cat"], "labels": {"a": [0], "b": [0], "c.d": []}})
    paths = {"a": "../photos/1.jpg", "c.d.jpg": "2.jpg", "e": "e.jpg"}
    folder = put("data/data.json", paths).parent
    reading = read_all(fiftyone_reader(), folder)
    assert reading.labels == {"../photos/1.jpg": {"cat"}, "2.jpg": set()}
    assert reading.dropped.counts == {"images that data.json does not list": 1}
    put("photos/1.jpg")
    images = put("photos/deep/2.jpg").parent.parent
    assert list(read_all(fiftyone_reader(), folder, images).labels) == ["1.jpg", "deep/2.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(LABELS)[:40], "line 1, column"),
        (json.dumps(LABELS, ensure_ascii=False).encode("latin-1"), "not UTF-8"),
        ({"classes": [None], "labels": {}}, "$.classes[0]"),
        ({"classes": [], "labels": []}, "$.labels"),
        ([], "object"),
    ],
)
def test_what_is_no_file_of_labels_is_refused_by_name(put, content, message) -> None:
    file = put("labels.json", content)
    with pytest.raises(DataError) as caught:
        fiftyone_reader().read(file, None, IssueLog())
    assert str(file) in caught.value.message
    assert message in caught.value.message


def test_a_folder_without_labels_is_refused(put) -> None:
    folder = put("data/other.json", LABELS).parent
    assert fiftyone_reader().detect(folder) is None
    with pytest.raises(DataError, match=r"no file has labels"):
        fiftyone_reader().read(folder, None, IssueLog())


@pytest.mark.parametrize("damaged", ["labels.json", "data.json"])
def test_damage_is_reported_or_counted(exported, put, stands_damage, damaged) -> None:
    if damaged == "data.json":
        put("data/data.json", {key: f"data/{key}.jpg" for key in LABELS["labels"]})
    stands_damage(fiftyone_reader(), exported, exported / damaged)


def test_what_is_written_is_read(make_splits, round_trip) -> None:
    splits = {
        "train": [["images/train/ä b.c.jpg", ["dog"]], ["2.jpg", []], ["u", [], ["cat", "dog"]]],
        "val": [["images/val/3.png", ["cat", "dog"]]],
    }
    round_trip(FiftyOneWriter(), fiftyone_reader(), make_splits(splits, ["dog", "cat"]))


def test_sparse_labels_are_written_where_all_or_none_are_known(make_splits) -> None:
    images = [["a.jpg", ["x"], ["y"]], ["b.jpg", []], ["c.jpg", [], ["x", "y"]]]
    splits = make_splits({"val": images}, ["x", "y"], unlisted="unknown")
    assert FiftyOneWriter().losses(splits) == []
    [labels, _] = FiftyOneWriter().write(splits, splits["val"].folder)
    assert json.loads(labels.read_text())["labels"] == {"a": [0], "b": None, "c": []}


def test_what_cannot_be_written_is_told(make_splits) -> None:
    images = [["a.jpg", ["x"], ["y"]], ["a.png", []], ["b.jpg", [], ["x", "y"]]]
    [partly, twins] = FiftyOneWriter().losses(make_splits({"val": images}, ["x", "y"]))
    assert partly == "val: 1 images have some labels that are unknown"
    assert twins == "val: 1 images differ in their suffix alone: a"
    [numbers] = FiftyOneWriter().losses(make_splits({"val": [["a", [1]]]}, [1]))
    assert "integers" in numbers


def test_images_elsewhere_are_named_from_the_manifest(make_splits, tmp_path) -> None:
    splits = make_splits({"val": [["a.jpg", ["x"]]]}, ["x"])
    [_, manifest] = FiftyOneWriter().write(splits, tmp_path / "other")
    assert json.loads(manifest.read_text()) == {"a.jpg": "../../result/a.jpg"}
    assert (manifest.parent / "../../result/a.jpg").is_file()


def test_images_in_the_data_of_their_split_have_keys_below_it(make_splits, round_trip) -> None:
    """FiftyOne looks for them there by default, without the manifest."""
    train = [["train/data/x/ä.jpg", ["cat"]], ["train/data/b.c.png", []]]
    splits = make_splits({"train": train, "val": [["val/data/1.jpg", []], ["2.jpg", []]]}, ["cat"])
    round_trip(FiftyOneWriter(), fiftyone_reader(), splits)
    folder = splits["train"].folder
    keys = [json.loads((folder / s / "labels.json").read_text())["labels"] for s in splits]
    assert keys == [{"x/ä": [0], "b.c": []}, {"val/data/1": [], "2": []}]
    (folder / "train/data.json").unlink()
    for image in range(2):
        place = splits["train"].path(image)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    source = fiftyone_reader().read(folder / "train", None, IssueLog())
    assert [sample.path for sample in source.samples] == ["data/x/ä.jpg", "data/b.c.png"]
