"""Tables and lists as public data sets have them: what is easily read wrong, and what is said."""

from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.build import detect, readers
from mlc_cli.core.datasets.formats.csv_list import csv_list_reader, find_separator
from mlc_cli.core.datasets.formats.csv_onehot import csv_onehot_reader
from mlc_cli.core.datasets.formats.imagenet_txt import IMAGENET_TXT_READER
from mlc_cli.core.datasets.formats.jsonl import JSONL_READER
from mlc_cli.core.datasets.formats.shared.tables import Told
from mlc_cli.errors import DataError
from mlc_cli.settings.convert import ConvertSettings

FORMATS = readers(ConvertSettings(source=".", dest="."))


def seen_as(place: Path) -> str:
    return detect(place, FORMATS)[0].name


def warnings_of(source) -> list[str]:
    return [remark for remark in source.remarks if remark.startswith("warning: ")]


def test_lists_of_0_and_1_are_states_and_no_numbers_of_classes(put, read_all, tmp_path) -> None:
    put("classes.txt", "cat\ndog\nsky\n")
    put("train.txt", "a.jpg 0 1 1\nb.jpg 1 0 0\nc.jpg 0 0 0\n")
    labels = read_all(IMAGENET_TXT_READER, tmp_path).labels
    assert labels == {"a.jpg": {"dog", "sky"}, "b.jpg": {"cat"}, "c.jpg": set()}


def test_numbers_of_the_first_two_of_more_classes_stay_numbers(put, read_all, tmp_path) -> None:
    put("classes.txt", "cat\ndog\nsky\n")
    put("train.txt", "a.jpg 0 1\nb.jpg 1 0\n")
    labels = read_all(IMAGENET_TXT_READER, tmp_path).labels
    assert labels == {"a.jpg": {"cat", "dog"}, "b.jpg": {"cat", "dog"}}


def test_tables_in_folders_of_splits_are_of_these(put, read_all, tmp_path) -> None:
    for split, label in (("train", "cat"), ("val", "dog")):
        put(f"{split}/labels.csv", f"file,labels\n1.jpg,{label}\n")
    states = read_all(csv_list_reader(), tmp_path).states
    assert states == {
        ("train", "train/1.jpg"): ({"cat"}, set()),
        ("val", "val/1.jpg"): ({"dog"}, set()),
    }


def test_tables_without_the_columns_that_are_told_are_left_out(put, read_all, tmp_path) -> None:
    put("train.csv", "code,diagnosis\na.png,2\nb.png,4\n")
    put("test.csv", "code\nc.png\n")
    reader = csv_list_reader(told=Told("code", ("diagnosis",)))
    assert reader.detect(tmp_path) == "column diagnosis in train.csv"
    assert read_all(reader, tmp_path).labels == {"a.png": {"2"}, "b.png": {"4"}}


def test_a_table_of_all_classes_goes_before_one_that_lists_some(put, read_all, tmp_path) -> None:
    put("train.csv", "uid,tube,line,drain\na,1,0,0\nb,0,1,1\n")
    put("train_annotations.csv", "uid,label\na,tube\n")
    assert seen_as(tmp_path) == "csv-onehot"
    assert read_all(csv_onehot_reader(), tmp_path).labels == {"a": {"tube"}, "b": {"line", "drain"}}


def test_tabs_part_the_cells_of_a_table_that_is_not_called_csv(put, read_all) -> None:
    file = put("a.tsv", "a.jpg\tcat,dog\nb.jpg\tdog\n")
    labels = read_all(csv_list_reader(told=Told("1", ("2",))), file).labels
    assert labels == {"a.jpg": {"cat", "dog"}, "b.jpg": {"dog"}}


def test_codes_1_and_2_are_no_flags(put, read_all) -> None:
    file = put("a.csv", "image,sex,eye,drusen\na.jpg,1,1,0\nb.jpg,1,2,1\nc.jpg,2,1,0\n")
    assert read_all(csv_onehot_reader(), file).source.classes == ["drusen"]


def test_a_lone_flag_beside_columns_of_words_is_no_quiet_choice(put, read_all) -> None:
    rows = "a.jpg,Male,Asian,True\nb.jpg,Female,Asian,False\nc.jpg,Male,Black,False\n"
    file = put("a.csv", f"file,sex,race,service\n{rows}")
    source = read_all(csv_onehot_reader(), file).source
    said = "warning: service is the only class; --label-column tells another: sex, race"
    assert warnings_of(source) == [said]
    told = read_all(csv_onehot_reader(told=Told(labels=("service",))), file).source
    assert not warnings_of(told)


def test_equal_numbers_of_told_columns_are_said_to_be_one_class(put, read_all) -> None:
    file = put("a.csv", "image,root,vowel\na.jpg,15,0\nb.jpg,0,9\n")
    source = read_all(csv_list_reader(told=Told(labels=("root", "vowel"))), file).source
    assert warnings_of(source) == ["warning: equal numbers of different columns are one class: 0"]


@pytest.mark.parametrize("name", ["split", "fold"])
def test_a_column_of_parts_is_no_class(put, read_all, name: str) -> None:
    file = put("a.csv", f"image,cat,{name}\na.jpg,1,0\nb.jpg,0,1\n")
    assert read_all(csv_onehot_reader(), file).source.classes == ["cat"]


def test_flags_in_a_column_without_a_name_are_not_lost_in_silence(put, read_all) -> None:
    file = put("a.csv", "image,cat,\na.jpg,1,0\nb.jpg,0,1\n")
    source = read_all(csv_onehot_reader(), file).source
    assert warnings_of(source) == ["warning: a.csv: a column without a name is left out"]


def test_words_of_spreadsheets_in_other_languages_are_flags(put, read_all) -> None:
    file = put("a.csv", "Bild;Hund;Katze\na.jpg;WAHR;FALSCH\nb.jpg;FALSCH;FALSCH\n")
    assert read_all(csv_onehot_reader(), file).labels == {"a.jpg": {"Hund"}, "b.jpg": set()}


@pytest.mark.parametrize("cell", ["cat:0.91|dog:0.2", "6:0.9", "cat:0.91 dog:.2"])
def test_labels_with_confidences_are_refused(put, read_all, cell: str) -> None:
    file = put("a.csv", f"image,labels\na.jpg,{cell}\n")
    with pytest.raises(DataError, match="classes with confidences"):
        read_all(csv_list_reader(), file)


def test_objects_of_lines_are_labels_by_their_name_or_counted(put, read_all) -> None:
    rows = ('["cat"]', '[{"name": "dog"}, {"slug": "x"}]', '{"cat": true}')
    lines = (f'{{"file_name": "{n}.jpg", "labels": {row}}}' for n, row in enumerate(rows))
    reading = read_all(JSONL_READER, put("metadata.jsonl", "\n".join(lines)))
    assert reading.labels == {"0.jpg": {"cat"}, "1.jpg": {"dog"}, "2.jpg": set()}
    assert reading.dropped.counts == {"values that are no label": 2}


@pytest.mark.parametrize(
    ("files", "images", "why"),
    [
        ({"train.csv": "ID,Label\nx1_any,1\nx1_epidural,0\n"}, ["x1.png"],
         "'any' of 'x1_any' is no part of the name of x1.png"),
        ({"train.csv": "Id,Target\n7a,16 0\n7b,0\n"}, ["7a_blue.png", "7a_red.png"],
         "'7a' is but the beginning of 7a_blue.png, 7a_red.png"),
        ({"train.csv": "biz,labels\n10,1 2\n11,1\n", "photos.csv": "photo_id,biz\n10,11\n"},
         ["10.jpg", "11.jpg"], "photos.csv tells the images of each"),
    ],
)  # fmt: skip
def test_rows_that_are_no_images_are_refused(put, read_all, tmp_path, files, images, why) -> None:
    for name, content in files.items():
        put(name, content)
    for name in images:
        put(name)
    with pytest.raises(DataError, match=r"column \w+ does not name images") as caught:
        read_all(csv_list_reader(), tmp_path)
    assert caught.value.message.endswith(why)


def test_what_tells_something_of_images_does_not_name_them(put, read_all) -> None:
    file = put("a.csv", "md5,image_width,tags\naa,800,cat\nbb,800,dog\n")
    put("aa.jpg")
    put("bb.jpg")
    told = Told(labels=("tags",))
    assert read_all(csv_list_reader(told=told), file).labels == {
        "aa.jpg": {"cat"},
        "bb.jpg": {"dog"},
    }


def test_a_second_column_of_images_and_one_of_scores_are_said(put, read_all) -> None:
    file = put("a.csv", "left,right,label,score\na.jpg,b.jpg,cat,0.9\nc.jpg,d.jpg,dog,0.1\n")
    assert warnings_of(read_all(csv_list_reader(), file).source) == [
        "warning: a.csv: right names images, too; only those of left are read",
        "warning: a.csv: a row counts, whatever its score is",
    ]
    same = put("b.csv", "path,name,label\nx/a.jpg,a.jpg,cat\nx/b.jpg,b.jpg,dog\n")
    assert not warnings_of(read_all(csv_list_reader(), same).source)


def test_a_column_of_states_beside_attributes_says_which_are_there(put, read_all, tmp_path) -> None:
    put("a.csv", "image,attribute,value\na.jpg,red,1\na.jpg,round,0\nb.jpg,round,1\n")
    assert seen_as(tmp_path) == "csv-list"
    assert read_all(csv_list_reader(), tmp_path).labels == {"a.jpg": {"red"}, "b.jpg": {"round"}}


def test_long_lists_that_never_come_again_are_parted_by_spaces() -> None:
    lists = [f"tag_{n} tag_{n + 1} tag_{n + 2} solo" for n in range(30)]
    assert find_separator(lists) == " "
    assert find_separator([f"breed{n} terrier" for n in range(30)]) == ""


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", '{"a.jpg": {"cat": true, "dog": false}}', "has states of labels for each image"),
        ("a.json", '{"a.PNG": {"cat": 0.93}}', "has states of labels for each image"),
        ("apascal_train.txt", "1.jpg person 51 29 123 122 0 0 1\n", "is of aPascal"),
    ],
)
def test_what_is_not_read_is_told_by_name(put, tmp_path, name, content, words) -> None:
    put(name, content.encode())
    put("a.jpg")
    with pytest.raises(DataError, match=words):
        seen_as(tmp_path)


def test_an_unknown_format_is_to_be_written_as_csv(put, tmp_path) -> None:
    put("labels.yaml", "a.jpg: [cat]\n")
    with pytest.raises(DataError, match="the format is not clear") as caught:
        seen_as(tmp_path)
    assert "as CSV, a line for each image: image,labels" in caught.value.hint
