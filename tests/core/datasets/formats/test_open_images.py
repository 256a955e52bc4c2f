"""Open Images."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.open_images import open_images_reader
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

LABELS = """ImageID,Source,LabelName,Confidence
0001eeaf4aed83f9,verification,/m/0cmf2,1
0001eeaf4aed83f9,verification,/m/01g317,0
000595fe6fee6369,crowdsource-verification,/m/01g317,1
000595fe6fee6369,verification,/m/04yx4,1
00075905539074f2,verification,/m/04yx4,0
"""
BOXES = """ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf
0001eeaf4aed83f9,xclick,/m/0cmf2,1,0.02,0.96,0.07,0.8,0,0
0001eeaf4aed83f9,xclick,/m/04yx4,1,0.1,0.2,0.3,0.4,0,1
"""
NAMES = (
    'LabelName,DisplayName\n/m/0cmf2,Airplane\n/m/01g317,Person\n/m/04yx4,"Man, adult"\n/m/x,Rose\n'
)


@pytest.fixture
def folder(put: Callable[..., Path], tmp_path: Path) -> Path:
    put("oidv6-class-descriptions.csv", NAMES)
    put("validation-annotations-human-imagelabels.csv", LABELS)
    put("oidv6-train-annotations-bbox.csv", BOXES)
    put("train-annotations-machine-imagelabels.csv", LABELS)
    return tmp_path


def test_verified_labels_present_and_absent(folder: Path, read_all) -> None:
    reading = read_all(open_images_reader(), folder)
    assert reading.states == {
        ("train", "train/0001eeaf4aed83f9.jpg"): ({"Airplane", "Man, adult"}, set()),
        ("validation", "validation/0001eeaf4aed83f9.jpg"): ({"Airplane"}, {"Person"}),
        ("validation", "validation/000595fe6fee6369.jpg"): ({"Person", "Man, adult"}, set()),
        ("validation", "validation/00075905539074f2.jpg"): (set(), {"Man, adult"}),
    }
    source = reading.source
    assert (source.unlisted, source.scattered, source.classes) == ("unknown", True, None)
    assert not reading.dropped.counts
    assert open_images_reader().detect(folder) == "oidv6-train-annotations-bbox.csv"


def test_unverified_may_count_as_absent(folder: Path, read_all) -> None:
    reading = read_all(open_images_reader("absent"), folder)
    assert reading.source.unlisted == "absent"
    assert reading.states["validation", "validation/00075905539074f2.jpg"] == (set(), set())


def test_a_folder_of_images_may_have_them_by_split_or_not(folder: Path, put, read_all) -> None:
    put("photos/validation/0001eeaf4aed83f9.jpg")
    reading = read_all(open_images_reader(), folder, folder / "photos")
    assert ("validation", "validation/0001eeaf4aed83f9.jpg") in reading.states
    assert ("train", "0001eeaf4aed83f9.jpg") in reading.states
    assert reading.source.image_root == folder / "photos"


def test_rows_of_an_image_that_are_apart_are_several_samples(put) -> None:
    file = put(
        "train-annotations-human-imagelabels.csv",
        "ImageID,Source,LabelName,Confidence\na,v,/m/1,1\na,v,/m/2,1\nb,v,/m/1,0\na,v,/m/3,1\n",
    )
    samples = list(open_images_reader().read(file, None, IssueLog()).samples)
    assert [(sample.path, len(sample.labels)) for sample in samples] == [
        ("train/a.jpg", 2),
        ("train/b.jpg", 0),
        ("train/a.jpg", 1),
    ]


def test_older_descriptions_have_no_header_and_some_have_quotes(
    folder: Path, put, read_all
) -> None:
    put("oidv6-class-descriptions.csv", NAMES.partition("\n")[2])
    assert (
        "Man, adult"
        in read_all(open_images_reader(), folder).labels["validation/000595fe6fee6369.jpg"]
    )


def test_classes_of_one_name_stay_apart(folder: Path, put, read_all) -> None:
    put("oidv6-class-descriptions.csv", "/m/0cmf2,Man\n/m/01g317,Person\n/m/04yx4,Man\n")
    reading = read_all(open_images_reader(), folder)
    assert reading.labels["validation/0001eeaf4aed83f9.jpg"] == {"Man (/m/0cmf2)"}
    assert "kept apart by their codes: Man" in reading.source.remarks[0]


def test_without_descriptions_classes_are_codes(put, read_all) -> None:
    reading = read_all(open_images_reader(), put("test-annotations-human-imagelabels.csv", LABELS))
    assert reading.states["test", "test/0001eeaf4aed83f9.jpg"] == ({"/m/0cmf2"}, {"/m/01g317"})
    assert "called by their codes" in reading.source.remarks[0]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("oidv7-val-annotations-human-imagelabels.csv", "validation"),
        ("train-annotations-human-imagelabels-boxable.csv", "train"),
        ("test-annotations-bbox.csv", "test"),
        ("my-annotations-bbox.csv", ""),
    ],
)
def test_the_name_of_a_table_tells_its_split(put, read_all, name: str, split: str) -> None:
    assert {key[0] for key in read_all(open_images_reader(), put(name, LABELS)).states} == {split}


def test_rows_that_say_nothing_are_counted(put, read_all) -> None:
    file = put(
        "train-human-imagelabels.csv",
        "ImageID,Source,LabelName,Confidence\na,v,/m/1,0.7\n,v,/m/1,1\na,v,,1\na,v\n\nb,v,/m/1,1\n",
    )
    reading = read_all(open_images_reader(), file)
    assert reading.labels == {"train/b.jpg": {"/m/1"}}
    assert list(reading.dropped.counts.values()) == [3, 1]


def test_what_is_no_such_table_is_refused(put, read_all, tmp_path: Path) -> None:
    assert open_images_reader().detect(tmp_path) is None
    with pytest.raises(DataError, match="human-imagelabels"):
        read_all(open_images_reader(), tmp_path)
    with pytest.raises(DataError, match="no column LabelName"):
        read_all(open_images_reader(), put("x-bbox.csv", "ImageID,Source\n"))
    with pytest.raises(DataError, match="no column ImageID"):
        read_all(open_images_reader(), put("x-bbox.csv", ""))


def test_memory_does_not_grow_with_the_rows(put) -> None:
    rows = "".join(
        f"{row // 4:016x},verification,/m/{row % 600},{row % 2}\n" for row in range(60_000)
    )
    file = put("train-human-imagelabels.csv", LABELS + rows)
    tracemalloc.start()
    count = sum(1 for _ in open_images_reader().read(file, None, IssueLog()).samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 15_003
    assert peak < 1_000_000 < len(rows)


@pytest.mark.parametrize(
    "name", ["oidv6-class-descriptions.csv", "validation-annotations-human-imagelabels.csv"]
)
def test_any_damage_ends_in_a_message(folder: Path, name: str, damaged_outcomes) -> None:
    assert damaged_outcomes(open_images_reader(), folder, folder / name) == {"read", "refused"}
