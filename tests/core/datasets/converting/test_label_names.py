"""Tables of names as people write them, and when one that lies beside is taken."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from mlc_cli.core.datasets.annotations import Label
from mlc_cli.core.datasets.converting.label_names import name_numbers, read_label_names
from mlc_cli.core.datasets.formats.base import Sample, Source
from mlc_cli.errors import DataError

NAMES = {0: "cat", 1: "traffic light", 2: "dog"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.txt", "cat\ntraffic light\ndog\n"),
        ("a.txt", "0 cat\n1 traffic light\n2 dog"),
        ("a.txt", "2: dog\n0: cat\n1: traffic light"),
        ("a.txt", "cat,0\ntraffic light,1\ndog,2"),
        ("a.csv", "id,name\n0,cat\n1,traffic light\n2,dog"),
        ("a.csv", '\ufeffname;group;number\n"cat";a;0.0\ntraffic light;b;1.0\ndog;a;2.0\n'),
        ("a.csv", "0,cat\n1,traffic light\n2,dog"),
        ("a.tsv", "dog\t2\ncat\t0\ntraffic light\t1"),
        ("a.csv", "cat\ntraffic light\ndog"),
        ("a.json", json.dumps(list(NAMES.values()))),
        ("a.json", json.dumps(NAMES)),
        ("a.json", json.dumps({name: number for number, name in NAMES.items()})),
        ("a.json", json.dumps({"classes": list(NAMES.values()), "images": []})),
        ("a.json", json.dumps({"categories": [{"id": n, "name": c} for n, c in NAMES.items()]})),
    ],
)
def test_tables_in_every_common_writing(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert read_label_names(tmp_path / file) == NAMES


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.txt", "0 cat\n0 dog"), ("a.json", "{}x"), ("a.json", '{"cat": [1]}'), ("a.json", "3"),
        ("a.json", '[["cat", "dog"]]'), ("a.csv", "id,name\n0,\n1,dog"), ("a.json", "[1, 2]"),
        ("a.txt", ""), ("a.csv", ""), ("a.json", "{}"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_names_is_refused(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(DataError, match=file):
        read_label_names(tmp_path / file)


def source(*labels: Sequence[Label], classes: list[Label] | None = None) -> Source:
    return Source(Path(), [Sample("a.jpg", own) for own in labels], classes)


def read(source: Source) -> list[list[Label]]:
    return [list(sample.labels) for sample in source.samples]


def test_a_table_beside_names_all_numbers_or_none(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    (tmp_path / "class_names.txt").write_text("cat\ntraffic light\ndog\n")
    (tmp_path / "notes.txt").write_text("a\nb\nc\n")
    named = name_numbers(source(["0", "2.0"], [1], []), table, None)
    assert read(named) == [["cat", "dog"], ["traffic light"], []]
    assert named.classes == list(NAMES.values())
    assert named.remarks == ("names of 3 numbers are those of class_names.txt",)

    for other in (source(["cat", "1"]), source([5], [0]), source([0], classes=[0, 1])):
        assert read(name_numbers(other, table, None)) == read(other)
    assert "--label-names" in name_numbers(source([5]), table, None).remarks[0]

    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    several = name_numbers(source([0]), table, None)
    assert read(several) == [[0]]
    assert "class_names.txt, labels.txt all name them" in several.remarks[0]
    told = name_numbers(source([0], ["dog"], classes=[0, 1]), table, tmp_path / "class_names.txt")
    assert read(told) == [["cat"], ["dog"]]


@pytest.mark.parametrize(
    "file",
    ["label_num_to_disease_map.json", "class_to_idx.json", "idx_to_class.json", "id2label.json"],
)
def test_tables_of_names_are_called_in_many_ways(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text(json.dumps(NAMES))
    assert read(name_numbers(source([0], [2]), tmp_path, None)) == [["cat"], ["dog"]]


def test_a_table_of_images_names_no_numbers(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("name,label\na.jpg,0\nb.jpg,1\n")
    assert read(name_numbers(source(["0"], ["1"]), tmp_path, None)) == [["0"], ["1"]]
