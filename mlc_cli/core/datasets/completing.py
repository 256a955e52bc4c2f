"""Labels that follow from label rules, added to those of a data set.

Names of arrays: N images, C classes.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlc_cli.core.datasets.annotations import Annotation, LabelSets
from mlc_cli.core.datasets.rules import BoundRules, Rules

BLOCK = 4096
"""Images at a time."""


def completed(annotation: Annotation) -> Annotation:
    """The same images with all that follows from their labels (`BoundRules.completed`)."""
    if not annotation.rules:
        return annotation
    rules, classes = BoundRules(annotation.rules, annotation.classes), len(annotation.classes)
    listed = (1, -1 if annotation.unlisted == "absent" else 0)
    codes: dict[int, list[np.ndarray]] = {state: [] for state in listed}
    for start in range(0, len(annotation), BLOCK):
        images = range(start, min(start + BLOCK, len(annotation)))
        full_NC = rules.completed(annotation.targets_NC(images))
        for state, found in codes.items():
            found.append(np.flatnonzero(full_NC == state) + start * classes)
    positives, others = (
        LabelSets.of_codes(np.concatenate(codes[state]), len(annotation), classes)
        for state in listed
    )
    return replace(annotation, positives=positives, others=others)


def with_rules(
    annotation: Annotation,
    implies: Sequence[Sequence[str]],
    exclusive: Sequence[Sequence[str]],
    separator: str,
) -> Annotation:
    """An annotation with further rules, as `data.rules` gives them.

    Raises:
        DataError: A rule names another class, or no decision could keep all of them.
    """
    place, classes = Path("the settings"), annotation.classes
    rules = Rules(exclusive=[*map(list, exclusive)], separator=separator).among(classes, place)
    for name, *above in implies:
        rules = rules.joined(Rules({name: above}))
    return replace(annotation, rules=annotation.rules.joined(rules).among(classes, place))
