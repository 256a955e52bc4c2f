"""The lists of VG-500."""

from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.vg500 import vg500_reader
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

LABELS = {"1.jpg": [0, 499, 0], "2.jpg": [], "3.jpg": [7]}


@pytest.fixture
def lists(put) -> Path:
    put("vg/train_list_500.txt", "1.jpg\r\n2.jpg\r\n\r\n")
    put("vg/test_list_500.txt", "3.jpg\n")
    put("vg/VG_100K/1.jpg")
    put("vg/VG_100K_2/2.jpg")
    put("vg/VG_100K_2/3.jpg")
    return put("vg/vg_category_500_labels_index.json", LABELS)


def test_images_are_found_in_both_folders(lists, read_all) -> None:
    reading = read_all(vg500_reader(), lists.parent)
    assert reading.states == {
        ("train", "VG_100K/1.jpg"): ({"class_000", "class_499"}, set()),
        ("train", "VG_100K_2/2.jpg"): (set(), set()),
        ("test", "VG_100K_2/3.jpg"): ({"class_007"}, set()),
    }
    assert len(reading.source.classes) == 500
    assert not reading.dropped.counts
    assert vg500_reader().detect(lists.parent)
    assert vg500_reader().detect(lists)
    assert read_all(vg500_reader(), lists).states == reading.states


def test_names_come_from_a_file(lists, put, read_all) -> None:
    names = put("names.txt", "\n".join(f"thing {number}" for number in range(500)) + "\n")
    assert read_all(vg500_reader(names), lists).labels["VG_100K_2/3.jpg"] == {"thing 7"}


@pytest.mark.parametrize("content", ["one\n" * 500, "\n".join(map(str, range(499))), ""])
def test_names_must_be_500_different_ones(lists, put, content) -> None:
    with pytest.raises(DataError, match=r"names.txt: has \d+ names, not 500"):
        vg500_reader(put("names.txt", content)).read(lists, None, IssueLog())


def test_images_may_be_elsewhere(lists, tmp_path, read_all) -> None:
    (tmp_path / "vg" / "VG_100K").rename(tmp_path / "VG_100K")
    reading = read_all(vg500_reader(), lists, tmp_path)
    assert list(reading.labels) == ["VG_100K/1.jpg", "vg/VG_100K_2/2.jpg", "vg/VG_100K_2/3.jpg"]


def test_what_does_not_fit_is_counted(lists, put, read_all) -> None:
    put(f"vg/{lists.name}", {"1.jpg": [0, 500, -1, "a"], "3.jpg": [7], "9.jpg": [1]})
    put("vg/VG_100K/3.jpg")
    reading = read_all(vg500_reader(), lists)
    assert reading.labels == {"VG_100K/1.jpg": {"class_000"}}
    assert reading.dropped.counts == {
        "labels that are not the number of a class": 3,
        "listed images of which no labels are told": 1,
        "images of which there is more than one file of that name": 1,
        "images with labels that are in no list": 1,
    }


def test_what_is_in_no_list_is_shown_in_the_order_of_the_file(lists, put, read_all) -> None:
    strangers = [f"{number}.jpg" for number in range(30, 10, -1)]
    put(f"vg/{lists.name}", {**LABELS, **{name: [1] for name in strangers}})
    [examples] = read_all(vg500_reader(), lists).dropped.examples.values()
    assert examples == strangers[:10]


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"1.jpg": [1', "line 1"), ([], "object"), ({"1.jpg": "a"}, "$[...]")],
)
def test_what_is_no_file_of_labels_is_refused(lists, put, content, message) -> None:
    put(f"vg/{lists.name}", content)
    with pytest.raises(DataError) as caught:
        vg500_reader().read(lists.parent, None, IssueLog())
    assert str(lists) in caught.value.message
    assert message in caught.value.message


def test_a_list_is_needed(put) -> None:
    file = put("vg/vg_category_500_labels_index.json", LABELS)
    with pytest.raises(DataError, match=r"has neither train_list_500\.txt nor"):
        vg500_reader().read(file.parent, None, IssueLog())
    assert vg500_reader().detect(file.parent.parent) is None


def test_damage_is_reported_or_counted(lists, stands_damage) -> None:
    stands_damage(vg500_reader(), lists.parent, lists)
