"""Reading text with messages for people; writing so that a crash never leaves half a file."""

import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError

from mlc_cli.core.system.addresses import is_remote
from mlc_cli.core.system.interrupts import undisturbed
from mlc_cli.errors import DataError, MlcError, UsageError

try:
    import fcntl
except ImportError:  # Windows: two commands that write one place are not told apart
    fcntl = None  # type: ignore[assignment]


_FULL = 2**20
"""Bytes that a disk has left when it is full: what could not be written is gone already."""


def exists(path: Path) -> bool:
    """Whether there is such a file, here or in a store."""
    if not is_remote(path):
        return path.exists()
    from mlc_cli.core.system import remote  # noqa: PLC0415 - most commands need no store

    return remote.exists(path)


def read_bytes(path: Path) -> bytes:
    """Content of a file, here or in a store.

    Raises:
        DataError: The file is missing or cannot be read, or is a pipe or a device, of which the
            end may never come.
        DownloadError: The store cannot be reached.
    """
    try:
        if is_remote(path):
            from mlc_cli.core.system import remote  # noqa: PLC0415 - most commands need no store

            return remote.read(path)
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a folder the system says it better
            raise DataError(f"{path}: cannot be read: it is not a regular file")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


@contextmanager
def named_faults(
    path: Path | str, problem: str, kind: type[MlcError] = DataError, hint: str = ""
) -> Iterator[None]:
    """Inside, whatever a library raises at a damaged file becomes a message about that file.

    `problem` says what is wrong with it then; the library's own words follow.

    Raises:
        MlcError: Of that kind.
    """
    try:
        yield
    except MlcError:
        raise
    except Exception as error:  # libraries raise what they like, each for damage of its own
        said = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise kind(f"{path}: {problem}: {said[:200] or type(error).__name__}", hint) from error


def read_text(path: Path) -> str:
    """Text of a file in UTF-8, with or without a byte-order mark.

    Raises:
        DataError: The file is missing or cannot be read, or is in another encoding.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is not UTF-8 text (byte {error.start})", "Save it in UTF-8 and try again."
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises:
        DataError: The file cannot be read, or is not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    except (ValueError, RecursionError) as error:  # a number of 5000 digits, nesting without end
        raise DataError(f"{path}: not valid JSON: {error}") from None


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` write to a temporary name beside `path`, sync to disk, rename.

    Raises:
        MlcError: The disk is full, or the folder cannot be written to.
    """
    temporary: Path | None = None
    try:
        with undisturbed():
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            os.close(handle)
            temporary = Path(name)
        write(temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, SafetensorError, RuntimeError) as error:  # the latter two: a full disk
        is_full = temporary and shutil.disk_usage(path.parent).free < _FULL
        cause = os.strerror(errno.ENOSPC) if is_full else error
        cause = getattr(error, "strerror", None) or cause
        raise MlcError(
            f"{path} cannot be written: {cause}",
            "Choose another place, or make room there; what was there is untouched.",
        ) from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)
    if hasattr(os, "O_DIRECTORY"):  # make the rename itself durable
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def check_output(flag: str, file: str | Path | None) -> None:
    """Refuse a place where no file can be written, before the work for it.

    Raises:
        UsageError: It is a folder, or in none.
    """
    if file and Path(file).is_dir():
        raise UsageError(f"{flag} {file}: is a folder, and a file is wanted")
    if file and not (is_remote(file) or Path(file).parent.is_dir()):
        raise UsageError(f"{flag} {file}: there is no such folder")


def write_text(path: Path, text: str) -> None:
    """Write text atomically, in UTF-8."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; values that are not finite must already be `None`."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def lock(handle: int, kind: Literal["flock", "lockf"] = "flock") -> bool:
    """Lock an open file or folder until it is closed or the process ends, unless another one has.

    `flock` takes folders, too; `lockf` is not handed on to children.
    """
    if fcntl:
        try:
            getattr(fcntl, kind)(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # a network disk without locks
            return True
    return True


def lock_output(handle: int, path: Path) -> None:
    """Refuse the open file or folder `path` if another command writes it, as an MlcError."""
    if not lock(handle):
        hint = "Wait for it, or choose another place."
        raise MlcError(f"{path}: another process is writing it", hint)


@contextmanager
def only_writer(*folders: Path) -> Iterator[None]:
    """Inside, no other command that asks for the same writes to these folders.

    Raises:
        MlcError: Another one does.
    """
    with ExitStack() as stack:
        for folder in {os.path.realpath(folder): folder for folder in folders}.values():
            if hasattr(os, "O_DIRECTORY"):
                handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, handle)
                lock_output(handle, folder)
        yield


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """An empty folder for what shall become `path` when it is whole; removed at the end.

    One process at a time has it; what a killed one has left there goes.

    Raises:
        MlcError: Another process is making the same.
        OSError: The folder cannot be made.
    """
    place, stage = (path.with_name(f".{path.name}.{own}") for own in ("part", "new"))
    with ExitStack() as stack:
        with undisturbed():
            place.mkdir(exist_ok=True)
            stack.enter_context(only_writer(place))
            stack.callback(_remove, place)
            stack.callback(_remove, stage)
        _remove(stage)
        stage.mkdir()  # as deep as `path`, from which files name others
        yield stage


def _remove(folder: Path) -> None:
    with undisturbed():
        shutil.rmtree(folder, ignore_errors=True)


def result_folder(output: str | None, default: Path) -> Path:
    """Folder for results, made if need be.

    Raises:
        MlcError: It cannot be made.
    """
    folder = Path(output) if output else default
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MlcError(f"{folder}: cannot be made: {error.strerror}") from None
    return folder
