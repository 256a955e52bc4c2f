"""Every way in which a command can end badly.

MlcError                 the message is for the user; exit code 1
├── UsageError           wrong flags or arguments; exit code 2
├── SettingsError        wrong presets, files or values; exit code 2
├── DataError            an annotation or its images cannot be used
│   └── BadImageError    one image cannot be read
├── CheckpointError      a checkpoint cannot be opened or does not fit
├── WeightsError         pretrained weights cannot be had or do not fit
├── DownloadError        a file cannot be fetched, or is another than it should be
├── RunError             a run folder is missing or cannot be continued
├── TrainingError        the training itself went wrong (a loss that is not finite)
├── ProcessError         another process of the same work has ended before its time
├── GateMissed           a gate such as `--min-map` was not reached; exit code 3
└── Interrupted          the user asked to stop; exit code 130
"""


class MlcError(Exception):
    """A failure with a message for the user.

    Args:
        message: What went wrong, naming the thing.
        hint: How to repair it; shown on a line of its own.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(MlcError):
    """Flags or arguments that do not go together."""

    exit_code = 2


class SettingsError(MlcError):
    """A preset, a settings file or a value in one is wrong."""

    exit_code = 2


class DataError(MlcError):
    """An annotation file or the images that it lists cannot be used."""


class BadImageError(DataError):
    """One image is missing, corrupt, too large or no regular file, or `damaged` but of some use."""

    def __init__(self, path: str, reason: str, *, damaged: bool = False) -> None:
        setting = "on_damaged" if damaged else "on_bad_image"
        super().__init__(
            f"{path}: {reason}",
            "Repair the file, take it out of the list, or go on without such images:"
            f" `--set {setting}=skip`, in a training `--set data.{setting}=skip`.",
        )
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type["BadImageError"], tuple[str, str]]:
        return (BadImageError, (self.path, self.reason))


class CheckpointError(MlcError):
    """A checkpoint cannot be opened, or was made for something else."""


class WeightsError(MlcError):
    """Pretrained weights cannot be had, or do not fit the model."""


class DownloadError(MlcError):
    """A file cannot be fetched, ever if it is `gone`, or is another than it should be."""

    def __init__(self, message: str, hint: str = "", *, gone: bool = False) -> None:
        super().__init__(message, hint)
        self.gone = gone


class RunError(MlcError):
    """A run folder is missing, incomplete or cannot be continued."""


class TrainingError(MlcError):
    """The training cannot go on."""


class ProcessError(MlcError):
    """Another process of the same work has ended before its time."""


class GateMissed(MlcError):  # noqa: N818 - a verdict, not an error
    """The result is there but misses the gate that the user set."""

    exit_code = 3


class Interrupted(MlcError):  # noqa: N818 - a wish, not an error
    """The user asked to stop; the state on disk is complete."""

    exit_code = 130
