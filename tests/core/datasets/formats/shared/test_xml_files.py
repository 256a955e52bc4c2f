"""XML files, read safely."""

import tracemalloc
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.shared.xml_files import elements, whole
from mlc_cli.errors import DataError


def test_elements_come_one_by_one_with_what_is_in_them(put) -> None:
    file = put("a.xml", "<r><m><a n='0'/></m><a n='1'><b>x</b></a><c/><d n='2'/></r>")
    found = [(item.tag, item.get("n"), item.findtext("b")) for item in elements(file, "a", "d")]
    assert found == [("a", "0", None), ("a", "1", "x"), ("d", "2", None)]
    assert whole(file).find("a").get("n") == "1"


def test_memory_does_not_grow_with_the_file(put) -> None:
    content = "<r>" + "<a><b>text</b></a>" * 60_000 + "</r>"
    file = put("a.xml", content)
    tracemalloc.start()
    count = sum(1 for _ in elements(file, "a"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60_000
    assert peak < len(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not valid XML"),
        ("<a>", "is not valid XML"),
        ("<a>\0</a>", "is not valid XML"),
        (b"<a>\xff</a>", "is not valid XML"),
        ('<?xml version="1.0" encoding="no-such"?><a/>', "is not valid XML"),
        ('<?xml version="1.0" encoding="gbk"?><a/>', "is not valid XML"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "defines entities"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hosts">]><a>&x;</a>', "defines entities"),
        ('<!DOCTYPE a [<!ENTITY % p SYSTEM "http://x/y">%p;]><a/>', "defines entities"),
    ],
)
def test_damage_and_entities_are_refused(put, content: str | bytes, message: str) -> None:
    file = put("a.xml", content)
    for read in (whole, lambda path: list(elements(path, "a"))):
        with pytest.raises(DataError, match=message) as caught:
            read(file)
        assert "a.xml" in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        whole(tmp_path / "a.xml")


def test_other_encodings_are_read_as_the_file_says(put) -> None:
    text = '<?xml version="1.0" encoding="{}"?><a>Fuß</a>'
    for encoding in ("utf-8", "utf-16", "iso-8859-1"):
        file = put("a.xml", text.format(encoding).encode(encoding))
        assert whole(file).text == "Fuß"
