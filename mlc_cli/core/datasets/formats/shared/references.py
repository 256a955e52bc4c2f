"""Finding the image files that annotations name by an address or by an uploaded copy."""

from pathlib import Path

from mlc_cli.core.datasets.formats.shared.images import ImageIndex, is_address, reference_parts
from mlc_cli.core.system.issues import IssueLog

__all__ = ["ImageFinder", "is_address"]


class ImageFinder:
    """Finds image files below a folder by what a reference ends in.

    Args:
        root: The folder.
        dropped: Takes references of which more than one file can be meant.
    """

    def __init__(self, root: Path, dropped: IssueLog) -> None:
        self._index = ImageIndex(root)
        self._dropped = dropped

    def find(self, reference: str) -> str | None:
        """Path below the folder, with forward slashes.

        What no file is found for keeps its own path, for the conversion to check or not; `None`
        is for what names nothing, or fits several files.
        """
        found = self._index.find(reference)
        path = "/".join(reference_parts(reference)).lstrip("/")
        if len(found) > 1:
            self._drop("images of which there is more than one file of that name", reference)
            return None
        if not found and (not path or reference.startswith("data:")):
            self._drop("images without a name", reference)
            return None
        return found[0] if found else path

    def _drop(self, reason: str, reference: str) -> None:
        self._dropped.add(reason, f"{reference:.200}")
