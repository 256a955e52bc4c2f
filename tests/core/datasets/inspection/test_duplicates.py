"""What is found more than once."""

import cv2
import numpy as np
import pytest

from mlc_cli.core.datasets.inspection import duplicates
from mlc_cli.core.datasets.inspection.collection import read_collection
from mlc_cli.core.datasets.inspection.duplicates import find_duplicates
from mlc_cli.core.datasets.inspection.scan import scan_files


def test_copies_are_grouped_across_splits(examine, photos, encode) -> None:
    same, other = encode(photos(50)), encode(photos(51))
    found = examine(
        {
            "train": [["a.jpg", []], ["b.jpg", []], ["c.jpg", []]],
            "val": [["d.jpg", []], ["e.jpg", []]],
        },
        {"a.jpg": same, "d.jpg": same, "c.jpg": same, "b.jpg": other, "e.jpg": other},
    ).duplicates
    assert [group.rows for group in found.copies] == [(0, 2, 3), (1, 4)]
    assert found.alike == ()
    assert found.complete


@pytest.mark.parametrize(
    ("labels", "contradict"),
    [
        ([["cat"], ["cat"]], False),
        ([["cat"], ["dog"]], True),
        ([["cat"], ["cat", "dog"]], True),
        ([["cat"], ["cat"], ["cat"], []], True),
    ],
)
def test_copies_with_other_labels_are_told_apart(
    examine, photos, encode, labels: list[list[str]], contradict: bool
) -> None:
    names = [f"{n}.jpg" for n in range(len(labels))]
    files = dict.fromkeys(names, encode(photos(52)))
    found = examine({"train": list(zip(names, labels, strict=True))}, files).duplicates
    assert [group.contradict for group in found.copies] == [contradict]


def test_near_copies_are_pairs_with_their_distance(examine, photos, encode) -> None:
    pixels = photos(53, 240, 320)
    small = cv2.resize(pixels, (160, 120), interpolation=cv2.INTER_AREA)
    found = examine(
        {"train": [["a.jpg", ["cat"]], ["b.jpg", []]], "val": [["c.png", ["dog"]], ["d.jpg", []]]},
        {"a.jpg": encode(pixels), "c.png": encode(small, ".png")},
    ).duplicates
    assert found.copies == ()
    assert [(pair.first, pair.second, pair.contradict) for pair in found.alike] == [(0, 2, True)]
    assert found.alike[0].distance <= 6


def test_a_copy_of_a_near_copy_is_not_a_second_pair(examine, photos, encode) -> None:
    one, other = encode(photos(54)), encode(photos(54), quality=70)
    found = examine(
        {"train": [["a.jpg", []], ["b.jpg", []], ["c.jpg", []]]},
        {"a.jpg": one, "b.jpg": other, "c.jpg": one},
    ).duplicates
    assert [group.rows for group in found.copies] == [(0, 2)]
    assert [(pair.first, pair.second) for pair in found.alike] == [(0, 1)]


def test_pictures_of_one_shade_are_not_near_copies_but_may_be_copies(examine, encode) -> None:
    shades = [encode(np.full((40, 40, 3), level, np.uint8), ".png") for level in (0, 90, 200, 90)]
    names = [f"{n}.png" for n in range(4)]
    found = examine(
        {"train": [[name, []] for name in names]}, dict(zip(names, shades, strict=True))
    ).duplicates
    assert [group.rows for group in found.copies] == [(1, 3)]
    assert found.alike == ()


def test_unusable_files_are_no_copies_of_each_other(examine) -> None:
    found = examine({"train": [["a", []], ["b", []], ["c", []]]}, {"a": b"", "b": b"", "c": None})
    assert len(found.files.problems) == 3
    assert found.duplicates.copies == ()
    assert found.duplicates.alike == ()


@pytest.mark.parametrize("most", [1, 1000])
def test_of_many_alike_each_is_paired_and_leaks_are_found(
    make_data, photos, encode, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(duplicates, "MOST_COMPARED", most)
    pixels = photos(55)
    splits = {
        "train": [[f"t{n}.jpg", []] for n in range(6)],
        "val": [[f"v{n}.jpg", []] for n in range(5)],
    }
    names = [entry[0] for entries in splits.values() for entry in entries]
    files = {name: encode(pixels, quality=80 + n) for n, name in enumerate(names)}
    collection = read_collection(make_data(splits, files))
    found = find_duplicates(collection, scan_files(collection, threads=1), 6)
    pairs = {(pair.first, pair.second) for pair in found.alike}
    for row in range(11):
        other = range(6, 11) if row < 6 else range(6)
        assert any({row, partner} in map(set, pairs) for partner in other)
    assert len(pairs) == len(found.alike) == (55 if most == 1000 else len(pairs))


def test_close_coarse_hashes_alone_make_no_pair(examine, encode) -> None:
    """Two pictures with the same low frequencies and other ones above."""
    rng = np.random.default_rng(0)
    low = rng.normal(0, 200, (8, 8))
    names, files = ["a.png", "b.png"], {}
    for name in names:
        frequencies = np.zeros((32, 32))
        frequencies[:16, :16] = rng.normal(0, 120, (16, 16))
        frequencies[:8, :8] = low
        frequencies[0, 0] = 128 * 32
        pixels = cv2.idct(frequencies).clip(0, 255).astype(np.uint8).repeat(4, 0).repeat(4, 1)
        files[name] = encode(pixels, ".png")
    inspection = examine({"train": [[name, []] for name in names]}, files)
    coarse = inspection.files.facts_N["coarse"]
    assert int(coarse[0] ^ coarse[1]).bit_count() <= 6
    assert inspection.duplicates.alike == ()


def test_one_image_has_no_duplicates(examine) -> None:
    found = examine({"train": [["a.jpg", ["cat"]]]}).duplicates
    assert (found.copies, found.alike) == ((), ())
