"""Images that were labelled before a class existed."""

import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mlc_cli.core.datasets.annotations import Annotation, LabelSets


def later_unknown(
    annotation: Annotation, older: Annotation, rename: Mapping[str, str]
) -> Annotation:
    """Count classes that an older file does not have as unknown on the images that it lists.

    It lists an image if that is the same file on the disk; `rename` has names now by those in it.

    Labels that are present stay so, and where unlisted labels are unknown nothing changes.
    """
    if annotation.unlisted == "unknown":
        return annotation
    then = {rename.get(name, name) for name in older.class_names}
    later = [c for c, name in enumerate(annotation.class_names) if name not in then]
    listed = {os.path.realpath(older.path(image)) for image in range(len(older))}
    rows = []
    for image in range(len(annotation)):
        others = annotation.others.of(image)
        if os.path.realpath(annotation.path(image)) in listed:
            new = np.setdiff1d(later, annotation.positives.of(image))
            others = np.union1d(others, new).astype(others.dtype)
        rows.append(others)
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return replace(annotation, others=LabelSets(np.concatenate(rows), starts))
