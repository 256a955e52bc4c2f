"""Counts of labels, against dense arrays."""

import json

import numpy as np
import pytest

from mlc_cli.core.datasets.inspection.collection import Collection, read_collection
from mlc_cli.core.datasets.inspection.statistics import count


@pytest.fixture
def random_data(make_data) -> tuple[Collection, dict[str, np.ndarray]]:
    """Three splits of random states, and these states: 1 present, 0 absent, -1 unknown."""
    rng = np.random.default_rng(0)
    classes = ["a", "b", "c", "d", "e"]
    states, splits = {}, {}
    for name, images in (("train", 60), ("val", 30), ("test", 20)):
        targets_NC = rng.choice([-1, 0, 1], (images, 5), p=[0.1, 0.5, 0.4])
        targets_NC[:, 4] = 0
        targets_NC[:3] = 0
        states[name] = targets_NC
        splits[name] = [
            [
                f"{name}{n}.jpg",
                [classes[c] for c in np.flatnonzero(row == 1)],
                [classes[c] for c in np.flatnonzero(row == -1)],
            ]
            for n, row in enumerate(targets_NC)
        ]
    files = {entry[0]: None for entries in splits.values() for entry in entries}
    return read_collection(make_data(splits, files, classes=classes)), states


def test_counts_are_those_of_dense_arrays(random_data) -> None:
    collection, states = random_data
    statistics = count(collection)
    assert statistics.images == 110
    for s, (name, targets_NC) in enumerate(states.items()):
        present_NC = targets_NC == 1
        split = statistics.splits[name]
        assert (split.images, split.labels) == (len(targets_NC), present_NC.sum())
        assert split.unknown == (targets_NC == -1).sum()
        assert split.without == (present_NC.sum(1) == 0).sum() >= 3
        assert split.histogram[:6] == np.bincount(present_NC.sum(1), minlength=6).tolist()
        assert statistics.positives_SC[s].tolist() == present_NC.sum(0).tolist()
        assert statistics.unknown_SC[s].tolist() == (targets_NC == -1).sum(0).tolist()
        known_C = (targets_NC >= 0).sum(0)
        np.testing.assert_allclose(statistics.shares_SC[s], present_NC.sum(0) / known_C)


def test_pairs_have_the_share_and_lift_of_their_definition(random_data) -> None:
    collection, states = random_data
    present_NC = np.concatenate(list(states.values())) == 1
    statistics = count(collection)
    pairs = statistics.pairs(least=1)
    assert len(pairs) == 6  # of the four classes that are on images
    for pair in pairs:
        first_N, second_N = present_NC[:, pair.first], present_NC[:, pair.second]
        assert first_N.sum() <= second_N.sum()
        assert pair.images == (first_N & second_N).sum()
        assert pair.share == pytest.approx(second_N[first_N].mean())
        assert pair.lift == pytest.approx(second_N[first_N].mean() / second_N.mean())
    assert [pair.lift for pair in pairs] == sorted((pair.lift for pair in pairs), reverse=True)
    assert statistics.matrix([2, 0]).tolist() == [
        [present_NC[:, 2].sum(), (present_NC[:, 2] & present_NC[:, 0]).sum()],
        [(present_NC[:, 2] & present_NC[:, 0]).sum(), present_NC[:, 0].sum()],
    ]


def test_pairs_on_few_images_are_left_out(make_data) -> None:
    entries = [[f"{n}.jpg", ["cat", "dog"] if n < 4 else ["cat"]] for n in range(9)]
    root = make_data({"train": entries}, {entry[0]: None for entry in entries})
    statistics = count(read_collection(root))
    assert statistics.pairs() == []
    assert len(statistics.pairs(least=4)) == 1


def test_balance_compares_the_most_with_the_least_frequent(make_data) -> None:
    entries = [[f"{n}.jpg", ["cat"] * (n < 6) + ["dog"] * (n < 2)] for n in range(9)]
    files = {entry[0]: None for entry in entries}
    root = make_data({"train": entries}, files, classes=["cat", "cow", "dog"])
    assert count(read_collection(root)).imbalance() == 3
    root = make_data({"train": [["a.jpg", []]]}, {"a.jpg": None}, name="empty")
    assert count(read_collection(root)).imbalance() is None


def test_splits_of_other_classes_are_counted_by_name(make_data) -> None:
    root = make_data({"train": [["a.jpg", ["cat"]], ["b.jpg", ["dog"]]]})
    content = {"classes": ["dog", "cow"], "images": [["v.jpg", ["dog"]], ["w.jpg", ["cow"]]]}
    (root / "val.json").write_text(json.dumps(content))
    statistics = count(read_collection(root))
    assert statistics.classes == ("cat", "cow", "dog")
    assert statistics.positives_SC.tolist() == [[1, 0, 1], [0, 1, 1]]
    assert statistics.listed_SC.tolist() == [[True, False, True], [False, True, True]]


def test_where_unlisted_labels_are_unknown_they_are_counted_so(make_data) -> None:
    entries = [["a.jpg", ["cat"], ["dog"]], ["b.jpg", [], ["dog"]], ["c.jpg", ["dog"]]]
    root = make_data({"train": entries}, {e[0]: None for e in entries}, unlisted="unknown")
    statistics = count(read_collection(root))
    assert statistics.unknown_SC.tolist() == [[2, 0]]
    np.testing.assert_allclose(statistics.shares_SC, [[1, 1 / 3]])


def test_no_readable_split_counts_nothing(make_data) -> None:
    root = make_data({})
    (root / "train.json").write_text("{}")
    statistics = count(read_collection(root))
    assert (statistics.images, statistics.classes, statistics.pairs()) == (0, (), [])
    assert statistics.imbalance() is None
