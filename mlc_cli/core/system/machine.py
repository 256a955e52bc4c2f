"""What a machine runs out of, and what helps; told from the errors of any library."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from mlc_cli.errors import MlcError

EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Codes of errors that are the machine's fault and not that of the file at hand."""

_SMALLER = (
    "Use a smaller --batch-size (with optim.accumulate a training stays the same),"
    " eval_batch_size or data.input_size, or fewer workers. The last saved state is complete:"
    " `--resume` goes on from it."
)
_NO_MEMORY = (
    "allocate memory", "not enough memory", "insufficient memory", "out of memory", "bad_alloc",
    "could not create a primitive", "could not create a memory", "failed to map segment",
)  # fmt: skip
"""Of torch and numpy, OpenCV, CUDA, C++, oneDNN, the loader of libraries."""


def machine_error(error: Exception) -> MlcError | None:
    """An error of the system or of a device for people; `None` for an error of the program."""
    if isinstance(error, OSError):
        where = " -> ".join(str(n) for n in (error.filename, error.filename2) if n is not None)
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return MlcError(
                f"{where or 'a file'}: {error.strerror}",
                "Raise the limit (`ulimit -n 4096`) or use fewer workers (data.workers=1).",
            )
        return MlcError(f"{where or 'standard output or a file'}: {error.strerror or error}")
    text = " ".join(str(error).split())
    if type(error).__name__ == "OutOfMemoryError":  # of torch, which is not imported for this
        return MlcError(f"the GPU is out of memory: {text[:200]}", _SMALLER)
    if "can't start new thread" in text:
        return MlcError(
            "no further thread can be started",
            "Raise the limit (`ulimit -u`, Docker's --pids-limit) or use fewer workers.",
        )
    memory = isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError)
    if memory or any(words in text.lower() for words in _NO_MEMORY):
        cause = text[:200] or type(error).__name__
        return MlcError(f"there is too little memory: {cause}", _SMALLER)
    return None


@contextmanager
def machine_errors_named() -> Iterator[None]:
    """Inside, an error of a device or of memory becomes one for people, if it is one."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if found := machine_error(error):
            raise found from error
        raise
