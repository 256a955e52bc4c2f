"""Finding image files below a folder, and nowhere else."""

import os
import stat
from functools import cache
from pathlib import Path

from mlc_cli.core.system.addresses import is_remote

AT_ADDRESS = "is at an address"


class ImageFolder:
    """Finds image files below a folder and refuses what leads out of it, unless it is allowed.

    Folders are listed once: a million images cost little more than walking over them.
    """

    def __init__(
        self, root: Path, *, allow_outside: bool = False, allow_remote: bool = False
    ) -> None:
        self._allow_remote = allow_remote
        self._root = root
        self._remote = is_remote(root)
        self._real_root = root if self._remote else root.resolve()
        self._allow_outside = allow_outside
        self._regular = cache(self._list)

    def problem(self, relative: str) -> str | None:
        """Why an image cannot be used, judged without opening it; `None` if it can.

        Whether there is one in a store is found when it is read.
        """
        if self._remote or is_remote(relative):
            return self._far(relative)
        cut = relative.rfind("/") + 1
        if relative[cut:] in self._regular(relative[:cut]):
            return None
        try:
            mode = os.lstat(os.path.join(self._root, relative)).st_mode  # noqa: PTH118 - fast
        except (OSError, ValueError):
            return "is missing"
        path = self._root / relative
        if not self._allow_outside and not self._stays_inside(path, relative, mode):
            return "leads out of the image folder"
        if stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and path.is_file()):
            return None
        return "is not a regular file"

    def _far(self, relative: str) -> str | None:
        if is_remote(relative):
            return None if self._allow_remote else AT_ADDRESS
        outside = relative.startswith("/") or ".." in relative.split("/")
        return "leads out of the image folder" if outside else None

    def _stays_inside(self, path: Path, relative: str, mode: int) -> bool:
        if Path(relative).is_absolute() or ".." in Path(relative).parts:
            return False
        real = path.resolve() if stat.S_ISLNK(mode) else path.parent.resolve()
        return real.is_relative_to(self._real_root)

    def _list(self, folder: str) -> frozenset[str]:
        """Names of the regular files in a folder; none of one that leads out."""
        place = self._root / folder
        try:
            if not self._allow_outside and not self._stays_inside(place / "any", folder, 0):
                return frozenset()
            with os.scandir(place) as entries:
                return frozenset(own.name for own in entries if own.is_file(follow_symlinks=False))
        except (OSError, ValueError):  # no folder, or a name that none can have
            return frozenset()
