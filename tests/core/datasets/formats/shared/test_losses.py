"""What other formats cannot hold."""

from mlc_cli.core.datasets.formats.shared.losses import numbered_classes, unknown_states


def test_unknown_states_are_counted_in_each_split(make_splits) -> None:
    images = {"train": [["a", ["x"], ["y"]], ["b", [], ["x", "y"]]], "val": [["c", ["x"]]]}
    assert unknown_states(make_splits(images, ["x", "y"])) == [
        "train: 3 labels are unknown, and would become absent"
    ]
    sparse = unknown_states(make_splits(images, ["x", "y"], unlisted="unknown"))
    assert sparse == ["val: 1 labels are unknown, and would become absent"]


def test_classes_that_are_integers_are_told(make_splits) -> None:
    images = {"train": [["a", []]]}
    assert numbered_classes(make_splits(images, ["1", "2"])) == []
    assert len(numbered_classes(make_splits(images, [1, 2]))) == 1
