"""Names of splits and what they mean."""

import re
from pathlib import Path

SPLITS = ("train", "val", "test")
_MEANINGS = {
    **dict.fromkeys(("train", "training", "trainval", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "valset"), "val"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}


def meaning(name: str) -> str | None:
    """The split that a name stands for, if that is clear: `train2017` is `train`."""
    return _MEANINGS.get(name.lower().rstrip("0123456789").rstrip("-_. "))


def split_in_name(place: Path) -> str | None:
    """The split that the name of a file or folder contains: `instances_val2017.json` is `val`."""
    words = re.split(r"[^A-Za-z0-9]+", place.stem)
    found = {split for word in words if (split := meaning(word))}
    return found.pop() if len(found) == 1 else None
