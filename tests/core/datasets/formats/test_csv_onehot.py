"""CSV with a column for each class."""

import csv
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.csv_list import CsvListWriter
from mlc_cli.core.datasets.formats.csv_onehot import CsvOnehotWriter, csv_onehot_reader
from mlc_cli.core.datasets.formats.shared.states import StateRule
from mlc_cli.errors import DataError

ROBOFLOW = "filename, dog, cat\na.jpg, 1, 0\nb.jpg, 0, 0\n"


def test_roboflow_has_a_file_for_each_split_beside_the_images(put, read_all, tmp_path) -> None:
    put("train/_classes.csv", ROBOFLOW)
    put("valid/_classes.csv", "filename, dog, cat\nc.jpg, 1, 1\n")
    put("README.roboflow.txt", "x")
    reading = read_all(csv_onehot_reader(), tmp_path)
    assert reading.states == {
        ("train", "train/a.jpg"): ({"dog"}, set()),
        ("train", "train/b.jpg"): (set(), set()),
        ("valid", "valid/c.jpg"): ({"dog", "cat"}, set()),
    }
    assert reading.source.classes == ["dog", "cat"]
    assert reading.source.image_root == tmp_path
    assert not reading.dropped.counts
    assert csv_onehot_reader().detect(tmp_path) == "2 columns of 0 and 1 in _classes.csv"


def test_one_column_is_no_columns(put, tmp_path) -> None:
    put("a.csv", "file,cat\n1.jpg,1\n2.jpg,0\n")
    assert csv_onehot_reader().detect(tmp_path) == "1 column of 0 and 1 in a.csv"


def test_the_file_of_one_split_of_roboflow_is_that_split(put, read_all, tmp_path) -> None:
    file = put("valid/_classes.csv", ROBOFLOW)
    assert set(read_all(csv_onehot_reader(), file).states) == {
        ("valid", "a.jpg"),
        ("valid", "b.jpg"),
    }
    above = read_all(csv_onehot_reader(), file, tmp_path)
    assert set(above.labels) == {"valid/a.jpg", "valid/b.jpg"}


def test_images_may_be_elsewhere_in_the_same_order_or_in_one_folder(
    put, read_all, tmp_path
) -> None:
    put("train/_classes.csv", ROBOFLOW)
    put("photos/a.jpg")
    flat = read_all(csv_onehot_reader(), tmp_path, tmp_path / "photos")
    assert set(flat.labels) == {"a.jpg", "b.jpg"}
    put("photos/train/a.jpg")
    deep = read_all(csv_onehot_reader(), tmp_path, tmp_path / "photos")
    assert set(deep.labels) == {"train/a.jpg", "train/b.jpg"}


def test_a_class_that_one_split_lacks_is_unknown_there(put, read_all, tmp_path) -> None:
    put("train/_classes.csv", ROBOFLOW)
    put("valid/_classes.csv", "filename, dog\nc.jpg, 1\n")
    reading = read_all(csv_onehot_reader(), tmp_path)
    assert reading.states["valid", "valid/c.jpg"] == ({"dog"}, {"cat"})
    assert "unknown: cat" in reading.source.remarks[0]


def test_a_table_without_any_class_says_nothing_of_labels(put, read_all, tmp_path) -> None:
    put("Training_GroundTruth.csv", "image,mel,nv\na.jpg,1.0,0.0\nb.jpg,0.0,1.0\n")
    put("Training_Metadata.csv", "image,age,site\na.jpg,55.0,torso\nb.jpg,60.0,back\n")
    reading = read_all(csv_onehot_reader(), tmp_path)
    assert {path: own for (_, path), own in reading.states.items()} == {
        "a.jpg": ({"mel"}, set()),
        "b.jpg": ({"nv"}, set()),
    }
    assert any("left out" in one and "Metadata" in one for one in reading.source.remarks)


@pytest.mark.parametrize(
    ("minus_one", "unknown"), [("unknown", {"Mass", "Edema"}), ("absent", {"Mass"})]
)
def test_blank_and_minus_one_as_in_chexpert(put, read_all, minus_one, unknown) -> None:
    file = put(
        "train.csv",
        "Path,Sex,Age,Mass,Edema,Fracture,Hernia\n"
        "v1/patient1/view1_frontal.jpg,Female,68,,-1.0,1.0,0.0\n",
    )
    reading = read_all(csv_onehot_reader(StateRule(minus_one=minus_one)), file)
    assert reading.states == {("", "v1/patient1/view1_frontal.jpg"): ({"Fracture"}, unknown)}
    said, left_out = reading.source.remarks
    assert "blank is unknown (1 cells, csv.blank)" in said
    assert left_out == (
        "train.csv: columns that are not used (--keep-columns keeps them): Sex, Age"
    )


def test_a_split_column_and_an_index_of_pandas(put, read_all) -> None:
    file = put("a.csv", ",image,dog,set\n0,a.jpg,1,train\n1,img\\b.jpg,True,test\n")
    reading = read_all(csv_onehot_reader(), file)
    assert reading.states == {
        ("train", "a.jpg"): ({"dog"}, set()),
        ("test", "img/b.jpg"): ({"dog"}, set()),
    }


def test_cells_that_say_nothing_are_counted_and_unknown(put, read_all) -> None:
    file = put("a.csv", "image,dog,cat\na.jpg,2,1\n,1,1\nb.jpg,0\nc.jpg,NaN,0\n")
    reading = read_all(csv_onehot_reader(), file)
    assert reading.states == {
        ("", "a.jpg"): ({"cat"}, {"dog"}),
        ("", "b.jpg"): (set(), {"cat"}),
        ("", "c.jpg"): (set(), {"dog"}),
    }
    assert list(reading.dropped.counts.values()) == [1, 1]
    [example] = reading.dropped.examples["cells that are not 0, 1, -1 or blank (label unknown)"]
    assert example == f"{file}, line 2, dog: '2'"


def test_names_without_suffix_are_looked_up(put, read_all, tmp_path) -> None:
    put("jpg/train_0.jpg"), put("jpg/train_1.png"), put("tif/train_1.tif")
    file = put("a.csv", "image,dog\ntrain_0,1\ntrain_1,0\ntrain_2,1\n")
    reading = read_all(csv_onehot_reader(), file)
    assert reading.labels == {"jpg/train_0.jpg": {"dog"}, "train_2": {"dog"}}
    assert sum(reading.dropped.counts.values()) == 1
    narrow = read_all(csv_onehot_reader(), file, tmp_path / "jpg")
    assert set(narrow.labels) == {"train_0.jpg", "train_1.png", "train_2"}


def test_a_table_without_flags_is_refused(put, read_all) -> None:
    file = put("a.csv", "image,labels\na.jpg,cat\n")
    with pytest.raises(DataError, match="no column holds 0 and 1"):
        read_all(csv_onehot_reader(), file)


@pytest.mark.parametrize(
    "content",
    ["image,labels\na.jpg,cat\n", "image,label\na.jpg,1\n", "", "a.jpg,1\n",
     "ImageID,LabelName,Confidence\na,/m/1,1\n"],
)  # fmt: skip
def test_other_tables_are_not_taken_for_it(put, content: str) -> None:
    assert csv_onehot_reader().detect(put("a.csv", content)) is None


def test_round_trip(make_splits, round_trip) -> None:
    classes = [
        "Fuß",
        "a,b",
        'c"d',
        "image",
        "split",
        "traffic light",
        "set",
        "line\nbreak",
        "=1",
        "x.jpg",
    ]
    splits = make_splits(
        {
            "train": [["i/a.jpg", ["Fuß", "a,b"], ["split"]], ["i/b c.jpg", [], classes]],
            "val": [
                ["i/d,e.jpg", ['c"d', "image", "=1"]],
                ["i/f.jpg", ["set", "line\nbreak", "x.jpg"]],
            ],
        },
        classes,
    )
    round_trip(CsvOnehotWriter(), csv_onehot_reader(), splits)


def test_round_trip_of_mostly_unknown_labels(make_splits) -> None:
    splits = make_splits(
        {"train": [["a.jpg", ["cat"], ["dog"]], ["b.jpg", []]]}, ["cat", "dog"], "unknown"
    )
    [file] = CsvOnehotWriter().write(splits, splits["train"].folder)
    assert list(csv.reader(file.read_text().splitlines())) == [
        ["image", "cat", "dog", "split"],
        ["a.jpg", "1", "0", "train"],
        ["b.jpg", "", "", "train"],
    ]


@pytest.mark.parametrize("writer", [CsvOnehotWriter(), CsvListWriter()])
def test_images_outside_of_the_folder_are_refused(make_splits, tmp_path, writer) -> None:
    splits = make_splits({"train": [["a.jpg", ["cat"]]]}, ["cat"])
    (tmp_path / "else").mkdir()
    with pytest.raises(DataError, match="outside of the result") as caught:
        writer.write(splits, tmp_path / "else")
    assert "--link" in caught.value.hint
    assert not list((tmp_path / "else").iterdir())


def test_paths_lead_from_the_file_to_the_images(make_splits, tmp_path) -> None:
    splits = make_splits({"train": [["a.jpg", ["cat"]]]}, ["cat"])
    [file] = CsvOnehotWriter().write(splits, tmp_path)
    assert "\nresult/a.jpg,1,train" in file.read_text()


@pytest.mark.parametrize(
    ("classes", "path", "reason"),
    [
        ([1, 2], "a.jpg", "integers"),
        ([" a"], "a.jpg", "space"),
        (["a\rb"], "a.jpg", "carriage return"),
        (["a"], "a.jpg ", "space"),
        (["a"], "x\\a.jpg", "backslash"),
    ],
)
def test_what_a_table_cannot_hold_is_said(make_splits, classes, path, reason) -> None:
    splits = make_splits({"train": [[path, [classes[0]]]]}, classes)
    [loss] = CsvOnehotWriter().losses(splits)
    assert reason in loss


def test_any_damage_ends_in_a_message(put, damaged_outcomes) -> None:
    file = put("a.csv", 'image,dog,"c,at",split\na.jpg,1,0,train\n"b.jpg",-1,,val\nc,0.0,1,val\n')
    assert damaged_outcomes(csv_onehot_reader(), file, file) == {"read", "refused"}


def test_real_roboflow_export(real_data: Path, read_all) -> None:
    folder = real_data / "formats/roboflow_multilabel"
    reading = read_all(csv_onehot_reader(), folder)
    assert len(reading.states) == 2442
    assert not reading.dropped.counts
    lines = (folder / "train/_classes.csv").read_text().splitlines()
    buses = sum(line.split(", ")[1] == "1" for line in lines)
    assert (
        sum(
            "bus" in labels
            for (split, _), (labels, _) in reading.states.items()
            if split == "train"
        )
        == buses
    )
