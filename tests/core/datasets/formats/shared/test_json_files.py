"""JSON of other tools: what it is refused for, and how it is written."""

from pathlib import Path

import msgspec
import pytest

from mlc_cli.core.datasets.formats.shared.json_files import OPENING, load, opening
from mlc_cli.errors import DataError


class Shape(msgspec.Struct):
    items: list[int]
    text: str = ""


@pytest.mark.parametrize(
    "content",
    [
        b'{"items": [1], "more": {"a": [1.5, null]}}',
        b'\xef\xbb\xbf{"items": [1]}',
        b'\r\n{"items":\r\n[1]}\r\n',
        b'{"items": [1], "more": [NaN, -Infinity]}',
        b'{"items": [1], "more": "\\ud800"}',
        b'{"items": [1], "items": [1]}',
    ],
)
def test_what_is_not_asked_for_does_not_matter(put, content) -> None:
    assert load(put("a.json", content), Shape).items == [1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1, column 1"),
        (b'{"items": [1,\n 2', "line 2"),
        (b'{"items": [1, "x"]}', "$.items[1]"),
        (b'{"items": [NaN]}', "$.items[0]"),
        (b'{"items": [1.5]}', "$.items[0]"),
        (b'{"items": [' + b"9" * 5000 + b"]}", "$.items[0]"),
        (b'{"items": [1], "more": [NaN, ' + b"9" * 5000 + b"]}", "digits"),
        (b'{"items": [1], "text": "\xff"}', "not UTF-8 text (byte 24)"),
        (b'{"items": "\\ud800"}', "surrogate"),
        (b'{"more": ' + b"[" * 100_000, "not valid JSON"),
        (b"{}", "missing required field `items`"),
        (b"[]", "Expected `object`"),
    ],
)
def test_a_fault_is_told_with_file_and_place(put, content, message) -> None:
    file = put("a.json", content)
    with pytest.raises(DataError) as caught:
        load(file, Shape, "It looks otherwise.")
    assert str(file) in caught.value.message
    assert message in caught.value.message


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        load(tmp_path / "a.json", Shape)
    with pytest.raises(DataError, match="directory"):
        load(tmp_path, Shape)


def test_a_glance_reads_no_more_than_it_needs(put, tmp_path) -> None:
    assert opening(put("a.json", b"\xef\xbb\xbf[\xff" + b" " * 2 * OPENING)).startswith("[\ufffd ")
    assert len(opening(tmp_path / "a.json")) <= OPENING
    assert opening(tmp_path / "none.json") == ""
    assert opening(tmp_path / "a\0b.json") == ""
