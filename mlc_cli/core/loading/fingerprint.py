"""Telling whether an annotation file is still the one that a model was trained with."""

import hashlib

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.runs.card import Fingerprint
from mlc_cli.core.system import places


def fingerprint(annotation: Annotation) -> Fingerprint:
    """The fingerprint of the file that an annotation was read from."""
    if annotation.pieces:
        digest = annotation.pieces.version
    else:
        digest = hashlib.sha256(places.read(annotation.source)).hexdigest()
    return Fingerprint(digest, len(annotation), len(annotation.positives.indices))


def difference(annotation: Annotation, before: Fingerprint | None) -> str:
    """How a file differs from what it was, in words; empty if it does not, or nothing is known."""
    if before is None or before == (now := fingerprint(annotation)):
        return ""
    return f"{annotation.source}: is not what it was in the training: {before} then, {now} now"
