"""Finding image files below a folder, and nowhere else."""

import stat
from pathlib import Path


class ImageFolder:
    """Finds image files below a folder and refuses what leads out of it.

    Args:
        root: The folder.
        allow_outside: Accept absolute paths, `..` and links that lead out.
    """

    def __init__(self, root: Path, *, allow_outside: bool = False) -> None:
        self._root = root
        self._real_root = root.resolve()
        self._allow_outside = allow_outside
        self._real_parents: dict[Path, bool] = {}

    def problem(self, relative: str) -> str | None:
        """Why an image cannot be used, judged without opening it; `None` if it can."""
        path = self._root / relative
        try:
            mode = path.lstat().st_mode
        except (OSError, ValueError):
            return "is missing"
        if not self._allow_outside and not self._stays_inside(path, relative, mode):
            return "leads out of the image folder"
        if stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and path.is_file()):
            return None
        return "is not a regular file"

    def _stays_inside(self, path: Path, relative: str, mode: int) -> bool:
        if Path(relative).is_absolute() or ".." in Path(relative).parts:
            return False
        if stat.S_ISLNK(mode):
            return path.resolve().is_relative_to(self._real_root)
        parent = path.parent
        if parent not in self._real_parents:
            self._real_parents[parent] = parent.resolve().is_relative_to(self._real_root)
        return self._real_parents[parent]
