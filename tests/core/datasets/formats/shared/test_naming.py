"""From names of images to paths."""

import os
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.shared.naming import (
    ImageNames,
    leads_out,
    relative,
    without_suffix,
)
from mlc_cli.core.system.issues import IssueLog


@pytest.mark.parametrize(
    ("name", "near", "path"),
    [
        ("x.JPG", "", "x.JPG"),
        ("gone\\x.jpg", "", "gone/x.jpg"),
        ("1", "", "train/1.jpg"),
        ("sub/3", "", "val/sub/3.jpg"),
        ("v1.0", "", "v1.0.png"),
        ("2", "val", "val/2.jpg"),
        ("2", "", None),
        ("al/2", "", "al/2"),
        ("gone", "", "gone"),
        ("../1", "", "../1"),
        ("4", "", "4.jpg"),
    ],
)
def test_names_are_completed(put, tmp_path: Path, name: str, near: str, path: str | None) -> None:
    for file in (
        "train/1.jpg",
        "train/2.jpg",
        "val/2.jpg",
        "val/sub/3.jpg",
        "v1.0.png",
        "4.jpg",
        "old/4.jpg",
    ):
        put(file)
    dropped = IssueLog()
    assert ImageNames(tmp_path, dropped)(name, near) == path
    assert sum(dropped.counts.values()) == (path is None)


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("a/b.jpg", False),
        ("/a", True),
        ("../a", True),
        ("a/../b", True),
        ("a..b", False),
        ("", False),
    ],
)
def test_paths_that_lead_out(path: str, out: bool) -> None:
    assert leads_out(path) == out


def test_only_suffixes_of_images_are_taken_off() -> None:
    assert [without_suffix(path) for path in ("a/b.jpg", "b.TIFF", "v1.0", "a")] == [
        "a/b",
        "b",
        "v1.0",
        "a",
    ]


def test_a_place_is_seen_from_a_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative(Path("a/b"), Path("a/c")) == "../b"
    assert relative(tmp_path, Path()) == "."


def test_a_place_on_another_drive_is_absolute(tmp_path: Path, monkeypatch) -> None:
    def refuse(place: Path, start: Path) -> str:
        raise ValueError(f"path is on mount {place}, start on mount {start}")  # as on Windows

    monkeypatch.setattr(os.path, "relpath", refuse)
    assert relative(tmp_path, Path()) == tmp_path.resolve().as_posix()
