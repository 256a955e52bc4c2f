"""Images of a conversion: which are refused, where they come to lie, and what is never lost."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.datasets.annotations import Annotation, LabelSets
from mlc_cli.core.datasets.converting.copying import (
    atomic_output,
    copy_images,
    rewrite_paths,
)
from mlc_cli.core.datasets.packed import PackedStrings
from mlc_cli.errors import DataError, MlcError

Make = Callable[..., Annotation]
IMAGES = {"train": "images", "val": "images"}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """An annotation of images in the folder `root`, which are made if asked."""

    def annotation(*paths: str, write: bool = True) -> Annotation:
        for path in paths if write else ():
            (tmp_path / "root" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "root" / path).write_text(path)
        none = LabelSets(np.zeros(0, np.uint16), np.zeros(len(paths) + 1, np.int64))
        packed = PackedStrings.pack(paths)
        return Annotation(Path("a.json"), tmp_path / "root", ("c",), packed, none, none)

    return annotation


def test_reference_leaves_images_and_finds_their_place_below_the_result(
    make: Make, tmp_path: Path
) -> None:
    whole = {"train": make("x/a.jpg")}
    stage = tmp_path / "stage"
    outside = rewrite_paths(whole, tmp_path / "dest", stage, "reference", IMAGES)
    assert outside["train"].path(0) == tmp_path / "root/x/a.jpg"
    same = rewrite_paths(whole, tmp_path / "root", stage, "reference", IMAGES)
    assert same["train"].path(0) == stage / "x/a.jpg"
    above = rewrite_paths(whole, tmp_path, stage, "reference", IMAGES)
    assert list(above["train"].paths) == ["root/x/a.jpg"]


@pytest.mark.parametrize("link", ["copy", "symlink", "hardlink"])
def test_images_are_put_into_the_result(make: Make, tmp_path: Path, link: str) -> None:
    before = {"train": make("x/a.jpg", "ü b.jpg"), "val": make("x/a.jpg")}
    stage = tmp_path / "stage"
    after = rewrite_paths(before, tmp_path / "dest", stage, link, IMAGES)
    copy_images(before, after, link)
    assert list(after["train"].paths) == ["images/x/a.jpg", "images/ü b.jpg"]
    assert (stage / "images/x/a.jpg").read_text() == "x/a.jpg"
    own, source = (stage / "images/ü b.jpg"), tmp_path / "root/ü b.jpg"
    assert own.is_symlink() == (link == "symlink")
    assert (own.stat().st_ino == source.stat().st_ino) == (link != "copy")


def test_each_split_may_have_its_own_folder_of_images(make: Make, tmp_path: Path) -> None:
    before = {"train": make("x/a.jpg"), "val": make("x/a.jpg", "b.jpg")}
    folders = {"train": "train/data", "val": "val/data"}
    after = rewrite_paths(before, tmp_path / "dest", tmp_path / "stage", "copy", folders)
    copy_images(before, after, "copy")
    assert list(after["val"].paths) == ["val/data/x/a.jpg", "val/data/b.jpg"]
    assert all(split.path(0).read_text() == "x/a.jpg" for split in after.values())
    again = rewrite_paths(after, tmp_path / "dest", tmp_path / "other", "copy", folders)
    assert [list(split.paths) for split in again.values()] == [
        list(split.paths) for split in after.values()
    ]


def test_a_folder_of_images_is_not_put_in_another(make: Make, tmp_path: Path) -> None:
    before = {"train": make("images/a.jpg")}
    after = rewrite_paths(before, tmp_path / "dest", tmp_path / "stage", "copy", IMAGES)
    assert list(after["train"].paths) == ["images/a.jpg"]
    mixed = {**before, "val": make("b.jpg")}
    after = rewrite_paths(mixed, tmp_path / "dest", tmp_path / "stage", "copy", IMAGES)
    assert list(after["train"].paths) == ["images/images/a.jpg"]


def test_two_images_that_want_one_place_are_refused(make: Make, tmp_path: Path) -> None:
    before = {"train": make("a.jpg")}
    after = rewrite_paths(before, tmp_path / "dest", tmp_path / "stage", "copy", IMAGES)
    copy_images(before, after, "copy")
    with pytest.raises(DataError, match="but for its case"):
        copy_images(before, after, "copy")


def test_a_result_appears_whole(tmp_path: Path) -> None:
    dest = tmp_path / "new" / "dest"
    with atomic_output(dest, overwrite=False, record="convert.json") as stage:
        (stage / "a.json").write_text("a")
        assert not dest.exists()
    assert (dest / "a.json").read_text() == "a"
    assert [path.name for path in dest.parent.iterdir()] == ["dest"]


def test_after_a_failure_nothing_is_there(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_output(tmp_path / "dest", overwrite=True, record="") as stage:
            (stage / "a.json").write_text("a")
            raise DataError("no")

    with pytest.raises(DataError, match="no"):
        fail()
    assert list(tmp_path.iterdir()) == []


def add(dest: Path, overwrite: bool = False, **files: str) -> None:
    with atomic_output(dest, overwrite=overwrite, record="record") as stage:
        for name, text in files.items():
            (stage / "images").mkdir(exist_ok=True)
            (stage / name.replace("__", "/")).write_text(text)


def test_files_are_added_and_none_is_replaced_unless_asked(tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    add(dest, train="1", images__a="a", record="1")
    add(dest, val="2", images__a="a", images__b="b", record="2")
    assert {p.name: p.read_text() for p in dest.rglob("*") if p.is_file()} == {
        "train": "1", "val": "2", "a": "a", "b": "b", "record": "2",
    }  # fmt: skip
    with pytest.raises(DataError, match=r"(?s)already:\n  images/a\n  val$") as caught:
        add(dest, test="3", val="4", images__a="other", record="3")
    assert "--overwrite" in caught.value.hint
    assert not (dest / "test").exists()
    assert (dest / "record").read_text() == "2"
    add(dest, overwrite=True, val="4")
    assert (dest / "val").read_text() == "4"
    assert (dest / "train").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["dest"]


def test_a_place_that_cannot_be_written_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(MlcError, match="cannot be made"),
        atomic_output(tmp_path / "file" / "dest", overwrite=False, record=""),
    ):
        pass


def test_the_stage_is_as_deep_as_the_result(tmp_path: Path) -> None:
    """Files in it name the images elsewhere by paths that hold after it has moved."""
    with atomic_output(tmp_path / "result") as stage:
        assert stage.parent == tmp_path.resolve()
