"""The cleaned copy: what it leaves out, what it keeps, and that the source stays as it is."""

import json
import os
from pathlib import Path

import pytest

from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.datasets.checks import check_images
from mlc_cli.core.datasets.inspection.cleaning import check_destination, plan_cleaning, write_clean
from mlc_cli.core.datasets.inspection.collection import read_collection
from mlc_cli.core.datasets.inspection.inspect import Inspection, inspect
from mlc_cli.core.datasets.inspection.scan import scan_files
from mlc_cli.errors import DataError, MlcError, UsageError


def entries(folder: Path, split: str) -> dict[str, list]:
    content = json.loads((folder / f"{split}.json").read_text(encoding="utf-8"))
    return {entry[0]: entry[1:] for entry in content["images"]}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def clean(tmp_path: Path):
    """Write the cleaned copy of an inspected data set; its folder."""

    def run(inspection: Inspection) -> Path:
        source = inspection.collection.source
        before = snapshot(source)
        destination = tmp_path / "new" / "clean"
        write_clean(inspection, plan_cleaning(inspection), destination)
        assert snapshot(source) == before
        assert list(destination.parent.iterdir()) == [destination]
        return destination

    return run


def test_a_clean_data_set_is_copied_whole(examine, clean) -> None:
    splits = {
        "train": [["sub/ü a.jpg", ["dog", "cat"]], ["b.jpg", [], ["cat"]]],
        "val": [["c.jpg", []]],
    }
    folder = clean(examine(splits, classes=["dog", "cat"]))
    assert entries(folder, "train") == {"sub/ü a.jpg": [["cat", "dog"]], "b.jpg": [[], ["cat"]]}
    assert entries(folder, "val") == {"c.jpg": [[]]}
    assert json.loads((folder / "left_out.json").read_text()) == []
    for split in ("train", "val"):
        annotation = read_annotation(folder / f"{split}.json")
        assert annotation.classes == ("cat", "dog")
        check_images(annotation, allow_outside=False)


def test_images_that_cannot_be_used_are_left_out_by_reason(examine, clean) -> None:
    splits = {"train": [[name, []] for name in ("a", "b", "c", "../d", "e.jpg")]}
    folder = clean(examine(splits, {"a": None, "b": b"", "c": b"text", "../d": None}))
    assert list(entries(folder, "train")) == ["e.jpg"]
    left_out = json.loads((folder / "left_out.json").read_text())
    assert {(row["image"], row["reason"]) for row in left_out} == {
        ("a", "the file is missing"),
        ("b", "the file is empty"),
        ("c", "the file is not an image"),
        ("../d", "the file is missing"),
    }


def test_an_image_stays_in_the_first_split_that_has_it(examine, clean, photos, encode) -> None:
    same = encode(photos(60))
    splits = {
        "train": [["a.jpg", []], ["b.jpg", []]],
        "val": [["a.jpg", []], ["copy.jpg", []], ["only val.jpg", []], ["both.jpg", []]],
        "test": [["other.jpg", []], ["both.jpg", []], ["only test.jpg", []]],
    }
    folder = clean(examine(splits, {"b.jpg": same, "copy.jpg": same, "other.jpg": same}))
    assert list(entries(folder, "train")) == ["a.jpg", "b.jpg"]
    assert list(entries(folder, "val")) == ["only val.jpg", "both.jpg"]
    assert list(entries(folder, "test")) == ["only test.jpg"]


def test_an_image_whose_copy_in_train_is_unusable_is_no_leak(examine, clean) -> None:
    splits = {"train": [["lost.jpg", []], ["a.jpg", []]], "val": [["lost.jpg", []], ["b.jpg", []]]}
    folder = clean(examine(splits, {"lost.jpg": None}))
    reasons = [row["reason"] for row in json.loads((folder / "left_out.json").read_text())]
    assert reasons == ["the file is missing"] * 2


@pytest.mark.parametrize(
    ("labels", "others", "kept"),
    [
        ([["cat"]], [["cat"]], {"a.jpg": [["cat"]]}),
        ([["cat"], ["dog"]], [["cat", "dog"]], {"a.jpg": [["cat", "dog"]]}),
        ([["cat"], ["dog"]], [["cat"]], {"a.jpg": [["cat"]]}),
        ([["cat"]], [["dog"]], {"a.jpg": [["cat"]], "b.jpg": [["dog"]]}),
        ([["cat"]], [[]], {"a.jpg": [["cat"]], "b.jpg": [[]]}),
    ],
)
def test_copies_are_joined_unless_they_contradict(
    examine, clean, photos, encode, labels: list, others: list, kept: dict
) -> None:
    same = encode(photos(61))
    inspection = examine(
        {"train": [["a.jpg", *labels], ["b.jpg", *others], ["c.jpg", []]]},
        {"a.jpg": same, "b.jpg": same},
    )
    folder = clean(inspection)
    found = entries(folder, "train")
    assert found.pop("c.jpg") == [[]]
    assert found == kept
    assert len(plan_cleaning(inspection).kept_contradictions) == len(kept) - 1


def test_unknown_by_default_stays_so(examine, clean, photos, encode) -> None:
    same = encode(photos(62))
    inspection = examine(
        {"train": [["a.jpg", ["cat"], []], ["b.jpg", [], ["dog"]], ["c.jpg", ["dog"], ["cat"]]]},
        {"a.jpg": same, "b.jpg": same},
        unlisted="unknown",
    )
    folder = clean(inspection)
    assert entries(folder, "train") == {
        "a.jpg": [["cat"], ["dog"]],
        "c.jpg": [["dog"], ["cat"]],
    }
    assert read_annotation(folder / "train.json").unlisted == "unknown"


def test_near_copies_stay(examine, clean, photos, encode) -> None:
    pixels = photos(63)
    files = {"a.jpg": encode(pixels), "b.jpg": encode(pixels, quality=60)}
    inspection = examine({"train": [["a.jpg", []], ["b.jpg", []]]}, files)
    assert inspection.duplicates.alike
    assert len(entries(clean(inspection), "train")) == 2


def test_images_are_hard_links_and_stand_alone(examine, clean) -> None:
    inspection = examine({"train": [["a.jpg", []]]})
    folder = clean(inspection)
    source = inspection.collection.file(0)
    assert (folder / "a.jpg").samefile(source)
    content = source.read_bytes()
    source.unlink()
    assert (folder / "a.jpg").read_bytes() == content


def test_without_hard_links_images_are_copied(
    examine, clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    inspection = examine({"train": [["a.jpg", []]]})
    folder = clean(inspection)
    source = inspection.collection.file(0)
    assert not (folder / "a.jpg").samefile(source)
    assert (folder / "a.jpg").read_bytes() == source.read_bytes()


def test_links_become_the_files_behind_them(make_data, clean) -> None:
    root = make_data({"train": [["link.jpg", []], ["a.jpg", []]]}, {"link.jpg": None})
    (root / "link.jpg").symlink_to("b.jpg")
    (root / "a.jpg").rename(root / "b.jpg")
    collection = read_collection(root)
    folder = clean(inspect(collection, scan_files(collection, threads=1), 6))
    assert list(entries(folder, "train")) == ["link.jpg"]
    assert not (folder / "link.jpg").is_symlink()
    assert (folder / "link.jpg").samefile(root / "b.jpg")


def test_images_from_outside_come_inside(make_data, clean, tmp_path: Path) -> None:
    far = tmp_path / "far" / "x.jpg"
    root = make_data(
        {"train": [["../far/x.jpg", ["cat"]], ["a.jpg", []], [str(tmp_path / "y.jpg"), ["dog"]]]}
    )
    assert far.exists()
    collection = read_collection(root)
    files = scan_files(collection, threads=1, allow_outside=True)
    folder = clean(inspect(collection, files, 6))
    assert entries(folder, "train") == {
        "outside/0-x.jpg": [["cat"]], "a.jpg": [[]], "outside/2-y.jpg": [["dog"]],
    }  # fmt: skip
    check_images(read_annotation(folder / "train.json"), allow_outside=False)


def test_one_path_in_two_image_folders_stays_two_images(
    tmp_path: Path, photos, encode, clean
) -> None:
    root = tmp_path / "data"
    for number, split in enumerate(("train", "val")):
        (root / split).mkdir(parents=True)
        (root / split / "a.jpg").write_bytes(encode(photos(70 + number)))
        content = {"classes": ["cat"], "image_root": split, "images": [["a.jpg", []]]}
        (root / f"{split}.json").write_text(json.dumps(content))
    collection = read_collection(root)
    folder = clean(inspect(collection, scan_files(collection, threads=1), 6))
    for number, split in enumerate(("train", "val")):
        annotation = read_annotation(folder / f"{split}.json")
        assert annotation.path(0).read_bytes() == encode(photos(70 + number))


def test_one_annotation_file_is_copied_under_its_name(make_data) -> None:
    root = make_data({"mine": [["a.jpg", []]]})
    collection = read_collection(root / "mine.json")
    inspection = inspect(collection, scan_files(collection, threads=1), 6)
    destination = root.parent / "clean"
    write_clean(inspection, plan_cleaning(inspection), destination)
    assert entries(destination, "mine") == {"a.jpg": [[]]}


def test_faulty_annotation_is_not_guessed_at(examine) -> None:
    with pytest.raises(DataError, match="train"):
        plan_cleaning(examine({"train": [["a.jpg", ["cow"]]], "val": [["b.jpg", []]]}))


def test_a_split_of_which_nothing_is_left_is_refused(examine) -> None:
    inspection = examine({"train": [["a.jpg", []]], "val": [["a.jpg", []]]})
    with pytest.raises(DataError, match="nothing would be left of val"):
        plan_cleaning(inspection)


@pytest.mark.parametrize("place", ["data", "data/inside", "there", "link"])
def test_places_that_exist_or_lie_in_the_source_are_refused(
    make_data, tmp_path: Path, place: str
) -> None:
    root = make_data({"train": [["a.jpg", []]]})
    (tmp_path / "there").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for source in (root, root / "train.json"):
        with pytest.raises(UsageError):
            check_destination(source, tmp_path / place)
    check_destination(root, tmp_path / "free")


def test_a_failure_leaves_nothing_behind(examine, tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    inspection = examine({"train": [["a.jpg", []]]})
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(MlcError, match="No space left"):
        write_clean(inspection, plan_cleaning(inspection), tmp_path / "new" / "clean")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_destination_behind_links_in_a_circle_is_left_to_the_writer(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    check_destination(tmp_path / "data", tmp_path / "loop" / "out")
