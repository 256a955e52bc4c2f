"""mlc: train, evaluate, calibrate, export and run multilabel image classifiers."""

# ruff: noqa: F403, F405 - a type checker takes what `api` has, a program what is listed here
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlc_cli.api import *

__version__ = "0.1.0"
__all__ = [
    "CalibrateSettings",
    "ConvertSettings",
    "EvalSettings",
    "ExportSettings",
    "MlcError",
    "Model",
    "Prediction",
    "Predictions",
    "ThresholdSettings",
    "TrainSettings",
    "calibrate",
    "convert",
    "evaluate",
    "export",
    "load",
    "thresholds",
    "train",
]


def __getattr__(name: str) -> Any:
    """What is public, imported when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'mlc_cli' has no attribute {name!r}")
    return getattr(import_module("mlc_cli.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
