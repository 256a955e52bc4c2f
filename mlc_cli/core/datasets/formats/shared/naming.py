"""From names of images as people write them to paths."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.formats.shared.images import ImageIndex, is_address, is_image
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError


class ImageNames:
    """Completes names: forward slashes, and a suffix where a name has none.

    Args:
        root: Folder of the images; it is searched once, when the first name without suffix comes.
        dropped: Takes names that fit several images.
    """

    def __init__(self, root: Path, dropped: IssueLog) -> None:
        self.root = root
        self._index = ImageIndex(root)
        self._dropped = dropped

    def __call__(self, name: str, near: str = "") -> str | None:
        """Path of an image.

        Args:
            name: As it is written.
            near: Folder to prefer where images of several folders have the name.

        Returns:
            The path; the name itself if no image has it, `None` if several have.
        """
        path = name.replace("\\", "/")
        if is_image(path) or is_address(path):
            return path
        stem = path.rpartition("/")[2]
        found = [item for item in self._index.stemmed(stem) if _fits(item, path)]
        for preferred in (path, f"{near}/{path}"):
            exact = [item for item in found if item.rpartition(".")[0] == preferred]
            found = exact or found
        if len(found) > 1:
            kind = "names without suffix that several images have (--images narrows the search)"
            self._dropped.add(kind, f"{name:.80}: {', '.join(found[:3])}")
            return None
        return found[0] if found else path


def _fits(image: str, path: str) -> bool:
    return f"/{image.rpartition('.')[0]}".endswith(f"/{path}")


def without_suffix(path: str) -> str:
    """A path without the suffix of an image file, if it has one."""
    return path.rpartition(".")[0] if is_image(path) else path


def leads_out(path: str) -> bool:
    """Whether a path is absolute or has `..` in it."""
    return path.startswith("/") or Path(path).is_absolute() or ".." in Path(path).parts


def relative(place: Path, folder: Path) -> str:
    """A place as seen from a folder, with forward slashes; absolute if it is on another drive."""
    place, folder = place.resolve(), folder.resolve()
    try:
        return Path(os.path.relpath(place, folder)).as_posix()
    except ValueError:
        return place.as_posix()


def relative_prefix(place: Path, folder: Path) -> str:
    """What stands before paths below a place, as seen from a folder; empty for the same one."""
    path = relative(place, folder)
    return "" if path == "." else f"{path}/"


def check_below(splits: Mapping[str, Annotation], folder: Path) -> None:
    """Refuse images outside of a folder, whose paths a reader would refuse.

    Raises:
        DataError: They are elsewhere.
    """
    for annotation in splits.values():
        if not annotation.folder.resolve().is_relative_to(folder.resolve()):
            raise DataError(
                f"the images are in {annotation.folder}, outside of the result: paths in a table"
                " would lead out of its folder",
                "Put them there with --link hardlink or --link copy, or choose a DEST that has them"
                " below it.",
            )


def exported_paths(annotation: Annotation, folder: Path) -> Iterator[str]:
    """Image paths as a file in `folder` has to name them, with forward slashes."""
    prefix = relative(annotation.folder, folder)
    if prefix == ".":
        return iter(annotation.paths)
    return (path if path.startswith("/") else f"{prefix}/{path}" for path in annotation.paths)
