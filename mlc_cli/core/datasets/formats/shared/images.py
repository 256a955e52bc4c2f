"""Finding the image files that annotations name."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from mlc_cli.core.images.suffixes import IMAGE_SUFFIXES

_SUFFIXES = frozenset(IMAGE_SUFFIXES)
_SHORT = frozenset((".jpg", ".png"))
"""The usual ones, which are looked for first."""
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
        name = reference[reference.rfind("/") + 1 :]
        if (prefix := self._walked().get(name)) is not None and name not in self._again:
            return [prefix + name]  # without taking the reference apart, as most are found so
        *folders, name = reference_parts(reference)
        found = self.named(name) or self._alike(name)
        if not found and (bare := _UPLOAD_MARK.sub("", name, count=1)) != name:
            found = self.named(bare) or self._alike(bare)
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
                if not self._folders.keys().isdisjoint(names):
                    again = self._folders.keys() & set(names)
                    for name in again:
                        self._again.setdefault(name, []).append(prefix)
                    self._folders.update((name, prefix) for name in names if name not in again)
                else:
                    self._folders.update(dict.fromkeys(names, prefix))
        return self._folders

    def _keyed(self) -> dict[str, list[str]]:
        if self._loose is None:
            self._loose = {}
            for name, prefix in self._walked().items():
                again = [other + name for other in self._again.get(name, ())]
                self._loose.setdefault(_loose(name), []).extend((prefix + name, *again))
        return self._loose


def is_image(name: str) -> bool:
    """Whether a name ends like that of an image file."""
    return name.lower().endswith(IMAGE_SUFFIXES)


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
    stem = name.rpartition(".")[0]
    stem = stem.lower() if stem.isascii() and "%" not in stem else same_name(stem).casefold()
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
    return [prefix + name for prefix, names in _folders(root) for name in sorted(names)]


def _folders(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders below a root, as what stands before a name, and the images of each.

    What is hidden, and what links lead to, is left out. As `os.walk`, but it makes no lists of what
    is no image.
    """
    waiting = [("", str(root))]
    while waiting:
        prefix, place = waiting.pop()
        below, images = [], []
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    name = entry.name
                    if entry.is_dir():
                        if not name.startswith(".") and not entry.is_symlink():
                            below.append((f"{prefix}{name}/", entry.path))
                    elif name[-4:] in _SHORT or name[name.rfind(".") :].lower() in _SUFFIXES:
                        images.append(name)
        except OSError:  # no folder, or one without permission
            continue
        yield prefix, [name for name in images if name[0] != "."]
        waiting += sorted(below, reverse=True)
