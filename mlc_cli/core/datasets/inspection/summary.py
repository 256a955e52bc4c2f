"""An inspection as plain values for JSON."""

from dataclasses import asdict
from typing import Any

import numpy as np

from mlc_cli.core.datasets.inspection.inspect import Inspection
from mlc_cli.core.datasets.inspection.scan import Files

MOST_PAIRS = 100


def as_dict(inspection: Inspection) -> dict[str, Any]:
    """All of an inspection as plain values."""
    statistics, collection = inspection.statistics, inspection.collection
    splits, classes = statistics.splits, statistics.classes
    content: dict[str, Any] = {
        "data": str(collection.source),
        "images": statistics.images,
        "classes": len(classes),
        "imbalance": statistics.imbalance(),
        "findings": [asdict(f) | {"examples": list(f.examples)} for f in inspection.findings],
        "splits": {
            name: {
                "images": counts.images,
                "labels": counts.labels,
                "labels_per_image": counts.labels / counts.images,
                "without_labels": counts.without,
                "unknown_labels": counts.unknown,
                "images_by_labels": counts.histogram,
            }
            for name, counts in splits.items()
        },
        "per_class": [
            {
                "class": name,
                "positives": dict(zip(splits, positives_S, strict=True)),
                "unknown": dict(zip(splits, unknown_S, strict=True)),
            }
            for name, positives_S, unknown_S in zip(
                classes, statistics.positives_SC.T.tolist(), statistics.unknown_SC.T.tolist(),
                strict=True,
            )
        ],
        "together": [
            {
                "first": classes[pair.first],
                "second": classes[pair.second],
                "images": pair.images,
                "share_of_first": pair.share,
                "lift": pair.lift,
            }
            for pair in statistics.pairs()[:MOST_PAIRS]
        ],
    }  # fmt: skip
    return content | _files(inspection)


def _files(inspection: Inspection) -> dict[str, Any]:
    """What is known of the image files, if they were opened."""
    collection, files, duplicates = inspection.collection, inspection.files, inspection.duplicates
    if files is None or duplicates is None:
        return {}

    def image(row: int) -> dict[str, str]:
        return {"split": collection.split_name(row), "image": collection.path(row)}

    return {
        "files": file_facts(files),
        "unusable": [image(row) | {"reason": reason} for row, reason in files.problems.items()],
        "copies": [
            {"images": list(map(image, group.rows)), "contradict": group.contradict}
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


def file_facts(files: Files) -> dict[str, Any]:
    """Sizes, formats and kinds of the files that can be used."""
    facts_M = files.facts_N[files.usable_N]
    forms, numbers = np.unique(facts_M["form"], return_counts=True)
    facts: dict[str, Any] = {
        "readable": len(facts_M),
        "formats": dict(zip([form.decode() for form in forms], numbers.tolist(), strict=True)),
        "grey": int(facts_M["grey"].sum()),
        "transparent": int(facts_M["transparent"].sum()),
        "turned_by_exif": int(facts_M["exif_rotated"].sum()),
        "one_shade": int(facts_M["flat"].sum()),
    }
    width_M, height_M = facts_M["width"], facts_M["height"]
    spans = {"width": width_M, "height": height_M, "aspect": width_M / height_M}
    for name, values_M in spans.items() if len(facts_M) else ():
        low, middle, high = values_M.min(), np.median(values_M), values_M.max()
        facts[name] = {"min": low.item(), "median": float(middle), "max": high.item()}
    return facts


def span_words(span: dict[str, float], digits: int = 0) -> str:
    """The least, the largest and the middle one of some numbers, for people."""
    low, middle, high = (f"{span[key]:,.{digits}f}" for key in ("min", "median", "max"))
    return low if span["min"] == span["max"] else f"{low} to {high}, median {middle}"
