"""Which images can be used, and where those are that do not lie where the source says."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.datasets.annotations import Annotation, LabelSets
from mlc_cli.core.datasets.converting.collect import Collected, Findings
from mlc_cli.core.datasets.converting.locate import locate_images, searched_folder
from mlc_cli.core.datasets.packed import PackedStrings
from mlc_cli.errors import DataError

Make = Callable[..., Collected]
Put = Callable[..., None]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write files below the folder `root`."""

    def write(*paths: str) -> None:
        for path in paths:
            (tmp_path / "root" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "root" / path).write_text(path)

    return write


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Images of one split in the folder `root`, or in one below it."""

    def collected(*paths: str, folder: str = "", split: str = "") -> Collected:
        none = LabelSets(np.zeros(0, np.uint16), np.zeros(len(paths) + 1, np.int64))
        packed = PackedStrings.pack(paths)
        root = tmp_path / "root" / folder
        annotation = Annotation(Path("a.json"), root, ("c",), packed, none, none)
        return Collected(annotation, (split,), np.zeros(len(paths), np.int64))

    return collected


def test_images_that_cannot_be_used_are_counted_by_reason(
    make: Make, put: Put, tmp_path: Path
) -> None:
    (tmp_path / "secret.jpg").write_text("x")
    put("a.jpg", "b/b.jpg")
    root = tmp_path / "root"
    (root / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "in.jpg").symlink_to(root / "a.jpg")
    (root / "away").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.jpg")
    names = ["a.jpg", "no.jpg", "../secret.jpg", str(tmp_path / "secret.jpg"), "out.jpg",
             "in.jpg", "away/secret.jpg", "pipe.jpg", "b", "", "b/b.jpg", "nul\0.jpg",
             "x" * 5000]  # fmt: skip
    findings = Findings()
    found = locate_images(make(*names), root, findings)
    assert list(found.annotation.paths) == ["a.jpg", "in.jpg", "b/b.jpg"]
    assert findings.dropped.counts == {
        "images whose file is missing": 3,
        "images whose file leads out of the image folder": 5,
        "images whose file is not a regular file": 2,
    }


def test_without_a_usable_image_the_folder_is_named(make: Make, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        locate_images(make("a.jpg"), tmp_path / "root", Findings())
    assert "is missing" in caught.value.message
    assert str(tmp_path / "root") in caught.value.hint
    assert "--images" in caught.value.hint


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("img/a.jpg", "images/a.jpg"),
        ("C:\\Users\\me\\a.jpg", "deep/er/a.jpg"),
        ("/kaggle/input/set/train/a.jpg", "train/a.jpg"),
        ("https://host/b/a%20b.jpg?x=1", "a b.jpg"),
        ("gs://bucket/a.jpg", "a.jpg"),
        ("a.JPG", "sub/a.jpg"),
        ("a", "sub/a.png"),
        ("7.jpg", "images/0007.jpg"),
        ("media/0a1b2c3d-a.jpg", "a.jpg"),
        ("cafe\u0301.jpg", "x/caf\u00e9.jpg"),
        ("a%20b.jpg", "x/a b.jpg"),
        ("a b.jpg", "x/a%20b.jpg"),
    ],
)
def test_a_file_is_found_by_the_tail_of_its_path(
    make: Make, put: Put, tmp_path: Path, written: str, there: str
) -> None:
    put(there, "other/z.jpg")
    findings = Findings()
    found = locate_images(make(written), tmp_path / "root", findings)
    assert list(found.annotation.paths) == [there]
    [(kind, count)] = findings.noted.counts.items()
    assert "tail of their path" in kind
    assert count == 1
    assert not findings.dropped.counts


def test_most_folders_that_agree_count_then_the_split(make: Make, put: Put, tmp_path: Path) -> None:
    put("train/x/a.jpg", "val/x/a.jpg", "val/y/a.jpg")
    root = tmp_path / "root"
    found = locate_images(make("far/val/x/a.jpg"), root, Findings())
    assert list(found.annotation.paths) == ["val/x/a.jpg"]
    found = locate_images(make("x/a.jpg", split="train"), root, Findings())
    assert list(found.annotation.paths) == ["train/x/a.jpg"]


def test_what_is_not_clear_is_refused_by_name(make: Make, put: Put, tmp_path: Path) -> None:
    put("u/a.jpg", "v/a.jpg", "one/b.jpg", "c.jpg")
    findings = Findings()
    names = ("a.jpg", "cam1/b.jpg", "cam2/b.jpg", "c.jpg", "far/c.jpg")
    found = locate_images(make(*names), tmp_path / "root", findings)
    assert list(found.annotation.paths) == ["c.jpg"]
    assert sum(findings.dropped.counts.values()) == 4
    assert "u/a.jpg, v/a.jpg" in findings.dropped.lines()
    assert not findings.noted.counts


def test_a_folder_above_is_searched_too(make: Make, put: Put, tmp_path: Path) -> None:
    put("images/a.jpg", "more/b.jpg")
    found = locate_images(make("a.jpg", "b.jpg", folder="images"), tmp_path / "root", Findings())
    assert found.annotation.folder == tmp_path / "root"
    assert list(found.annotation.paths) == ["images/a.jpg", "more/b.jpg"]


def test_where_is_searched(tmp_path: Path) -> None:
    (tmp_path / "a" / "images").mkdir(parents=True)
    source, images = tmp_path / "a", tmp_path / "a" / "images"
    assert searched_folder(source, images, None) == source
    assert searched_folder(source, images, images) == images
    assert searched_folder(source / "x.json", tmp_path, None) == tmp_path
