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
    then, classes = {rename.get(name, name) for name in older.class_names}, len(annotation.classes)
    later = [c for c, name in enumerate(annotation.class_names) if name not in then]
    known = {os.path.realpath(older.path(image)) for image in range(len(older))}
    files = (os.path.realpath(annotation.path(image)) for image in range(len(annotation)))
    listed_N = np.flatnonzero([file in known for file in files])
    present, others = (
        own.owners() * classes + own.indices for own in (annotation.positives, annotation.others)
    )
    new = np.setdiff1d(np.add.outer(listed_N * classes, later), present)
    codes = np.union1d(others, new).astype(np.int64)
    return replace(annotation, others=LabelSets.of_codes(codes, len(annotation), classes))
