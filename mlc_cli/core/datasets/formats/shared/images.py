"""Finding the image files that annotations name."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from mlc_cli.core.images.suffixes import IMAGE_SUFFIXES

SUFFIXES = IMAGE_SUFFIXES
_SUFFIXES = frozenset(SUFFIXES)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_UPLOAD_MARK = re.compile(r"[0-9a-f]{8}-")


class ImageIndex:
    """Image files below a folder, found by the tail of a path.

    The folder is walked once, when it is first asked. Hidden folders are left out.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[str, str] | None = None
        self._again: dict[str, list[str]] = {}
        self._loose: dict[str, list[str]] | None = None

    def named(self, name: str) -> list[str]:
        """Paths below the root, with forward slashes, of files of this name, sorted."""
        folder = self._walked().get(name)
        if folder is None:
            return []
        return [folder + name, *(other + name for other in self._again.get(name, ()))]

    def stemmed(self, stem: str) -> list[str]:
        """Paths of files whose name without suffix is this one, sorted."""
        found = self._keyed().get(_loose(f"{stem}."), [])
        return [path for path in found if path.rpartition("/")[2].rpartition(".")[0] == stem]

    def find(self, reference: str, near: str = "") -> list[str]:
        """Files that a reference can mean; more than one if that is not clear.

        Of several with the name of the reference, that counts which agrees with most of the
        folders before the name, then that below `near`. A name that no file has may differ in
        percent-encoding, Unicode form, case, leading zeros, a missing suffix, and the mark of
        eight hexadecimal digits that an upload puts before it.

        Args:
            reference: A path with either slash, or an address.
            near: Name of a folder to prefer.
        """
        *folders, name = reference_parts(reference)
        bare = _UPLOAD_MARK.sub("", name, count=1)
        found = self.named(name) or self._alike(name) or self.named(bare) or self._alike(bare)
        if len(found) > 1:
            found = _best(found, lambda path: _shared(folders, path.split("/")[:-1]))
        if len(found) > 1 and near:
            found = _best(found, lambda path: near in path.split("/")[:-1])
        return found

    def _alike(self, name: str) -> list[str]:
        if not name:
            return []
        suffixed = is_image(name)
        found = self._keyed().get(_loose(name if suffixed else f"{name}."), [])
        if suffixed:
            suffix = name.rpartition(".")[2].lower()
            found = [path for path in found if path.rpartition(".")[2].lower() == suffix]
        stem = name.rpartition(".")[0] if suffixed else name
        same = [path for path in found if path.rpartition("/")[2].rpartition(".")[0] == stem]
        return same or found

    def _walked(self) -> dict[str, str]:
        """The first folder of each name; further ones are few."""
        if self._folders is None:
            self._folders = {}
            for prefix, names in _folders(self._root):
                new = dict.fromkeys(names, prefix)
                for name in self._folders.keys() & new.keys():
                    self._again.setdefault(name, []).append(new.pop(name))
                self._folders.update(new)
        return self._folders

    def _keyed(self) -> dict[str, list[str]]:
        if self._loose is None:
            self._loose = {}
            for name in self._walked():
                self._loose.setdefault(_loose(name), []).extend(self.named(name))
        return self._loose


def is_image(name: str) -> bool:
    """Whether a name ends like that of an image file."""
    return name.lower().endswith(SUFFIXES)


def is_address(reference: str) -> bool:
    """Whether it is an address such as `https://host/a.jpg` or `s3://bucket/a.jpg`."""
    return _ADDRESS.match(reference) is not None


def reference_parts(reference: str) -> list[str]:
    """Folders and name of a path or an address, without host, query and escapes."""
    if is_address(reference) or reference.startswith("/data/"):
        try:
            address = urlsplit(reference)
        except ValueError:  # brackets that are no IPv6 address
            return reference.split("/")
        local = address.query.partition("d=")[2] if address.path.endswith("local-files/") else ""
        return unquote(local or address.path).split("/")
    return reference.replace("\\", "/").split("/")


def same_name(name: str) -> str:
    """A name for comparing: percent-decoded, in composed Unicode form."""
    decoded = unquote(name) if "%" in name else name
    return decoded if decoded.isascii() else normalize("NFC", decoded)


def _loose(name: str) -> str:
    """What names that may mean one file have in common."""
    stem = same_name(name.rpartition(".")[0]).casefold()
    return stem.lstrip("0") if stem.isdigit() else stem


def _best(paths: Sequence[str], merit: Callable[[str], int]) -> list[str]:
    merits = [merit(path) for path in paths]
    return [path for path, own in zip(paths, merits, strict=True) if own == max(merits)]


def _shared(folders: list[str], others: list[str]) -> int:
    """How many folders agree, counted from the last."""
    count = 0
    for one, other in zip(reversed(folders), reversed(others), strict=False):
        if one != other:
            break
        count += 1
    return count


def walk_images(root: Path) -> list[str]:
    """Image files below a folder as sorted paths relative to it, with forward slashes."""
    return [prefix + name for prefix, names in _folders(root) for name in names]


def _folders(root: Path) -> list[tuple[str, list[str]]]:
    """Folders below a root, as what stands before a name, and the images of each, sorted."""
    found = []
    base = str(root)
    start = len(base) + (not base.endswith(os.sep))
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        place = folder[start:].replace(os.sep, "/")
        images = [n for n in names if n[n.rfind(".") :].lower() in _SUFFIXES and n[0] != "."]
        found.append((f"{place}/" if place else "", sorted(images)))
    return found
