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
