"""An inspection as plain values for JSON."""

from typing import Any

import numpy as np

from mlc_cli.core.datasets.inspection.inspect import Inspection
from mlc_cli.core.datasets.inspection.issues import Finding
from mlc_cli.core.datasets.inspection.scan import Files

MOST_PAIRS = 100


def as_dict(inspection: Inspection) -> dict[str, Any]:
    """All of an inspection as plain values."""
    statistics, collection = inspection.statistics, inspection.collection
    content: dict[str, Any] = {
        "data": str(collection.source),
        "images": statistics.images,
        "classes": len(statistics.classes),
        "imbalance": statistics.imbalance(),
        "findings": [_finding(finding) for finding in inspection.findings],
        "splits": {
            name: {
                "images": counts.images,
                "labels": counts.labels,
                "labels_per_image": counts.labels / counts.images,
                "without_labels": counts.without,
                "unknown_labels": counts.unknown,
                "images_by_labels": counts.histogram,
            }
            for name, counts in statistics.splits.items()
        },
        "per_class": _classes(inspection),
        "together": [
            {
                "first": statistics.classes[pair.first],
                "second": statistics.classes[pair.second],
                "images": pair.images,
                "share_of_first": pair.share,
                "lift": pair.lift,
            }
            for pair in statistics.pairs()[:MOST_PAIRS]
        ],
    }
    if inspection.files is not None:
        content["files"] = file_facts(inspection.files)
        content["unusable"] = [
            {"split": collection.split_name(row), "image": collection.path(row), "reason": reason}
            for row, reason in inspection.files.problems.items()
        ]
    if inspection.duplicates is not None:
        content.update(_duplicates(inspection))
    return content


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "kind": finding.kind,
        "message": finding.message,
        "repair": finding.repair,
        "count": finding.count,
        "examples": list(finding.examples),
    }


def _classes(inspection: Inspection) -> list[dict[str, Any]]:
    statistics = inspection.statistics
    return [
        {
            "class": name,
            "positives": dict(
                zip(statistics.splits, statistics.positives_SC[:, c].tolist(), strict=True)
            ),
            "unknown": dict(
                zip(statistics.splits, statistics.unknown_SC[:, c].tolist(), strict=True)
            ),
        }
        for c, name in enumerate(statistics.classes)
    ]


def file_facts(files: Files) -> dict[str, Any]:
    """Sizes, formats and kinds of the files that can be used."""
    usable_N = files.usable_N
    facts: dict[str, Any] = {
        "readable": int(usable_N.sum()),
        "formats": {
            form: int((usable_N & (files.forms_N == number)).sum())
            for number, form in enumerate(files.forms)
        },
        "grey": int(files.grey_N.sum()),
        "transparent": int(files.transparent_N.sum()),
        "turned_by_exif": int(files.exif_rotated_N.sum()),
        "one_shade": int(files.flat_N.sum()),
    }
    sizes_M2 = files.sizes_N2[usable_N]
    if len(sizes_M2):
        width_M, height_M = sizes_M2[:, 0], sizes_M2[:, 1]
        for name, values in (("width", width_M), ("height", height_M),
                             ("aspect", width_M / height_M)):  # fmt: skip
            facts[name] = {
                "min": values.min().item(),
                "median": float(np.median(values)),
                "max": values.max().item(),
            }
    return facts


def span_words(span: dict[str, float], digits: int = 0) -> str:
    """The least, the largest and the middle one of some numbers, for people."""
    if span["min"] == span["max"]:
        return f"{span['min']:,.{digits}f}"
    return (
        f"{span['min']:,.{digits}f} to {span['max']:,.{digits}f}, median"
        f" {span['median']:,.{digits}f}"
    )


def _duplicates(inspection: Inspection) -> dict[str, Any]:
    collection, duplicates = inspection.collection, inspection.duplicates
    assert duplicates is not None

    def image(row: int) -> dict[str, str]:
        return {"split": collection.split_name(row), "image": collection.path(row)}

    return {
        "copies": [
            {"images": [image(row) for row in group.rows], "contradict": group.contradict}
            for group in duplicates.copies
        ],
        "near_copies": [
            {
                "images": [image(pair.first), image(pair.second)],
                "distance": pair.distance,
                "contradict": pair.contradict,
            }
            for pair in duplicates.alike
        ],
    }
