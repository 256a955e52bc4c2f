"""What formats of other tools cannot hold."""

from collections.abc import Mapping

from mlc_cli.core.datasets.annotations import Annotation


def unknown_states(splits: Mapping[str, Annotation]) -> list[str]:
    """One reason for each split that has labels whose state is unknown."""
    counts = {name: int(split.unknown_C().sum()) for name, split in splits.items()}
    return [
        f"{name}: {count} labels are unknown, and would become absent"
        for name, count in counts.items()
        if count
    ]


def numbered_classes(splits: Mapping[str, Annotation]) -> list[str]:
    """A reason if classes are integers, which would come back as text, in another order."""
    if all(isinstance(label, str) for split in splits.values() for label in split.classes):
        return []
    return ["classes are integers, and would become text, which sorts in another order"]


def changed_by_tables(splits: Mapping[str, Annotation]) -> list[str]:
    """What of a data set comes back from any table in another form, each as a reason."""
    annotations = list(splits.values())
    names = annotations[0].classes if annotations else ()
    reasons = numbered_classes(splits)
    if any(_changes(str(name)) for name in names):
        reasons.append("names of classes are empty, or have a space at an end or a carriage return")
    if any(_changes(path) or "\\" in path for split in annotations for path in split.paths):
        reasons.append("paths have a space at an end, a backslash or a carriage return")
    return reasons


def _changes(text: str) -> bool:
    return not text or text != text.strip() or "\0" in text or "\r" in text
