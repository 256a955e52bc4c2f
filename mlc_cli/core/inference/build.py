"""What the commands that run a checkpoint have in common."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.checks import check_classes
from mlc_cli.core.evaluation.metrics import Floats
from mlc_cli.core.evaluation.scores import SavedScores, ScoredSplit
from mlc_cli.core.inference.engines import Engine, OpenedModel, TorchEngine, is_exported, open_model
from mlc_cli.core.inference.scoring import Scores, score
from mlc_cli.core.loading.build import build_eval_batches, read_split
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.folder import open_run
from mlc_cli.core.system.distributed import current
from mlc_cli.core.system.files import write_text
from mlc_cli.errors import DataError, MlcError, RunError, UsageError
from mlc_cli.settings.base import Settings
from mlc_cli.settings.data import DataSettings
from mlc_cli.settings.resolve import as_yaml, validate
from mlc_cli.settings.scoring import ModelChoiceSettings, ScoringSettings, SplitChoiceSettings


def score_checkpoint(settings: ScoringSettings) -> ScoredSplit:
    """Run a checkpoint over a split, shared by the processes that have joined a group.

    Raises:
        MlcError: The checkpoint or the data cannot be used.
    """
    opened = open_model(find_checkpoint(settings), settings.device, settings.precision)
    data = data_settings(settings, opened.card)
    split = read_checked_split(data, settings.split, opened.card.classes)
    batches = build_eval_batches(
        data,
        split,
        batch_size=settings.batch_size,
        device=host_device(opened.engine),
        group=current(),
    )
    with closing(batches):
        return scored_split(opened, batches, score(opened.engine, batches))


def read_checked_split(data: DataSettings, split: str, classes: Sequence[str | int]) -> Annotation:
    """Read a split of which a model knows the classes.

    Args:
        data: Where it is.
        split: `train`, `val`, `test`, or the name of an annotation file.
        classes: Of the model.

    Raises:
        DataError: The file or its images cannot be used, or its classes are others.
    """
    annotation = read_split(data, _file_of(split, data))
    check_classes(annotation, classes, "those of the model")
    return annotation


def host_device(engine: Engine) -> torch.device:
    """The device that images are read for: only torch takes them to a GPU itself."""
    return engine.device if isinstance(engine, TorchEngine) else torch.device("cpu")


def scored_split(opened: OpenedModel, batches: Batches, scores: Scores) -> ScoredSplit:
    """Scores of a model together with what they are of."""
    dataset = batches.dataset
    split = dataset.annotation
    return ScoredSplit(
        checkpoint=opened.path,
        card=opened.card,
        warning=opened.warning,
        source=split.source,
        folder=split.folder,
        max_pixels=dataset.max_pixels,
        scores=named(scores, split),
        unreadable=batches.bad_images,
    )


def named(scores: Scores, split: Annotation) -> SavedScores:
    """Scores with the names of classes and images."""
    return SavedScores(
        scores.probabilities_NC,
        scores.targets_NC,
        split.class_names,
        [split.paths[image] for image in scores.indices_N],
    )


def find_checkpoint(settings: ModelChoiceSettings) -> Path:
    """The checkpoint that is asked for: a file, or the best of a run.

    Raises:
        RunError: There is no such run, or no epoch of it was evaluated yet.
    """
    if settings.checkpoint:
        return Path(settings.checkpoint)
    run = open_run(Path(settings.run))
    if not run.best.exists():
        raise RunError(
            f"{run.path}: has no best.safetensors yet: no epoch of it was evaluated",
            f"Continue it with: mlc train --resume {run.path}",
        )
    return run.best


def pick_thresholds(wanted: str | None, card: ModelCard) -> Floats | None:
    """Thresholds of a file, one number for all classes, or those of the checkpoint.

    Args:
        wanted: A file (`.npy`) or a number in 0..1; `None` takes those of the checkpoint.
        card: Of the checkpoint.

    Returns:
        A threshold for each class; `None` if the checkpoint has none either.

    Raises:
        UsageError: The file or the number cannot be used.
    """
    if not wanted:
        return None if card.thresholds is None else np.array(card.thresholds)
    try:
        number = float(wanted)
    except ValueError:
        return _read_thresholds(Path(wanted), len(card.classes))
    if not 0 <= number <= 1:
        raise UsageError(f"--thresholds {wanted}: expected a probability, 0 to 1, or a file")
    return np.full(len(card.classes), number)


def _read_thresholds(path: Path, classes: int) -> Floats:
    try:
        with path.open("rb") as stream:
            thresholds_C = np.lib.format.read_array(stream, allow_pickle=False).astype(np.float64)
    except (OSError, ValueError) as error:
        raise UsageError(f"--thresholds {path}: cannot be read: {error}") from None
    if thresholds_C.shape != (classes,) or not np.isfinite(thresholds_C).all():
        raise UsageError(
            f"--thresholds {path}: expected {classes} finite numbers, one for each class"
            f" in sorted order, got an array of shape {thresholds_C.shape}"
        )
    return thresholds_C


def data_settings(settings: SplitChoiceSettings, card: ModelCard) -> DataSettings:
    """Where the data of a split is, and how it is read.

    Raises:
        DataError: It is not there.
    """
    changes: dict[str, Any] = {
        "input_size": card.input_size,
        "workers": settings.workers,
        "on_bad_image": settings.on_bad_image,
        "cache": "none",
    }
    if settings.data:
        changes |= {"root": settings.data, "image_root": None}
    data = validate(DataSettings, {**card.data, **changes})
    if settings.data and not Path(data.root).is_dir():
        raise DataError(f"--data {data.root}: there is no such folder")
    if not Path(data.root).is_dir():
        raise DataError(
            f"{data.root}: the data set that the model was trained on is not there",
            "Pass its folder with --data DIR.",
        )
    return data


def _file_of(split: str, data: DataSettings) -> str:
    return {"train": data.train, "val": data.val, "test": data.test}.get(split, split)


def write_settings(path: Path, settings: Settings) -> None:
    """Write settings as resolved, as YAML that `--config` reads back.

    Raises:
        MlcError: The file cannot be written.
    """
    write_text(path, as_yaml(settings))


def suffix_of(split: str) -> str:
    """What is added to file names of results: nothing for the validation split."""
    return "" if split == "val" else f"-{Path(split).stem}"


def default_folder(model: Path) -> Path:
    """Where results go: beside a checkpoint, but a folder for each of several exported files."""
    if is_exported(model):
        return model.with_name(f"{model.stem}-{model.suffix[1:]}")
    return model.parent


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
