"""Finding the image files that annotations name by an address or by an uploaded copy."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlc_cli.core.datasets.formats.shared.images import ImageIndex
from mlc_cli.core.system.issues import IssueLog

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_UPLOAD_MARK = re.compile(r"[0-9a-f]{8}-")


def is_address(reference: str) -> bool:
    """Whether it is an address such as `https://host/a.jpg` or `s3://bucket/a.jpg`."""
    return _ADDRESS.match(reference) is not None


class ImageFinder:
    """Finds image files below a folder by what a reference ends in.

    Args:
        root: The folder.
        dropped: Takes references of which no file, or more than one, can be meant.
    """

    def __init__(self, root: Path, dropped: IssueLog) -> None:
        self._index = ImageIndex(root)
        self._dropped = dropped

    def find(self, reference: str) -> str | None:
        """Path below the folder, with forward slashes.

        Of several files with the name of the reference, that counts which agrees with most of
        the folders before the name. A file may be without the mark of eight hexadecimal digits
        that an upload puts before a name.
        """
        *folders, name = _parts(reference)
        found = self._index.named(name) or self._index.named(_UPLOAD_MARK.sub("", name, count=1))
        if not found:
            self._drop("images of which there is no file of that name", reference)
            return None
        shared = {path: _shared(folders, path.split("/")[:-1]) for path in found}
        best = [path for path in found if shared[path] == max(shared.values())]
        if len(best) > 1:
            self._drop("images of which there is more than one file of that name", reference)
            return None
        return best[0]

    def _drop(self, reason: str, reference: str) -> None:
        self._dropped.add(reason, f"{reference:.200}")


def _parts(reference: str) -> list[str]:
    """Folders and name, without host, query and escapes."""
    if is_address(reference) or reference.startswith("/data/"):
        try:
            address = urlsplit(reference)
        except ValueError:  # brackets that are no IPv6 address
            return reference.split("/")
        local = address.query.partition("d=")[2] if address.path.endswith("local-files/") else ""
        return unquote(local or address.path).split("/")
    return reference.replace("\\", "/").split("/")


def _shared(folders: list[str], others: list[str]) -> int:
    """How many folders agree, counted from the last."""
    count = 0
    for one, other in zip(reversed(folders), reversed(others), strict=False):
        if one != other:
            break
        count += 1
    return count
