"""mlc in programs: models that predict, and the commands as functions that print nothing.

Each function takes the settings of its command, or keywords that make them: `epochs=3`,
`data={"root": "datasets/mine"}`.
"""

# ruff: noqa: PLC0414, PLC0415
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mlc_cli.core.inference.model import Model as Model
from mlc_cli.core.inference.results import Prediction as Prediction
from mlc_cli.core.inference.results import Predictions as Predictions
from mlc_cli.core.runs.folder import find_checkpoint
from mlc_cli.errors import MlcError as MlcError
from mlc_cli.errors import UsageError
from mlc_cli.settings.base import Settings
from mlc_cli.settings.calibrate import CalibrateSettings as CalibrateSettings
from mlc_cli.settings.convert import ConvertSettings as ConvertSettings
from mlc_cli.settings.evaluate import EvalSettings as EvalSettings
from mlc_cli.settings.export import ExportSettings as ExportSettings
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.thresholds import ThresholdSettings as ThresholdSettings
from mlc_cli.settings.train import TrainSettings as TrainSettings

if TYPE_CHECKING:
    from mlc_cli.core.datasets.converting.summary import Conversion
    from mlc_cli.core.evaluation.metrics import Floats
    from mlc_cli.core.evaluation.threshold_result import ThresholdResult
    from mlc_cli.core.training.events import Finished
    from mlc_cli.jobs.calibrate import CalibrationResult
    from mlc_cli.jobs.evaluate import EvalResult
    from mlc_cli.jobs.export import ExportResult

_SettingsT = TypeVar("_SettingsT", bound=Settings)


def load(
    model: str | os.PathLike[str] = "runs/latest",
    *,
    device: str = "auto",
    precision: str = "fp32",
    thresholds: "str | float | Sequence[float] | Floats | None" = None,
    like: str | None = None,
    weight_classes: str | None = None,
) -> Model:
    """Open a model; an exported one without torch.

    Args:
        model: A run folder, of which the best epoch is taken, or a file: `.safetensors`, `.onnx`
            or `.xml`.
        device: `auto`, `cpu`, `cuda`, `cuda:N`; for an IR also a device of OpenVINO.
        precision: `auto`, `fp32`, `bf16` or `fp16`.
        thresholds: In place of the model's own: a file (`.npy`), one number, or one for each class.
        like: Preset or YAML file that says what a checkpoint of another system does not.
        weight_classes: Names of its classes, where it does not tell them: a text file, or `coco`.

    Raises:
        MlcError: There is no such model, or it cannot be opened.
    """
    path = Path(model)
    is_file = path.is_file() or path.suffix.lower() in (".safetensors", ".onnx", ".xml")
    found = path if is_file else find_checkpoint(str(path))
    return Model(found, device, precision, thresholds, like=like, weight_classes=weight_classes)


def train(
    settings: TrainSettings | None = None, *, preset: str | None = None, **values: Any
) -> "Finished":
    """Train as `mlc train` does, and evaluate the best epoch.

    Args:
        settings: All of them; or
        preset: where they start from, and
        values: what is laid over it; `data` may be the folder alone.

    Raises:
        Interrupted: After Ctrl-C, with the state saved.
        MlcError: The settings are wrong, or the training cannot start or go on.
    """
    if isinstance(values.get("data"), str | os.PathLike):
        values["data"] = {"root": values["data"]}
    made = _settings(TrainSettings, "train", settings, values, preset)
    from mlc_cli.core.training.events import Finished
    from mlc_cli.jobs.train import train as job

    *_, last = job(made)
    assert isinstance(last, Finished)
    return last


def evaluate(settings: EvalSettings | None = None, **values: Any) -> "EvalResult":
    """Evaluate as `mlc eval` does.

    Raises:
        MlcError: The settings, the model or the data cannot be used.
    """
    made = _settings(EvalSettings, "eval", settings, values)
    from mlc_cli.jobs.evaluate import evaluate_checkpoint

    return evaluate_checkpoint(made)


def thresholds(settings: ThresholdSettings | None = None, **values: Any) -> "ThresholdResult":
    """Choose thresholds as `mlc thresholds` does, and store them in the checkpoint.

    Raises:
        MlcError: The settings, the model or the data cannot be used.
    """
    made = _settings(ThresholdSettings, "thresholds", settings, values)
    from mlc_cli.jobs.thresholds import estimate_thresholds

    return estimate_thresholds(made)


def calibrate(settings: CalibrateSettings | None = None, **values: Any) -> "CalibrationResult":
    """Calibrate probabilities as `mlc calibrate` does, and store scale and bias.

    Raises:
        MlcError: The settings, the checkpoint or the data cannot be used.
    """
    made = _settings(CalibrateSettings, "calibrate", settings, values)
    from mlc_cli.jobs.calibrate import calibrate as job

    return job(made)


def export(settings: ExportSettings | None = None, **values: Any) -> "ExportResult":
    """Export as `mlc export` does.

    Raises:
        MlcError: The settings or the checkpoint cannot be used.
    """
    made = _settings(ExportSettings, "export", settings, values)
    from mlc_cli.jobs.export import export as job

    return job(made)


def convert(settings: ConvertSettings | None = None, **values: Any) -> "Conversion":
    """Convert a data set as `mlc dataset-convert` does.

    Raises:
        MlcError: The settings are wrong, the source cannot be read, or the result not written.
    """
    made = _settings(ConvertSettings, "dataset-convert", settings, values)
    from mlc_cli.jobs.convert import convert as job

    return job(made)


def _settings(
    kind: type[_SettingsT],
    command: str,
    settings: _SettingsT | None,
    values: Mapping[str, Any],
    preset: str | None = None,
) -> _SettingsT:
    if settings is None:
        return validate(kind, gather(kind, command, preset=preset, flags=_plain(values)))
    if not isinstance(settings, kind):
        raise UsageError(
            f"{command}: expected {kind.__name__} or keywords, got {settings!r:.80}",
            "A run is named by run=, and a preset of mlc.train by preset=.",
        )
    if preset or values:
        raise UsageError(f"{command}: give settings or keywords, not both")
    return settings


def _plain(value: Any) -> Any:
    """Settings hold paths as text."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return os.fspath(value) if isinstance(value, os.PathLike) else value
