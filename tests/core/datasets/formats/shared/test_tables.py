"""CSV files as people and programs write them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.shared.states import flag
from mlc_cli.core.datasets.formats.shared.table_files import find_tables
from mlc_cli.core.datasets.formats.shared.tables import Table
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError


@pytest.fixture
def table(put: Callable[..., Path]) -> Callable[[str | bytes], Table]:
    return lambda content: Table.open(put("a.csv", content))


def rows(table: Table, dropped: IssueLog | None = None) -> list[tuple[int, list[str]]]:
    return list(table.rows(IssueLog() if dropped is None else dropped))


@pytest.mark.parametrize(
    "content",
    [
        "image,dog,cat\na.jpg,1,0\n",
        "image, dog, cat\na.jpg, 1, 0\n",
        "image,dog,cat\r\na.jpg,1,0\r\n",
        "image,dog,cat\ra.jpg,1,0\r",
        "\ufeffimage,dog,cat\na.jpg,1,0",
        "\nimage,dog,cat\n\n  \n,,\na.jpg,1,0\n\n",
        '"image","dog","cat"\n"a.jpg","1","0"\n',
        "image;dog;cat\na.jpg;1;0\n",
        "image\tdog\tcat\na.jpg\t1\t0\n",
        " image , dog , cat \n a.jpg , 1 , 0 \n",
    ],
)
def test_all_ways_to_write_a_table_read_alike(table, content: str) -> None:
    assert table(content).header == ("image", "dog", "cat")
    assert [row for _, row in rows(table(content))] == [["a.jpg", "1", "0"]]


def test_a_semicolon_inside_names_does_not_separate(table) -> None:
    opened = table('image,"a,b",c;d;e;f\nx.jpg,1,0\n')
    assert opened.header == ("image", "a,b", "c;d;e;f")


def test_quoted_newlines_count_as_lines_of_the_file(table) -> None:
    assert rows(table('image,labels\na.jpg,"x\ny"\nb.jpg,z\n')) == [
        (3, ["a.jpg", "x\ny"]),
        (4, ["b.jpg", "z"]),
    ]


def test_rows_of_another_length_are_counted_with_their_lines(table) -> None:
    dropped = IssueLog()
    assert len(rows(table("image,dog\na.jpg,1\nb.jpg\nc.jpg,1,1\nd.jpg,0,\n"), dropped)) == 3
    [(kind, count)] = dropped.counts.items()
    assert count == 1
    assert [example.rpartition(", ")[2] for example in dropped.examples[kind]] == ["line 4"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n,,\n", "is empty"),
        ("a.jpg,cat\nb.jpg,dog\n", "has no header"),
        ("image,dog,dog\na.jpg,1,1\n", "same name: dog"),
        ("image,dog\n" + "a.jpg,\0", "line 2: has a NUL byte"),
        ("image,dog\na.jpg,é\n".encode("latin-1"), "is not UTF-8 text"),
        ("image,dog\n".encode("utf-16"), "is not UTF-8 text"),
        ('image,dog\na.jpg,"1\n' + "b.jpg,0\n" * 40_000, "field larger than field limit"),
    ],
)
def test_what_is_no_table_is_refused(table, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        rows(table(content))
    assert "a.csv" in caught.value.message


def test_a_line_of_a_million_characters_is_read(table) -> None:
    header = ",".join(f"class_{number:06}" for number in range(80_000))
    assert len(header) > 1_000_000
    assert len(table(f"image,{header}\n").header) == 80_001


def test_a_missing_file_and_a_folder_without_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        find_tables(tmp_path / "a.csv")
    with pytest.raises(DataError, match="no CSV file"):
        find_tables(tmp_path)


@pytest.mark.parametrize(
    ("header", "row", "image", "split", "label"),
    [
        ("image,labels", "a.jpg,cat", 0, None, 1),
        (",image,labels,split", "0,a.jpg,cat,val", 1, 3, 2),
        ("Id,Target", "x,16 0", 0, None, 1),
        ("Image Index,Finding Labels,Patient Age", "a.png,Mass|Hernia,58", 0, None, 1),
        ("fname,labels,is_valid", "a.jpg,car,True", 0, 2, 1),
        ("filepath,label,split_name", "a.jpg,\"['cat']\",train", 0, 2, 1),
        ("image,dog,label", "a.jpg,1,0", 0, None, None),
        ("image,label", "a.jpg,0", 0, None, 1),
        ("image,set,split", "a.jpg,1,train", 0, 2, None),
        ("image,subset,dog", "a.jpg,1,0", 0, None, None),
    ],
)
def test_columns_are_told_by_name_and_content(table, header, row, image, split, label) -> None:
    opened = table(f"{header}\n{row}\n")
    assert (opened.image_column, opened.split_column, next(iter(opened.label_columns), None)) == (
        image,
        split,
        label,
    )


def test_is_valid_tells_train_from_val(table) -> None:
    opened = table("fname,labels,is_valid\na.jpg,car,True\nb.jpg,car,False\n")
    assert [opened.split_of(row) for _, row in rows(opened)] == ["val", "train"]


@pytest.mark.parametrize(
    ("cell", "state"),
    [("1", 1), ("1.0", 1), ("TRUE", 1), ("0", 0), ("0.00", 0), ("False", 0), ("-1", -1),
     ("-1.0", -1), ("1e0", 1), ("", None), ("NaN", None)],
)  # fmt: skip
def test_flags(cell: str, state: int | None) -> None:
    assert flag(cell) == state


@pytest.mark.parametrize("cell", ["2", "0.5", "maybe", "inf", "1 0", "x" * 1_000_000])
def test_what_is_no_flag(cell: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        flag(cell)
