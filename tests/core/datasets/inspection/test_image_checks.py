"""Findings about files and duplicates, one by one."""

import cv2
import numpy as np
import pytest

from mlc_cli.core.datasets.inspection.collection import read_collection
from mlc_cli.core.datasets.inspection.inspect import Inspection, inspect
from mlc_cli.core.datasets.inspection.scan import scan_files


def find(inspection: Inspection, kind: str):
    found = [finding for finding in inspection.findings if finding.kind == kind]
    assert len(found) == 1, [finding.kind for finding in inspection.findings]
    return found[0]


def kinds(inspection: Inspection) -> set[str]:
    return {finding.kind for finding in inspection.findings}


ABOUT_FILES = {
    "missing-images", "outside-images", "truncated-images", "large-images", "unreadable-images",
    "one-shade", "small-images", "long-images", "transparent-images", "not-listed", "copies",
    "contradicting-copies", "copies-across-splits", "near-copies", "near-copies-across-splits",
    "near-copies-contradict", "near-copies-many",
}  # fmt: skip


def pair(first: tuple, second: tuple) -> dict:
    return {"train": [list(first), ["x.jpg", []]], "val": [list(second), ["y.jpg", []]]}


def test_good_files_are_nothing_to_speak_of(examine) -> None:
    found = examine(pair(("a.jpg", ["cat"]), ("b.jpg", ["cat"])))
    assert kinds(found) & ABOUT_FILES == set()


@pytest.mark.parametrize(
    ("path", "content", "kind", "words"),
    [
        ("a.jpg", None, "missing-images", "train: a.jpg"),
        ("../a.jpg", b"x", "outside-images", "train: ../a.jpg"),
        ("a.jpg", b"", "unreadable-images", "train: a.jpg: is empty"),
        ("a.jpg", b"<html>not found</html>", "unreadable-images", "train: a.jpg: is not an image"),
        ("a.jpg", "half", "truncated-images", "train: a.jpg"),
    ],
)
def test_files_that_stop_a_training_are_errors(
    examine, photos, encode, path: str, content: bytes | str | None, kind: str, words: str
) -> None:
    if content == "half":
        content = encode(photos(1))[:-500]
    found = examine(pair((path, []), ("b.jpg", [])), {path: content})
    finding = find(found, kind)
    assert (finding.severity, finding.examples) == ("error", (words,))
    assert finding.repair


def test_too_large_images_are_errors_that_name_their_size(make_data) -> None:
    collection = read_collection(make_data({"train": [["a.jpg", []]]}))
    found = inspect(collection, scan_files(collection, threads=1, max_pixels=1000), 6)
    finding = find(found, "large-images")
    assert finding.severity == "error"
    assert "128x96" in finding.examples[0]
    assert "max_megapixels" in finding.repair


def test_odd_pictures_are_noted(examine, photos, encode) -> None:
    alpha = np.dstack([photos(2), photos(3)[..., :1]])
    found = examine(
        {"train": [["flat.png", []], ["small.png", []], ["long.png", []], ["alpha.png", []]]},
        {
            "flat.png": encode(np.full((50, 50, 3), 9, np.uint8), ".png"),
            "small.png": encode(photos(4, 31, 50), ".png"),
            "long.png": encode(photos(5, 200, 49), ".png"),
            "alpha.png": encode(alpha, ".png"),
        },
    )
    for kind in ("one-shade", "small-images", "long-images", "transparent-images"):
        finding = find(found, kind)
        assert finding.severity == "note"
        assert finding.count == 1


def test_what_leaves_the_high_bits_of_16_unused_is_a_warning(examine, photos, encode) -> None:
    raw = photos(2).astype(np.uint16)
    found = examine(
        {"train": [["raw.png", []], ["full.tif", []], ["dark.png", []]]},
        {
            "raw.png": encode(raw * 15, ".png"),
            "full.tif": encode(raw * 257, ".tif"),
            "dark.png": encode(photos(3) // 8, ".png"),
        },
    )
    finding = find(found, "dim-images")
    assert (finding.examples, "data.bits=12" in finding.repair) == (("train: raw.png",), True)


def test_four_times_as_long_and_32_pixels_are_still_good(examine, photos, encode) -> None:
    found = examine(
        {"train": [["a.png", []]]}, {"a.png": encode(photos(6, 32, 128), ".png")}
    )  # fmt: skip
    assert kinds(found) & ABOUT_FILES == set()


def test_files_that_nobody_lists_are_noted(examine, photos, encode) -> None:
    found = examine(
        {"train": [["./images/a.jpg", []]], "val": [["b.jpg", []]]},
        {"images/new.jpg": encode(photos(7)), "notes.txt": b"", "images/.x.jpg": b""},
    )
    assert find(found, "not-listed").examples == ("images/new.jpg",)


def test_files_of_a_faulty_split_are_not_called_unlisted(examine) -> None:
    found = examine({"train": [["a.jpg", ["cow"]]], "val": [["b.jpg", []]]})
    assert "not-listed" not in kinds(found)


def test_copies_in_a_split_are_a_warning(examine, photos, encode) -> None:
    same = encode(photos(8))
    found = examine(
        {"train": [["a.jpg", ["cat"]], ["b.jpg", ["cat"]], ["c.jpg", ["cat"]]]},
        {"a.jpg": same, "c.jpg": same},
    )
    finding = find(found, "copies")
    assert (finding.severity, finding.examples) == ("warning", ("train: c.jpg = a.jpg",))
    assert "contradicting-copies" not in kinds(found)


def test_copies_that_contradict_are_a_finding_of_their_own(examine, photos, encode) -> None:
    same = encode(photos(9))
    found = examine(
        {"train": [["a.jpg", ["cat"]], ["b.jpg", ["dog"]]]}, {"a.jpg": same, "b.jpg": same}
    )
    finding = find(found, "contradicting-copies")
    assert (finding.severity, finding.examples) == ("warning", ("train: a.jpg = train: b.jpg",))
    assert "copies" not in kinds(found)


def test_copies_across_splits_are_an_error_for_each_copy(examine, photos, encode) -> None:
    same = encode(photos(10))
    found = examine(
        {"train": [["a.jpg", []]], "val": [["b.jpg", []], ["c.jpg", []]], "test": [["d.jpg", []]]},
        dict.fromkeys(("a.jpg", "b.jpg", "c.jpg", "d.jpg"), same),
    )
    across = [f for f in found.findings if f.kind == "copies-across-splits"]
    assert {f.severity for f in across} == {"error"}
    assert [f.examples for f in across] == [
        ("b.jpg = train: a.jpg", "c.jpg = train: a.jpg"),
        ("d.jpg = train: a.jpg",),
    ]


def test_the_same_file_in_two_splits_is_said_once(examine) -> None:
    found = examine(pair(("a.jpg", []), ("./a.jpg", [])))
    assert "same-path" in kinds(found)
    assert "copies-across-splits" not in kinds(found)


def test_near_copies_across_splits_are_a_warning_and_within_a_note(examine, photos, encode) -> None:
    pixels = photos(11, 200, 300)
    small = cv2.resize(pixels, (150, 100), interpolation=cv2.INTER_AREA)
    files = {"a.jpg": encode(pixels), "b.jpg": encode(small)}
    finding = find(examine(pair(("a.jpg", []), ("b.jpg", [])), files), "near-copies-across-splits")
    assert finding.severity == "warning"
    assert finding.examples[0].startswith("train: a.jpg ~ val: b.jpg (")
    inside = examine({"train": [["a.jpg", ["cat"]], ["b.jpg", []]]}, files, name="inside")
    assert find(inside, "near-copies").severity == "note"
    assert find(inside, "near-copies-contradict").severity == "note"
    nothing = examine(pair(("a.jpg", []), ("b.jpg", [])), name="others")
    assert "near-copies-across-splits" not in kinds(nothing)
