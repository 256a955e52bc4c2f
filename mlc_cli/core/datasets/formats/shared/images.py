"""Finding the image files that annotations name by half."""

import os
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif")


class ImageIndex:
    """Image files below a folder, by name and by name without suffix.

    The folder is walked once, when it is first asked. Hidden folders are left out.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, list[str]] | None = None
        self._stems: dict[str, list[str]] = {}

    def named(self, name: str) -> list[str]:
        """Paths below the root, with forward slashes, of files of this name, sorted."""
        return self._walked().get(name, [])

    def stemmed(self, stem: str) -> list[str]:
        """Paths of files whose name without suffix is this one, sorted."""
        self._walked()
        return self._stems.get(stem, [])

    def _walked(self) -> dict[str, list[str]]:
        if self._names is None:
            self._names = {}
            for path in walk_images(self._root):
                name = path.rpartition("/")[2]
                self._names.setdefault(name, []).append(path)
                self._stems.setdefault(name.rpartition(".")[0], []).append(path)
        return self._names


def walk_images(root: Path) -> list[str]:
    """Image files below a folder as sorted paths relative to it, with forward slashes."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        place = Path(folder).relative_to(root).as_posix()
        prefix = "" if place == "." else f"{place}/"
        found += [
            prefix + name
            for name in sorted(names)
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    return found
