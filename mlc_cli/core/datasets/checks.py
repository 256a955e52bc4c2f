"""What must be right before the first training step."""

import os
from collections.abc import Mapping, Sequence

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.images.folder import AT_ADDRESS, ImageFolder
from mlc_cli.errors import DataError
from mlc_cli.text import SHOWN, listing, only_one_side


def check_images(
    annotation: Annotation, *, allow_outside: bool, allow_remote: bool = False
) -> None:
    """Check that every image is a regular file inside its folder, or may be at its address.

    Of images in shards, the shards have to be there.

    Raises:
        DataError: With the number of faulty images and the first ten of each kind.
    """
    folder = ImageFolder(annotation.folder, allow_outside=allow_outside, allow_remote=allow_remote)
    found: dict[str, list[str]] = {}
    pieces = annotation.pieces
    files = map(str, pieces.names(annotation.folder)) if pieces else annotation.paths
    for path in files:
        problem = folder.problem(path)
        if problem:
            found.setdefault(problem, []).append(path)
    if found:
        lines = [
            f"{len(paths)} of {len(annotation)} images: file {problem}:\n"
            + listing(paths[:SHOWN], len(paths))
            for problem, paths in found.items()
        ]
        raise DataError(f"{annotation.source}: " + "\n".join(lines), _hint(annotation, found))


def _hint(annotation: Annotation, found: Mapping[str, Sequence[str]]) -> str:
    hints = []
    if "is missing" in found:
        hints.append(
            f"Paths are relative to {annotation.folder}; another folder is set with"
            " `--set data.image_root=DIR`."
        )
    if AT_ADDRESS in found:
        hints.append(
            "Addresses, of public networks alone, are read with `--set data.allow_remote=true`."
        )
    if "leads out of the image folder" in found:
        hints.append("Files elsewhere are accepted with `--set data.allow_outside_root=true`.")
    return " ".join(hints)


def check_same_classes(first: Annotation, second: Annotation) -> None:
    """Check that two splits name the same classes.

    Raises:
        DataError: With the names that only one of them has.
    """
    check_classes(second, first.classes, f"those of {first.source}")


def check_labelled(split: Annotation) -> None:
    """Check that some label is present: otherwise nothing can be learnt, and no epoch is best.

    Raises:
        DataError: None is.
    """
    if not len(split.positives.indices):
        raise DataError(
            f"{split.source}: no image has a label, so that nothing can be learnt or measured",
            "Label some of them, or share all images out in folds: mlc train --cross-validate 5.",
        )


def check_classes(annotation: Annotation, classes: Sequence[str | int], owner: str) -> None:
    """Check that a split has exactly the given classes, which the message calls `owner`.

    Raises:
        DataError: With the names that only one side has.
    """
    here, there = set(annotation.classes), set(classes)
    if here == there:
        return
    raise DataError(
        f"{annotation.source}: its classes are not {owner}:\n{only_one_side(here, there)}",
        "List the same classes in all files, those without images too: the list fixes the order.",
    )


def shared_images(first: Annotation, second: Annotation) -> list[str]:
    """Images of the second split that are also in the first, as paths."""
    known = {os.path.normpath(first.folder / path) for path in first.paths}
    return [path for path in second.paths if os.path.normpath(second.folder / path) in known]


def check_leak(first: Annotation, second: Annotation, *, refuse: bool = True) -> tuple[str, ...]:
    """Check that two splits share no image; what they share is a warning, or refused.

    Raises:
        DataError: With the number of shared images and the first ten.
    """
    shared = shared_images(first, second)
    if not shared:
        return ()
    message = (
        f"{len(shared)} of {len(second)} images of {second.source} are also in {first.source}:\n"
        + listing(shared, len(shared))
    )
    if refuse:
        raise DataError(
            message,
            "Metrics on images that were trained on mean little. Split the data anew, or accept"
            " it with `--set data.on_leak=warn`.",
        )
    return (message,)
