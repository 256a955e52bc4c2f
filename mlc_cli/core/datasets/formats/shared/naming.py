"""From names and addresses of images as people write them to paths."""

import os
from collections.abc import Sequence
from pathlib import Path

from mlc_cli.core.datasets.formats.shared.images import ImageIndex, is_image
from mlc_cli.core.datasets.formats.shared.references import is_address, reference_parts
from mlc_cli.core.system.issues import IssueLog


class ImageNames:
    """Completes names, and finds images by what an address or an uploaded copy ends in."""

    def __init__(self, root: Path, dropped: IssueLog) -> None:
        self.root = root
        self._index = ImageIndex(root)
        self._dropped = dropped

    def __call__(self, name: str, near: str = "") -> str | None:
        """Path of an image: forward slashes, and a suffix where the name has none.

        Returns:
            The path; the name itself if no image has it, `None` if several have.
        """
        path = name.replace("\\", "/")
        if is_image(path) or is_address(path):
            return path
        alike = ((f"/{own.rpartition('.')[0]}", own) for own in self._index.find(path, near))
        found = [own for stem, own in alike if stem.endswith(f"/{path}")]
        if len(found) > 1:
            kind = "names without suffix that several images have (--images narrows the search)"
            self._dropped.add(kind, f"{name:.80}: {', '.join(found[:3])}")
            return None
        return found[0] if found else path

    def why_missing(self, names: Sequence[str]) -> str:
        """What is behind names that no file has but files begin with, or the other way round."""
        if any(map(self._index.find, names)):
            return ""
        for name in names:
            stem, _, tail = name.rpartition("_")
            if found := stem and self._index.find(stem):
                return f"{tail!r} of {name!r} is no part of the name of {found[0]}"
            if more := self._index.going_on(name):
                return f"{name!r} is but the beginning of {', '.join(more)}"
        return ""

    def find(self, reference: str) -> str | None:
        """Path below the folder, with forward slashes.

        What no file is found for keeps its own path, for the conversion to check or not; `None`
        is for what names nothing, or fits several files.
        """
        found = self._index.find(reference)
        path = "/".join(reference_parts(reference)).lstrip("/")
        if len(found) > 1:
            self._dropped.add(
                "images of which there is more than one file of that name", f"{reference:.200}"
            )
            return None
        if not found and (not path or reference.startswith("data:")):
            self._dropped.add("images without a name", f"{reference:.200}")
            return None
        return found[0] if found else path


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
