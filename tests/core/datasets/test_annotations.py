"""The annotation reader: what it takes, and how it refuses the rest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc_cli.core.datasets.annotations import Annotation, read_annotation
from mlc_cli.core.datasets.packed import PackedStrings
from mlc_cli.errors import DataError


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Annotation]:
    """Write content as JSON, or text or bytes as they are, and read it."""

    def write_and_read(content: Any, **more: Any) -> Annotation:
        path = tmp_path / "train.json"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_annotation(path, **more)

    return write_and_read


@pytest.fixture
def refusal(read: Callable[..., Annotation]) -> Callable[[Any], str]:
    """The message with which content is refused."""

    def message(content: Any) -> str:
        with pytest.raises(DataError) as caught:
            read(content)
        assert "train.json" in caught.value.message
        return caught.value.message

    return message


def images(*entries: Any, classes: Any = ("cat", "dog")) -> dict[str, Any]:
    return {"classes": list(classes), "images": list(entries)}


def test_labels_absent_ones_and_unknown_ones(read) -> None:
    content = images(["a.jpg", ["dog"]], ["b.jpg", [], ["dog"]], ["c.jpg", ["cat"], ["dog"]])
    annotation = read(content)
    assert annotation.classes == ("cat", "dog")
    assert list(annotation.paths) == ["a.jpg", "b.jpg", "c.jpg"]
    assert len(annotation) == 3
    states = annotation.targets_NC([0, 1, 2])
    assert states.dtype == np.int8
    assert states.tolist() == [[0, 1], [0, -1], [1, -1]]
    assert annotation.targets_NC(np.array([2, 0])).tolist() == [[1, -1], [0, 1]]


def test_text_sorts_by_letters_and_integers_as_numbers(read) -> None:
    assert read(images(["a", []], classes=["b", "a", "B"])).classes == ("B", "a", "b")
    numbers = read(images(["a", [10]], ["b", [9]], classes=[10, 9, 2, -1]))
    assert numbers.classes == (-1, 2, 9, 10)
    assert numbers.class_names == ["-1", "2", "9", "10"]
    assert numbers.targets_NC([0, 1]).tolist() == [[0, 0, 0, 1], [0, 0, 1, 0]]


def test_digits_as_text_sort_as_text(read) -> None:
    assert read(images(["a", ["9"]], classes=["10", "9"])).classes == ("10", "9")


def test_a_label_listed_twice_in_an_image_counts_once(read) -> None:
    annotation = read(images(["a", ["cat", "cat", "dog"], []], ["b", [], ["cat", "cat"]]))
    assert annotation.positives.sizes_N().tolist() == [2, 0]
    assert annotation.others.sizes_N().tolist() == [0, 1]
    assert annotation.positives.counts_C(2).tolist() == [1, 1]


def test_one_class_one_image_no_label(read) -> None:
    annotation = read(images(["a", []], classes=["only"]))
    assert annotation.targets_NC([0]).tolist() == [[0]]
    assert annotation.positives.counts_C(1).tolist() == [0]


def test_more_classes_than_sixteen_bits(read) -> None:
    classes = list(range(70_000))
    annotation = read(images(["a", [69_999, 0]], classes=classes))
    assert annotation.positives.of(0).tolist() == [0, 69_999]


def test_names_in_any_writing(read) -> None:
    content = images(["mes photos/日本 🐱.jpg", ["été"]], classes=["été", "日本", "a,b"])
    for text in (json.dumps(content), json.dumps(content, ensure_ascii=False)):
        for data in (text.encode(), text.encode("utf-8-sig")):
            annotation = read(data)
            assert annotation.classes == ("a,b", "été", "日本")
            assert annotation.paths[0] == "mes photos/日本 🐱.jpg"


def test_images_lie_beside_the_file_or_where_told(read, tmp_path: Path) -> None:
    content = images(["sub/a.jpg", []])
    assert read(content).path(0) == tmp_path / "sub/a.jpg"
    assert read(content, image_root=Path("/else")).path(0) == Path("/else/sub/a.jpg")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not valid JSON: Expecting value (line 1, column 1)"),
        ('{"classes": ["a"],\n "images": [["a" "b"]]}', "(line 2, column 18)"),
        ('{"classes": ["a"]', "(line 1, column 18)"),
        ("[" * 100_000, "not valid JSON"),
        ('{"classes": [' + "1" * 5000 + '], "images": []}', "not valid JSON"),
        ("été".encode("latin-1"), "not UTF-8 text (byte 0)"),
        ('{"classes": ["é"], "images": []}'.encode("utf-16"), "not UTF-8 text"),
        ([], "no list 'classes'"),
        ("null", "no list 'classes'"),
        ({"images": []}, "no list 'classes'"),
        ({"classes": ["a"]}, "no list 'images'"),
        ({"classes": "ab", "images": []}, "no list 'classes'"),
        ({"classes": ["a"], "images": {}}, "no list 'images'"),
        ({"classes": [], "images": []}, "the list 'classes' is empty"),
        ({"classes": ["a"], "images": []}, "lists no images"),
        (images(classes=["a", 1]), "all text or all integers, found int, str"),
        (images(classes=[True, False]), "found bool"),
        (images(classes=[1.0]), "found float"),
        (images(classes=[None]), "found NoneType"),
        (images(classes=[["a"]]), "found list"),
        (images(classes=["b", "a", "b", "a"]), "listed more than once: a, b"),
        (images(classes=["a\udcff"]), "classes that are not text: 'a\\udcff'"),
    ],
)
def test_a_file_of_another_form_is_refused(refusal, content: Any, words: str) -> None:
    assert words in refusal(content)


@pytest.mark.parametrize(
    "entry",
    [
        5,
        "a.jpg",
        None,
        {},
        [],
        ["a.jpg"],
        ["", []],
        [5, []],
        ["a.jpg", "cat"],
        ["a.jpg", None],
        ["a.jpg", {"cat": 1}],
        ["a.jpg", [], "cat"],
        ["a.jpg", [], [], []],
    ],
    ids=str,
)
def test_a_wrong_entry_is_shown_with_its_number(refusal, entry: Any) -> None:
    message = refusal(images(["good.jpg", ["cat"]], entry))
    assert "1 entries that are not [path, [labels]]" in message
    assert f"entry 1: {entry!r}" in message


@pytest.mark.parametrize(
    ("label", "described"),
    [
        ("cta", "b.jpg: 'cta', did you mean 'cat'?"),
        ("Dog", "b.jpg: 'Dog', did you mean 'dog'?"),
        ("zebra", "b.jpg: 'zebra'"),
        (1, "b.jpg: 1"),
        (None, "b.jpg: None"),
        (["cat"], "b.jpg: ['cat']"),
        ({"cat": 1}, "b.jpg: {'cat': 1}"),
    ],
)
@pytest.mark.parametrize("place", [1, 2])
def test_an_unknown_label_gets_the_nearest_class(refusal, label, described, place) -> None:
    entry = ["b.jpg", [], []]
    entry[place] = [label]
    message = refusal(images(["a.jpg", ["cat"]], entry))
    assert "1 labels that are not in 'classes'" in message
    assert described in message


@pytest.mark.parametrize(("label", "near"), [("9", "did you mean '9'?"), (True, ""), (1.0, "")])
def test_integer_classes_take_integers_alone(refusal, label: Any, near: str) -> None:
    assert near in refusal(images(["a.jpg", [label]], classes=[0, 1, 9]))


def test_an_image_listed_twice_is_refused(refusal) -> None:
    message = refusal(images(["a.jpg", []], ["b.jpg", []], ["a.jpg", ["cat"]], ["a.jpg", []]))
    assert "2 images listed more than once" in message
    assert "  a.jpg" in message


def test_a_label_both_present_and_unknown_is_refused(refusal) -> None:
    message = refusal(images(["a.jpg", ["cat"], ["cat", "dog"]], ["b.jpg", ["cat"], ["dog"]]))
    assert "1 images with a label in both lists" in message
    assert "a.jpg (entry 0)" in message
    assert "b.jpg" not in message


def test_a_path_that_is_half_a_character_is_refused(refusal) -> None:
    message = refusal(images(["a\udcff.jpg", []]))
    assert "1 image paths that are not text" in message
    assert "'a\\udcff.jpg'" in message


def test_faults_of_all_kinds_are_reported_at_once(refusal) -> None:
    message = refusal(
        images(["a", ["cta"]], 5, ["b", ["cat"], ["cat"]], ["c", []], ["c", []], ["\ud800", []])
    )
    for words in ("not in 'classes'", "not [path", "in both lists", "more than once", "not text"):
        assert words in message


@pytest.mark.parametrize("count", [10, 11, 5000])
def test_ten_examples_are_shown_and_the_rest_counted(refusal, count: int) -> None:
    classes = [f"class {number}" for number in range(80)]
    entries = [[f"{number}.jpg", ["klass 7"]] for number in range(count)]
    lines = refusal(images(*entries, classes=classes)).splitlines()
    assert f"{count} labels" in lines[0]
    assert sum(".jpg" in line for line in lines) == 10
    more = [line.strip() for line in lines if "more" in line]
    assert more == ([f"... and {count - 10:,} more"] if count > 10 else [])


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such annotation file") as caught:
        read_annotation(tmp_path / "none.json")
    assert "--data" in caught.value.hint
    (tmp_path / "train.json").touch()
    for name, hint in (("val.json", "--cross-validate"), ("train.json/train.json", "is a file")):
        with pytest.raises(DataError, match="there is no such annotation file") as caught:
            read_annotation(tmp_path / name)
        assert hint in caught.value.hint
    with pytest.raises(DataError, match="directory"):
        read_annotation(tmp_path)


def test_an_image_costs_few_bytes_beside_its_path(read) -> None:
    count = 20_000
    classes = [f"class {number:02}" for number in range(80)]
    entries = [
        [f"images/{number:012}.jpg", classes[number % 75 : number % 75 + 3], classes[78:]]
        for number in range(count)
    ]
    annotation = read(images(*entries, classes=classes))
    paths, sets = annotation.paths, (annotation.positives, annotation.others)
    arrays = [paths.offsets, *(a for s in sets for a in (s.indices, s.starts))]
    held = [value for value in vars(annotation).values() if isinstance(value, list | dict | set)]
    assert held == []
    assert sum(array.nbytes for array in arrays) <= 64 * count
    assert len(paths.blob) == count * len("images/000000000000.jpg")


@pytest.mark.parametrize("strings", [[], [""], ["a"], ["é", "", "日本", "x" * 1000]])
def test_packed_strings_are_a_sequence(strings: list[str]) -> None:
    packed = PackedStrings.pack(strings)
    assert list(packed) == strings
    assert [packed[-place] for place in range(1, len(strings) + 1)] == strings[::-1]
    for outside in (len(strings), -len(strings) - 1):
        with pytest.raises(IndexError):
            packed[outside]


def test_unlisted_labels_may_be_unknown(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    images = [["1.jpg", ["b"], ["a"]], ["2.jpg", []]]
    path.write_text(
        json.dumps({"classes": ["c", "a", "b"], "unlisted": "unknown", "images": images})
    )
    annotation = read_annotation(path)
    assert annotation.targets_NC([0, 1]).tolist() == [[0, 1, -1], [-1, -1, -1]]
    assert annotation.unknown_C().tolist() == [1, 1, 2]


def test_a_state_of_unlisted_labels_that_does_not_exist_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"classes": ["a"], "unlisted": "maybe", "images": [["1.jpg", []]]}))
    with pytest.raises(DataError, match="'unlisted' is 'maybe'"):
        read_annotation(path)


def test_images_may_be_below_another_folder(read, tmp_path: Path) -> None:
    content = images(["a.jpg", ["cat"]]) | {"image_root": "../photos"}
    assert read(content).path(0) == tmp_path.parent / "photos" / "a.jpg"
    assert read(content, image_root=tmp_path / "x").path(0) == tmp_path / "x" / "a.jpg"


@pytest.mark.parametrize("root", [3, None, ["a"]])
def test_an_image_root_that_is_no_name_is_refused(refusal, root: Any) -> None:
    assert "image_root" in refusal(images(["a.jpg", []]) | {"image_root": root})


def test_some_of_the_images_in_any_order(read) -> None:
    whole = read(images(["a", ["cat"]], ["b", []], ["ü", ["dog", "cat"]], ["d", [], ["dog"]]))
    part = whole.take(np.array([3, 2, 1, 2]))
    assert list(part.paths) == ["d", "ü", "b", "ü"]
    assert part.targets_NC(range(4)).tolist() == whole.targets_NC([3, 2, 1, 2]).tolist()
    assert len(whole.take(np.zeros(0, np.int64))) == 0
