"""What a conversion came to, for people and for `convert.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_cli import __version__
from mlc_cli.core.datasets.counts import SplitCounts
from mlc_cli.core.html.notebook import table
from mlc_cli.core.system.issues import IssueLog

_IMAGES = ("images", "rows", "tasks", "frames", "names")
"""How the kinds begin of what is dropped as images; the others are dropped as labels."""


@dataclass(frozen=True)
class Conversion:
    """A conversion.

    Attributes:
        seen: What was seen at the source, where the format was detected.
        remarks: What the reader has to say of how it read.
        classes_from: `user`, `source`, or `labels` where they are all labels that came.
        renamed: Splits whose name is another in the source.
        alone: The only split of the source, where that was divided; empty otherwise.
        shares: Parts that the images were divided in; empty where splits were kept.
        missing: Classes of which a split has no image.
        files: Files that were written, below `dest`; empty if nothing was.
        beside: Splits that were in `dest` before and still are.
    """

    format: str
    title: str
    seen: str | None
    remarks: tuple[str, ...]
    source: Path
    image_root: Path
    to: str
    dest: Path
    classes: tuple[str, ...]
    classes_from: str
    splits: Mapping[str, SplitCounts]
    renamed: Mapping[str, str]
    alone: str
    shares: tuple[float, ...]
    missing: Mapping[str, list[str]]
    dropped: IssueLog
    noted: IssueLog
    files: tuple[str, ...]
    beside: tuple[str, ...]

    def large_losses(self) -> str:
        """One line on what lost more than a tenth; empty if nothing did."""
        splits, parts = self.splits.values(), []
        for kind, count in self.dropped.counts.items():
            of_images = kind.startswith(_IMAGES)
            whole = count + sum(split.images if of_images else split.labels for split in splits)
            if count > 0.1 * whole:
                parts.append(f"{count} {kind} ({count / whole:.0%})")
        return f"warning: much was dropped: {'; '.join(parts)}" if parts else ""

    def _repr_html_(self) -> str:
        """In a notebook: the splits and what was dropped."""
        rows = [
            (name, split.images, split.labels, split.without) for name, split in self.splits.items()
        ]
        dropped = [(kind, count, "", "") for kind, count in self.dropped.counts.items()]
        header = ("split", "images", "labels", "without labels")
        return table(f"{self.dest}, from {self.title}", header, [*rows, *dropped])


def as_dict(conversion: Conversion) -> dict[str, Any]:
    """A conversion as plain values for JSON."""
    return {
        "version": __version__,
        "format": conversion.format,
        "source": str(conversion.source),
        "seen": conversion.seen,
        "remarks": list(conversion.remarks),
        "image_root": str(conversion.image_root),
        "to": conversion.to,
        "dest": str(conversion.dest),
        "files": list(conversion.files),
        "classes": list(conversion.classes),
        "classes_from": conversion.classes_from,
        "renamed_splits": dict(conversion.renamed),
        "shares": list(conversion.shares),
        "splits": {
            name: _split(split, conversion.classes) for name, split in conversion.splits.items()
        },
        "classes_without_images": dict(conversion.missing),
        "dropped": _findings(conversion.dropped),
        "noted": _findings(conversion.noted),
    }


def _split(split: SplitCounts, classes: tuple[str, ...]) -> dict[str, Any]:
    unknown = zip(classes, split.unknown_C.tolist(), strict=True)
    return {
        "images": split.images,
        "labels": split.labels,
        "labels_per_image": round(split.labels / split.images, 4),
        "without_labels": split.without,
        "unknown": split.unknown,
        "positives": dict(zip(classes, split.positives_C.tolist(), strict=True)),
        "unknown_per_class": {name: count for name, count in unknown if count},
    }


def _findings(log: IssueLog) -> dict[str, Any]:
    return {
        kind: {"count": count, "examples": log.examples[kind]} for kind, count in log.counts.items()
    }
