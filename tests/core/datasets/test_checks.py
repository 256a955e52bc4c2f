import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlc_cli.core.datasets.annotations import Annotation, read_annotation
from mlc_cli.core.datasets.checks import (
    check_classes,
    check_images,
    check_leak,
    check_same_classes,
    shared_images,
)
from mlc_cli.errors import DataError

MakeSplit = Callable[..., Annotation]


def listed(source: Path, classes: list[str] | list[int], paths: list[str]) -> Annotation:
    content = {"classes": classes, "images": [[path, []] for path in paths]}
    source.write_text(json.dumps(content))
    return read_annotation(source)


def test_images_that_are_there_pass(make_split: MakeSplit) -> None:
    check_images(make_split(), allow_outside=False)


def test_missing_images_are_all_counted_and_ten_shown(make_split: MakeSplit) -> None:
    split = make_split(30)
    for number in range(5, 28):
        split.path(number).unlink()
    with pytest.raises(DataError) as caught:
        check_images(split, allow_outside=False)
    assert "23 of 30 images: file is missing" in caught.value.message
    assert "... and 13 more" in caught.value.message
    assert caught.value.message.count(".png") == 10
    assert "data.image_root" in caught.value.hint


def test_faults_of_each_kind_are_reported_together(make_split: MakeSplit, tmp_path: Path) -> None:
    split = make_split(4)
    (tmp_path / "out.png").write_bytes(split.path(0).read_bytes())
    split.path(1).unlink()
    split.path(2).unlink()
    split.path(2).symlink_to(tmp_path / "out.png")
    split.path(3).unlink()
    split.path(3).mkdir()
    with pytest.raises(DataError) as caught:
        check_images(split, allow_outside=False)
    for line in (
        "1 of 4 images: file is missing:\n  1.png",
        "1 of 4 images: file leads out of the image folder:\n  2.png",
        "1 of 4 images: file is not a regular file:\n  3.png",
    ):
        assert line in caught.value.message
    assert "allow_outside_root" in caught.value.hint


def test_same_classes_in_another_order_pass(tmp_path: Path) -> None:
    first = listed(tmp_path / "a.json", ["cat", "dog"], ["1.png"])
    second = listed(tmp_path / "b.json", ["dog", "cat"], ["2.png"])
    check_same_classes(first, second)


def test_class_mismatch_is_named(tmp_path: Path) -> None:
    first = listed(tmp_path / "a.json", ["cat", "dog"], ["1.png"])
    second = listed(tmp_path / "b.json", ["cat", "Dog", "emu"], ["2.png"])
    with pytest.raises(DataError) as caught:
        check_same_classes(first, second)
    assert str(tmp_path / "b.json") in caught.value.message
    assert "only here: Dog, emu\n" in caught.value.message
    assert caught.value.message.endswith("only there: dog")


def test_classes_as_text_are_not_those_as_numbers(tmp_path: Path) -> None:
    split = listed(tmp_path / "a.json", [1, 2], ["1.png"])
    with pytest.raises(DataError):
        check_classes(split, ["1", "2"], "those of the model")


def test_many_differing_classes_are_counted(tmp_path: Path) -> None:
    split = listed(tmp_path / "a.json", [f"class {n:02}" for n in range(25)], ["1.png"])
    with pytest.raises(DataError, match="class 09 and 15 more"):
        check_classes(split, ["x"], "those of the model")


def test_splits_without_common_images_pass(make_split: MakeSplit) -> None:
    check_leak(make_split(name="train"), make_split(name="val"))


def test_leak_between_splits_is_counted_and_shown(tmp_path: Path) -> None:
    first = listed(tmp_path / "a.json", ["x"], [f"{n}.png" for n in range(40)])
    second = listed(tmp_path / "b.json", ["x"], [f"./{n}.png" for n in range(25, 50)])
    assert len(shared_images(first, second)) == 15
    with pytest.raises(DataError) as caught:
        check_leak(first, second)
    assert "15 of 25 images" in caught.value.message
    assert "... and 5 more" in caught.value.message
    assert "data.on_leak" in caught.value.hint


def test_equal_names_in_other_folders_are_no_leak(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    first = listed(tmp_path / "a.json", ["x"], ["1.png", "val/2.png"])
    second = listed(tmp_path / "val" / "b.json", ["x"], ["1.png", "2.png"])
    assert shared_images(first, second) == ["2.png"]
