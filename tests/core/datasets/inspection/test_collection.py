"""Data sets as they lie there, and labels of images by name."""

import json
from pathlib import Path

import pytest

from mlc_cli.core.datasets.inspection.collection import Labels, read_collection
from mlc_cli.errors import DataError


def labels(present: str = "", others: str = "", unlisted: str = "absent") -> Labels:
    return Labels(frozenset(present), frozenset(others), unlisted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other", "contradict"),
    [
        (labels("ab"), labels("ab"), False),
        (labels("ab"), labels("a"), True),
        (labels("ab"), labels("a", "b"), False),
        (labels("a", "b"), labels("b", "a"), False),
        (labels("a", "b"), labels("c"), True),
        (labels(), labels(), False),
        (labels("a", "", "unknown"), labels("b", "", "unknown"), False),
        (labels("a", "", "unknown"), labels("b", "a", "unknown"), True),
        (labels("a", "", "unknown"), labels("ab"), False),
        (labels("a", "b", "unknown"), labels("ab"), True),
    ],
)
def test_labels_contradict_where_one_says_present_and_one_absent(
    one: Labels, other: Labels, contradict: bool
) -> None:
    assert one.contradicts(other) == contradict
    assert other.contradicts(one) == contradict


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        (labels("a", "b"), labels("a", "b"), labels("a", "b")),
        (labels("a", "b"), labels("ab"), labels("ab")),
        (labels("a", "b"), labels("a"), labels("a")),  # known to be absent by one
        (labels("a", "b", "unknown"), labels("c", "d", "unknown"), labels("ac", "bd", "unknown")),
    ],
)
def test_joined_labels_know_what_either_knows(one: Labels, other: Labels, joined: Labels) -> None:
    assert one.joined(other) == joined
    assert other.joined(one) == joined


def test_rows_run_through_the_splits_in_their_order(make_data) -> None:
    root = make_data(
        {
            "test": [["t.jpg", []]],
            "train": [["a.jpg", ["cat"]], ["b.jpg", ["dog"], ["cat"]]],
            "val": [["v.jpg", ["dog", "cat"]]],
        }
    )
    collection = read_collection(root)
    assert collection.names == ("train", "val", "test")
    assert [collection.title(row) for row in range(len(collection))] == [
        "train: a.jpg", "train: b.jpg", "val: v.jpg", "test: t.jpg",
    ]  # fmt: skip
    assert collection.rows("val") == range(2, 3)
    assert collection.file(3) == root / "t.jpg"
    assert collection.labels(1) == Labels(frozenset(["dog"]), frozenset(["cat"]), "absent")
    assert collection.labels(2).words() == "cat, dog"
    assert [split.paths[n] for split, n in collection.files()] == [
        "a.jpg",
        "b.jpg",
        "v.jpg",
        "t.jpg",
    ]


def test_one_file_is_a_split_of_its_name(make_data) -> None:
    root = make_data({"odd name": [["a.jpg", []]]})
    collection = read_collection(root / "odd name.json")
    assert collection.names == ("odd name",)
    assert collection.file(0).exists()


def test_faulty_files_keep_all_their_faults_and_the_others_are_read(make_data) -> None:
    train = [["a.jpg", ["cow"]], ["a.jpg", []], ["b.jpg", ["cat"], ["cat"]]]
    root = make_data({"train": train, "val": [["v.jpg", []]]})
    (root / "test.json").write_text('{"classes": [')
    collection = read_collection(root)
    assert collection.names == ("val",)
    assert set(collection.faults) == {"train", "test"}
    for words in ("'cow'", "more than once", "both lists", "train.json"):
        assert words in collection.faults["train"]
    assert "not valid JSON" in collection.faults["test"]


def test_classes_of_all_splits_are_joined_and_sorted(make_data) -> None:
    root = make_data({"train": [["a.jpg", []]]}, classes=[10, 9])
    (root / "val.json").write_text(json.dumps({"classes": ["b", "a"], "images": [["v.jpg", []]]}))
    assert read_collection(root).classes == (9, 10, "a", "b")


@pytest.mark.parametrize("name", ["", "none"])
def test_a_place_without_annotation_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as caught:
        read_collection(tmp_path / name)
    assert str(tmp_path) in caught.value.message
    assert name or "dataset-convert" in caught.value.hint
