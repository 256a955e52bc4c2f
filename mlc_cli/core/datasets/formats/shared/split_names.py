"""Names of splits and what they mean."""

import re
from pathlib import Path

SPLITS = ("train", "val", "test")
_MEANINGS = {
    **dict.fromkeys(("train", "training", "trainval", "trainset"), "train"),
    **dict.fromkeys(
        ("val", "valid", "validation", "dev", "valset", "minival", "evaluation"), "val"
    ),
    **dict.fromkeys(("test", "testing", "testset", "test-dev"), "test"),
}
_WORD = re.compile(r"test-dev[0-9]*|[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*(?![a-z])|[0-9]+", re.ASCII)


def meaning(name: str) -> str | None:
    """The split that a name stands for, if that is clear: `train2017` is `train`."""
    return _MEANINGS.get(name.lower().rstrip("0123456789").rstrip("-_. "))


def split_of_name(name: str) -> str:
    """The part of a name that tells a split, as it is written; empty if none, or several, do.

    For files (without suffix), folders, columns and list files alike: `train_labels` tells
    `train`, `person_keypoints_val2017` tells `val2017`, `sample_submission` nothing.
    """
    if meaning(name):
        return name
    words = split_words(name)
    return words[0] if len({meaning(word) for word in words}) == 1 else ""


def split_words(name: str) -> list[str]:
    """The words of a name that mean splits: `train` and `val` of `train_val_list`."""
    return [word for word in _WORD.findall(name) if meaning(word)]


def split_of_folders(path: str) -> str:
    """The first folder of a path that is called as a split; empty if none is."""
    return next((part for part in path.split("/")[:-1] if meaning(part)), "")


def split_in_name(place: Path) -> str | None:
    """The split that the name of a file or folder means: `instances_val2017.json` is `val`."""
    return meaning(split_of_name(place.stem))
