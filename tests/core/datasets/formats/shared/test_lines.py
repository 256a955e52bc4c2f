"""Lines of text files."""

import os
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.shared.lines import (
    files_below,
    is_file,
    is_folder,
    other_files,
    raw_lines,
    text_lines,
)
from mlc_cli.errors import DataError


def test_lines_without_marks_ends_and_blanks_keep_their_numbers(put) -> None:
    file = put("a.txt", "\ufeff a \r\n\r\n  \nFuß\rc")
    assert list(text_lines(file)) == [(1, "a"), (4, "Fuß"), (5, "c")]
    assert list(raw_lines(file)) == [" a \r\n", "\r\n", "  \n", "Fuß\r", "c"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\0\n", "line 2: has a NUL byte"),
        (b"a\n\xff\n", "is not UTF-8 text"),
        ("a\n".encode("utf-16"), "is not UTF-8 text"),
    ],
)
def test_what_is_no_text_is_refused(put, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        list(text_lines(put("a.txt", content)))
    assert "a.txt" in caught.value.message


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "gone", "", "x" * 10_000, "a\0b", "\ud800"):
        with pytest.raises(DataError, match="no such file"):
            list(raw_lines(tmp_path / name))


@pytest.mark.parametrize("name", ["gone", "x" * 10_000, "a\0b", "\ud800"])
def test_names_that_nothing_can_have_name_nothing(tmp_path: Path, name: str) -> None:
    assert not is_file(tmp_path / name)
    assert not is_folder(tmp_path / name)
    assert is_folder(tmp_path)


def test_files_below_are_those_of_the_nearest_folders(tmp_path: Path) -> None:
    for name in ("a.json", "x/b.json", "x/y/c.json", "x/y/z/d.json", ".h/e.json", "x/f.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    other_files.cache_clear()
    assert files_below(tmp_path, ["*.json"]) == [tmp_path / "x/b.json"]
    assert files_below(tmp_path, ["c.*"]) == [tmp_path / "x/y/c.json"]
    assert files_below(tmp_path, ["d.*", "e.*", "*.jpg", "a.*"]) == []
    (tmp_path / "x/h.txt").write_text("")
    assert files_below(tmp_path, ["*.txt"]) == []
    other_files.cache_clear()
    assert files_below(tmp_path, ["*.txt"]) == [tmp_path / "x/h.txt"]
