"""CSV with a column of labels."""

from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.csv_list import CsvListWriter, csv_list_reader, find_separator
from mlc_cli.core.datasets.formats.shared.tables import Told
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

PLANET = """image_name,tags
train_0,haze primary
train_1,agriculture clear primary water
train_2,clear primary
train_3,clear primary water
train_4,agriculture clear habitation primary road
train_5,haze primary water
train_6,agriculture clear cultivation primary water
train_7,clear water
train_8,haze agriculture primary
train_9,clear habitation road
"""


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (["cat,dog", "cat"], ","),
        (["cat, dog", ""], ","),
        (["Mass|Hernia", "No Finding"], "|"),
        (["a,b|c;d"], "|"),
        (["a,b;c"], ";"),
        (["['a', 'b']", "[]", ""], "[]"),
        (["['a']", "b|c"], "|"),
        (["haze primary", "clear primary", "haze", "clear", "clear haze"], " "),
        (["traffic light", "stop sign", "dog", "hot dog"], ""),
        (["", "nan"], ""),
        ([], ""),
    ],
)
def test_the_separator_is_found_out_by_one_rule(cells: list[str], separator: str) -> None:
    assert find_separator(cells) == separator


@pytest.mark.parametrize(
    "cell",
    ['"cat,traffic light"', '"cat, traffic light"', "cat|traffic light", "cat;traffic light",
     "\"['cat', 'traffic light']\"", '"[""cat"", ""traffic light""]"'],
)  # fmt: skip
def test_labels_of_any_form_and_images_without(put, read_all, cell: str) -> None:
    file = put("a.csv", f"image_path,label\na.jpg,{cell}\nb.jpg,\nc.jpg,NaN\n")
    reading = read_all(csv_list_reader(), file)
    assert reading.labels == {"a.jpg": {"cat", "traffic light"}, "b.jpg": set(), "c.jpg": set()}
    assert not reading.dropped.counts
    assert reading.source.remarks[0].startswith("separator of labels: ")
    assert csv_list_reader().detect(file) == "column label in a.csv"


def test_kaggle_planet_has_spaces_and_names_without_suffix(put, read_all) -> None:
    file = put("train_v2.csv", PLANET)
    put("train-jpg/train_0.jpg")
    put("train-jpg/train_1.jpg")
    reading = read_all(csv_list_reader(), file)
    assert reading.labels["train-jpg/train_0.jpg"] == {"haze", "primary"}
    assert reading.labels["train-jpg/train_1.jpg"] == {"agriculture", "clear", "primary", "water"}
    assert reading.labels["train_2"] == {"clear", "primary"}
    assert reading.source.remarks == ("separator of labels: a space",)


def test_the_user_may_say_what_separates(put, read_all) -> None:
    file = put("a.csv", "image,labels\na.jpg,hot dog+cat|x\nb.jpg,\n")
    reading = read_all(csv_list_reader("+"), file)
    assert reading.labels == {"a.jpg": {"hot dog", "cat|x"}, "b.jpg": set()}
    assert reading.source.remarks == ()
    assert read_all(csv_list_reader(""), file).labels["a.jpg"] == {"hot dog+cat|x"}


def test_splits_from_a_column_or_from_the_names_of_files(put, read_all, tmp_path) -> None:
    file = put(
        "nus_wid_data.csv", "filepath,label,split_name\na.jpg,\"['cat']\",train\nb.jpg,[],val\n"
    )
    assert read_all(csv_list_reader(), file).states == {
        ("train", "a.jpg"): ({"cat"}, set()),
        ("val", "b.jpg"): (set(), set()),
    }
    put("lightly/train.csv", "image_path,label\na.jpg,cat\n")
    put("lightly/val.csv", 'image_path,label\nb.jpg,"dog,cat"\n')
    folder = read_all(csv_list_reader(), tmp_path / "lightly")
    assert set(folder.states) == {("train", "a.jpg"), ("val", "b.jpg")}
    assert folder.labels["b.jpg"] == {"cat", "dog"}


def test_two_columns_need_no_names(put, read_all) -> None:
    assert read_all(csv_list_reader(), put("a.csv", "x,y\na.jpg,cat\n")).labels == {
        "a.jpg": {"cat"}
    }
    with pytest.raises(DataError, match="no column is called labels, there are x, y, z"):
        read_all(csv_list_reader(), put("a.csv", "x,y,z\na.jpg,cat,1\n"))


@pytest.mark.parametrize(
    "cell", ["['a', 3.5]", "__import__('os').system('x')", "[['a']]", "['a'", "[" * 5000,
             "['\\d']x"]
)  # fmt: skip
def test_a_cell_that_is_no_list_is_a_counted_drop(put, read_all, cell: str) -> None:
    row = cell.replace('"', '""')
    file = put(
        "a.csv",
        "image,labels\na.jpg,\"['cat']\"\n" * 1
        + "".join(f"{n}.jpg,[]\n" for n in range(1000))
        + f'b.jpg,"{row}"\n',
    )
    reading = read_all(csv_list_reader(), file)
    assert "b.jpg" not in reading.labels
    [(kind, count)] = reading.dropped.counts.items()
    assert (kind, count) == ("rows whose labels are not a Python list", 1)
    assert "line 1003" in reading.dropped.examples[kind][0]


def test_rows_without_an_image_are_counted(put, read_all) -> None:
    reading = read_all(csv_list_reader(), put("a.csv", "image,labels\n,cat\na.jpg,cat\n"))
    assert reading.dropped.counts == {"rows without an image": 1}


@pytest.mark.parametrize(
    "content", ["image,dog,cat\na.jpg,1,0\n", "LabelName,DisplayName\n/m/1,Cat\n"]
)
def test_other_tables_are_not_taken_for_it(put, content: str) -> None:
    assert csv_list_reader().detect(put("a.csv", content)) is None


def test_round_trip(make_splits, round_trip) -> None:
    classes = ["Fuß", 'c"d', "traffic light", "line\nbreak"]
    splits = make_splits(
        {
            "train": [["i/a.jpg", ["Fuß", 'c"d']], ["i/b c.jpg", []]],
            "val": [["i/d,e.jpg", ["line\nbreak", "traffic light"]]],
        },
        classes,
    )
    round_trip(CsvListWriter(), csv_list_reader(), splits)
    assert (splits["train"].folder / "val.csv").read_text() == (
        'image_path,label\n"i/d,e.jpg","line\nbreak,traffic light"\n'
    )


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        ([["a.jpg", ["a,b"]]], "separator , is in names of classes: a,b"),
        ([["a.jpg", ["a|b", "c"]]], "do not show"),
        ([["a.jpg", ["[x]"]]], "do not show"),
        ([[f"{name}.jpg", [name]] for name in ("x y", "x z", "y x", "y z")], "do not show"),
        ([["a.jpg", ["c"], ["a,b"]]], "1 labels are unknown"),
        ([["a.jpg", ["c", "[x]"]]], "no image has a,b, a|b, x y, x z, y x, y z: 6 of 8 classes"),
    ],
)  # fmt: skip
def test_what_the_format_cannot_hold_is_said(make_splits, images, reason: str) -> None:
    names = ["a,b", "a|b", "c", "[x]", "x y", "x z", "y x", "y z"]
    losses = CsvListWriter().losses(make_splits({"train": images}, names))
    assert any(reason in loss for loss in losses), losses


def test_single_labels_with_spaces_come_back_whole(make_splits, round_trip) -> None:
    splits = make_splits(
        {"train": [["a.jpg", ["hot dog"]], ["b.jpg", ["dog"]]]}, ["hot dog", "dog"]
    )
    round_trip(CsvListWriter(), csv_list_reader(), splits)


@pytest.mark.parametrize(
    "content", [PLANET, "image,labels\na.jpg,\"['a', 'b']\"\nb.jpg,[]\nc.jpg,\n"]
)
def test_any_damage_ends_in_a_message(put, damaged_outcomes, content: str) -> None:
    file = put("a.csv", content)
    assert damaged_outcomes(csv_list_reader(), file, file) == {"read", "refused"}


def test_roboflows_boxes_are_labels_of_their_split(tmp_path: Path) -> None:
    for split, rows in (("train", "a.jpg,8,8,bolt,0,0,4,4\na.jpg,8,8,nut,1,1,2,2\n"),
                        ("valid", "b.jpg,8,8,nut,0,0,4,4\n")):  # fmt: skip
        (tmp_path / split).mkdir()
        header = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        (tmp_path / split / "_annotations.csv").write_text(header + rows)
        (tmp_path / split / f"{rows[0]}.jpg").touch()
    source = csv_list_reader().read(tmp_path, None, IssueLog())
    found = [(sample.path, list(sample.labels), sample.split) for sample in source.samples]
    assert found == [
        ("train/a.jpg", ["bolt"], "train"),
        ("train/a.jpg", ["nut"], "train"),
        ("valid/b.jpg", ["nut"], "valid"),
    ]


IMPORT = "TRAIN,gs://b/a.jpg,cat,traffic light\nTEST,gs://b/b.jpg\nUNASSIGNED,gs://b/c.jpg,cat\n"


def test_what_a_cloud_service_imports_has_no_header(put, read_all) -> None:
    reading = read_all(csv_list_reader(), put("import.csv", IMPORT))
    assert reading.states == {
        ("TRAIN", "gs://b/a.jpg"): ({"cat", "traffic light"}, set()),
        ("TEST", "gs://b/b.jpg"): (set(), set()),
        ("", "gs://b/c.jpg"): ({"cat"}, set()),
    }


def test_corners_of_boxes_are_no_labels(put, read_all) -> None:
    rows = "TRAIN,gs://b/a.jpg,cat,0.1,0.2,,,0.5,0.9,,\nTRAIN,gs://b/a.jpg,dog,0.1,0.2,,,0.5,1,,\n"
    assert read_all(csv_list_reader(), put("a.csv", rows)).labels == {
        "gs://b/a.jpg": {"cat", "dog"}
    }


def test_without_a_header_columns_are_told_by_number(put, read_all) -> None:
    file = put("a.csv", "3,x.jpg,cat|dog\n4,y.jpg,cat\n")
    told = Told(image="2", labels=("3",))
    assert read_all(csv_list_reader(None, told), file).labels == {"x.jpg": {"cat", "dog"},
                                                                 "y.jpg": {"cat"}}  # fmt: skip
    assert csv_list_reader(None, told).detect(file)
    with pytest.raises(DataError, match="has no header") as caught:
        read_all(csv_list_reader(), file)
    assert "--image-column" in str(caught.value.hint)
