"""From settings to readers and writers, and which format a place has."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlc_cli.core.datasets.formats.build import detect, pick_reader, read_classes, readers, writers
from mlc_cli.errors import DataError
from mlc_cli.settings.convert import ConvertSettings


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., ConvertSettings]:
    """Settings with a source in the folder of the test."""

    def make(**more: Any) -> ConvertSettings:
        content = {"format": "auto", "source": str(tmp_path), "dest": "x"} | more
        return ConvertSettings.model_validate(content)

    return make


def test_names_are_distinct_and_every_written_format_can_be_read(settings) -> None:
    names = [reader.name for reader in readers(settings())]
    assert len(set(names)) == len(names)
    unpacked = {"shards"}  # read as what they are unpacked to
    assert {writer.name for writer in writers()} <= unpacked | set(names)


def test_auto_says_what_it_saw(settings, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"classes": ["x"], "images": [["a.jpg", ["x"]]]}))
    reader, seen, _ = pick_reader(settings())
    assert reader.name == "mlc"
    assert seen is not None
    assert "a.json" in seen


def test_several_signs_are_all_named(settings, tmp_path: Path) -> None:
    choices = readers(settings())
    (tmp_path / "list_attr_celeba.txt").write_text("1\nBald\n000001.jpg -1\n")
    (tmp_path / "a.json").write_text(json.dumps({"classes": ["x"], "images": [["a.jpg", ["x"]]]}))
    with pytest.raises(DataError, match="may be of 2 formats") as caught:
        detect(tmp_path, choices)
    assert "  mlc: " in caught.value.message
    assert "  celeba: " in caught.value.message


def test_no_sign_names_the_choices(settings, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        detect(tmp_path, readers(settings()))
    assert "coco" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("c.txt", "\ufeffdog\r\n traffic light \r\n\r\n", ["dog", "traffic light"]),
        ("c.json", '["b", "a"]', ["b", "a"]),
        ("c.json", '{"classes": [2, 10], "images": []}', [2, 10]),
    ],
)
def test_classes_from_a_file(settings, tmp_path: Path, name: str, text: str, expected) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert read_classes(settings(classes=str(tmp_path / name))) == expected


def test_classes_from_names(settings) -> None:
    assert read_classes(settings(classes="dog, traffic light,")) == ["dog", "traffic light"]
    assert read_classes(settings(classes="dog")) == ["dog"]
    assert read_classes(settings(classes=[3, 1])) == [3, 1]
    assert read_classes(settings()) is None


@pytest.mark.parametrize("text", ["{}", "[1.5]", "[[]]", "7"])
def test_a_file_that_lists_no_classes_is_refused(settings, tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(DataError, match=r"c\.json"):
        read_classes(settings(classes=str(tmp_path / "c.json")))
