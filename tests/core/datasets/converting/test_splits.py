"""Names of splits, and dividing a data set anew."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.datasets.annotations import Annotation, LabelSets
from mlc_cli.core.datasets.converting.collect import Collected
from mlc_cli.core.datasets.converting.splits import (
    by_folders,
    divide,
    group_by_name,
    missing_classes,
    rename_splits,
)
from mlc_cli.core.datasets.packed import PackedStrings
from mlc_cli.core.system.issues import IssueLog

Make = Callable[[Sequence[str], np.ndarray], Annotation]


@pytest.fixture
def make() -> Make:
    """An annotation from paths and a table of 0 and 1."""

    def annotation(paths: Sequence[str], present_NC: np.ndarray) -> Annotation:
        classes = tuple(f"c{c}" for c in range(present_NC.shape[1]))
        starts = np.concatenate([[0], present_NC.sum(axis=1).cumsum()]).astype(np.int64)
        sets = LabelSets(np.nonzero(present_NC)[1].astype(np.uint16), starts)
        none = LabelSets(np.zeros(0, np.uint16), np.zeros(len(paths) + 1, np.int64))
        packed = PackedStrings.pack(paths)
        return Annotation(Path("a.json"), Path(), classes, packed, sets, none)

    return annotation


@pytest.mark.parametrize(
    ("names", "result"),
    [
        (["train2017", "val2017"], ["train", "val"]),
        (["train", "valid", "test"], ["train", "val", "test"]),
        (["train2014", "train2017", "dev"], ["train2014", "train2017", "val"]),
        (["trainval", "train", "test"], ["trainval", "train", "test"]),
        (["a/b", "../c", "a b"], ["a_b", "c", "a_b-2"]),
        (["", "train"], ["rest", "train"]),
        (["convert", "fold1"], ["convert-2", "fold1"]),
    ],
)
def test_splits_are_renamed_where_that_is_clear(names: list[str], result: list[str]) -> None:
    assert list(rename_splits(names).values()) == result


@pytest.mark.parametrize(
    ("paths", "splits", "result"),
    [
        (["train/a.jpg", "x/val/b.jpg", "train/c.jpg"], [""], {"train": [0, 2], "val": [1]}),
        (["train/a.jpg", "b.jpg", "test/c.jpg"], [""], {"": [0, 1, 2]}),
        (["train/a.jpg", "training/b.jpg", "train/c.jpg"], [""], {"": [0, 1, 2]}),
        (["train/a.jpg", "val/b.jpg", "val/c.jpg"], ["all"], {"all": [0, 1, 2]}),
    ],
)
def test_folders_of_images_tell_the_split_where_nothing_else_does(
    make: Make, paths: list[str], splits: list[str], result: dict[str, list[int]]
) -> None:
    whole, remarks = (
        Collected(make(paths, np.eye(3, dtype=int)), tuple(splits), np.zeros(3, int)),
        [],
    )
    parts = by_folders(whole, remarks).by_split()
    assert {name: list(own.paths) for name, own in parts.items()} == {
        name: [paths[image] for image in images] for name, images in result.items()
    }
    assert bool(remarks) == (len(result) > 1)


def test_division_shares_out_every_class_and_every_image_once(make: Make) -> None:
    rng = np.random.default_rng(0)
    present_NC = rng.random((1000, 4)) < [0.5, 0.2, 0.05, 0.02]
    whole = make([f"{n}.jpg" for n in range(1000)], present_NC)
    splits = divide(whole, (0.8, 0.1, 0.1), 0, None)
    assert list(splits) == ["train", "val", "test"]
    assert sorted(p for s in splits.values() for p in s.paths) == sorted(whole.paths)
    for split, share in zip(splits.values(), (0.8, 0.1, 0.1), strict=True):
        counts_C = split.positives.counts_C(4)
        assert np.abs(counts_C - present_NC.sum(axis=0) * share).max() <= 2
        for image, path in enumerate(split.paths):
            row = int(path.removesuffix(".jpg"))
            assert split.positives.of(image).tolist() == np.flatnonzero(present_NC[row]).tolist()
    again = divide(whole, (0.8, 0.1, 0.1), 0, None)
    assert [list(s.paths) for s in again.values()] == [list(s.paths) for s in splits.values()]
    other = divide(whole, (0.8, 0.1, 0.1), 1, None)
    assert [list(s.paths) for s in other.values()] != [list(s.paths) for s in splits.values()]


def test_a_class_of_three_images_reaches_all_three_splits(make: Make) -> None:
    present_NC = np.zeros((300, 2), bool)
    present_NC[:, 0] = True
    present_NC[:3, 1] = True
    splits = divide(make([str(n) for n in range(300)], present_NC), (0.8, 0.1, 0.1), 5, None)
    assert [int(s.positives.counts_C(2)[1]) for s in splits.values()] == [1, 1, 1]
    assert missing_classes(splits) == {}


def test_groups_stay_together_and_still_balance(make: Make) -> None:
    rng = np.random.default_rng(1)
    videos = np.repeat(np.arange(120), rng.integers(1, 12, 120))
    paths = [f"video{v:03}/frame{n}.jpg" for n, v in enumerate(videos)]
    whole = make(paths, rng.random((len(paths), 3)) < [0.5, 0.3, 0.1])
    noted = IssueLog()
    group_N = group_by_name(whole, re.compile(r"video(\d+)/"), noted)
    assert group_N.tolist() == videos.tolist()
    assert noted.counts == {}
    splits = divide(whole, (0.7, 0.3), 0, group_N)
    own = [{path[:8] for path in split.paths} for split in splits.values()]
    assert not own[0] & own[1]
    assert abs(len(splits["train"]) / len(whole) - 0.7) < 0.03
    counts = [s.positives.counts_C(3) for s in splits.values()]
    assert np.abs(counts[0] / (counts[0] + counts[1]) - 0.7).max() < 0.06


def test_images_without_a_match_are_groups_of_their_own_and_counted(make: Make) -> None:
    noted = IssueLog()
    paths = ["a_1", "a_2", "b", "c", "_3"]
    whole = make(paths, np.ones((5, 1), bool))
    assert group_by_name(whole, re.compile("^(.?)_"), noted).tolist() == [0, 0, 1, 2, 3]
    assert list(noted.counts.values()) == [2]


def test_classes_that_a_split_lacks_are_named(make: Make) -> None:
    whole = make(["a", "b"], np.array([[1, 0, 0], [0, 1, 0]], bool))
    splits = {"train": whole.take(np.array([0])), "val": whole.take(np.array([1]))}
    assert missing_classes(splits) == {"train": ["c1"], "val": ["c0"]}
