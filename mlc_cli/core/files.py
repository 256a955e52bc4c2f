"""Writing files so that a crash never leaves half of one under its final name."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from mlc_cli.errors import MlcError


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Write to a temporary name beside `path`, sync to disk, rename.

    Args:
        path: Final name.
        write: Writes the content to the path that it is given.

    Raises:
        MlcError: The disk is full, or the folder cannot be written to.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, SafetensorError, RuntimeError) as error:  # the latter two: a full disk
        raise MlcError(
            f"{path} cannot be written: {getattr(error, 'strerror', None) or error}",
            "Free some space or choose another --output; the last complete state is untouched.",
        ) from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write text atomically, in UTF-8."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; values that are not finite must already be `None`."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
