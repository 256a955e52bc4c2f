"""From names of images to paths."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from mlc_cli.core.datasets.formats.shared.images import ImageIndex
from mlc_cli.core.datasets.formats.shared.naming import (
    ImageNames,
    leads_out,
    relative,
    without_suffix,
)
from mlc_cli.core.datasets.formats.shared.references import is_address
from mlc_cli.core.system.issues import IssueLog

FILES = ("a/one.jpg", "b/one.jpg", "b/c/one.jpg", "x y+ä.jpg", "0a1b2c3d-marked.jpg", "plain.png")


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


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("plain.png", "plain.png"),
        ("any/where/plain.png", "plain.png"),
        ("C:\\any\\plain.png", "plain.png"),
        ("a/one.jpg", "a/one.jpg"),
        ("/far/b/c/one.jpg", "b/c/one.jpg"),
        ("https://host/bucket/a/one.jpg?X-Sig=a/b&d=1#top", "a/one.jpg"),
        ("s3://bucket/b/c/one.jpg", "b/c/one.jpg"),
        ("gs://bucket/x%20y+%C3%A4.jpg", "x y+ä.jpg"),
        ("/data/upload/12/0a1b2c3d-marked.jpg", "0a1b2c3d-marked.jpg"),
        ("/data/upload/12/99887766-plain.png", "plain.png"),
        ("/data/local-files/?d=photos/b/c/one.jpg", "b/c/one.jpg"),
        ("/data/local-files/?d=photos%2Fx%20y%2B%C3%A4.jpg", "x y+ä.jpg"),
    ],
)
def test_a_file_is_found(put, tmp_path, reference, path) -> None:
    for file in FILES:
        put(file)
    dropped = IssueLog()
    assert ImageNames(tmp_path, dropped).find(reference) == path
    assert not dropped.counts


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("", "without a name"),
        ("data:image/png;base64," + "A" * 10**6, "without a name"),
        ("one.jpg", "more than one file"),
        ("https://host/z/one.jpg", "more than one file"),
    ],
)
def test_what_is_not_clear_is_counted(put, tmp_path, reference, kind) -> None:
    for file in FILES:
        put(file)
    dropped = IssueLog()
    assert ImageNames(tmp_path, dropped).find(reference) is None
    [found] = dropped.counts
    assert kind in found
    assert len(dropped.lines()) < 400


@pytest.mark.parametrize(
    ("reference", "path"),
    [("none.jpg", "none.jpg"), ("https://host/x/none.jpg?a=1", "x/none.jpg"),
     ("marked.jpg", "marked.jpg")],
)  # fmt: skip
def test_what_is_not_found_keeps_its_path(put, tmp_path, reference, path) -> None:
    put(FILES[4])
    dropped = IssueLog()
    assert ImageNames(tmp_path, dropped).find(reference) == path
    assert not dropped.counts


def test_an_address_has_a_scheme() -> None:
    assert is_address("HTTPS://host/a.jpg")
    assert is_address("azure-blob://a/b.jpg")
    assert not is_address("folder/a://b.jpg")
    assert not is_address("/data/upload/1/a.jpg")


def test_what_one_folder_stands_for_is_learnt(put, tmp_path: Path) -> None:
    for file in ("x/1.jpg", "x/2.jpg", "y/2.jpg", "x/0003.jpg", "x/4.png", "z/4.jpg"):
        put(file)
    index = ImageIndex(tmp_path)
    for _ in range(2):
        assert index.find("img/3.jpg") == ["x/0003.jpg"]
        assert index.find("img/1.jpg") == ["x/1.jpg"]
        assert sorted(index.find("img/2.jpg")) == ["x/2.jpg", "y/2.jpg"]
        assert index.find("img/2.jpg", "y") == ["y/2.jpg"]
        assert sorted(index.find("img/4")) == ["x/4.png", "z/4.jpg"]
        assert index.find("y/2.jpg") == ["y/2.jpg"]
        assert index.find("img/5.jpg") == []


def test_many_at_once_are_found_as_one_by_one_are(put, tmp_path: Path) -> None:
    draw = Random(0)
    changes: list[Callable[[str], str]] = [
        lambda path: path,
        lambda path: path.replace("tree", "img"),
        lambda path: "C:\\d\\" + path.replace("/", "\\"),
        lambda path: f"https://host/b/{path}?a=1",
        lambda path: f"https://host/b/{path}?a={path[-5:]}",
        lambda path: path.replace("/", "\\"),
        lambda path: "/" + path,
        lambda path: path.rpartition("/")[2],
        lambda path: path.upper().replace("TREE", "tree"),
        lambda path: path.rpartition(".")[0],
        lambda path: f"{path}.bak",
    ]
    moved, others = 0, 0
    for number in range(90):
        root = tmp_path / str(number)
        files = [
            f"tree{draw.randrange(3)}/{draw.choice('abAB')}{draw.randrange(6)}.{ending}"
            for ending in draw.choices(("jpg", "JPG", "png", "csv"), (9, 1, 1, 1), k=12)
        ]
        for file in files[:-1]:
            put(f"{number}/{file}")
        own = draw.sample(changes, 2)
        asked = [change(file) for file in files for change in own]
        found = ImageIndex(root).find_all(asked, "tree1")
        index = ImageIndex(root)
        assert [found.of(one) for one in asked] == [index.find(one, "tree1") for one in asked]
        moved, others = moved + len(found.moves), others + len(found.others)
    assert moved > 30 < others
