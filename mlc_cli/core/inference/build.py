"""What the commands that run a checkpoint have in common."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.checks import check_classes
from mlc_cli.core.datasets.shards.open import index_of
from mlc_cli.core.evaluation.probabilities import logit, sigmoid
from mlc_cli.core.evaluation.scores import FOLDS, OF_FOLDS, SavedScores, ScoredSplit, read_scores
from mlc_cli.core.evaluation.slices import check_slices
from mlc_cli.core.inference.engines import Engine, OpenedModel, is_exported
from mlc_cli.core.inference.open import open_model
from mlc_cli.core.inference.scoring import Scores, score
from mlc_cli.core.inference.torch_engine import TorchEngine
from mlc_cli.core.inference.views import with_views
from mlc_cli.core.loading.build import build_eval_batches, read_split
from mlc_cli.core.loading.fingerprint import difference
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.folder import RunFolder, find_checkpoint
from mlc_cli.core.system.addresses import is_remote, shown
from mlc_cli.core.system.distributed import current
from mlc_cli.core.system.files import read_json
from mlc_cli.core.system.machine import machine_errors_named
from mlc_cli.core.system.remote import exists
from mlc_cli.errors import DataError, UsageError
from mlc_cli.settings.data import DataSettings
from mlc_cli.settings.resolve import validate
from mlc_cli.settings.scoring import ScoringSettings, SlicedSettings, SplitChoiceSettings
from mlc_cli.settings.yaml_io import read_yaml
from mlc_cli.text import some


def score_checkpoint(settings: ScoringSettings, *, rules_of_data: bool = False) -> ScoredSplit:
    """Run a checkpoint over a split, shared by the processes that have joined a group.

    With `rules_of_data`, label rules of the data take the place of the model's.

    Raises:
        MlcError: The checkpoint or the data cannot be used.
    """
    opened = open_model(
        find_checkpoint(settings.run, settings.checkpoint),
        settings.device,
        settings.precision,
        like=settings.like,
        weight_classes=settings.weight_classes,
        matmul=settings.matmul,
    )
    data = data_settings(settings, opened.card, opened.path)
    split = read_checked_split(data, settings.split, opened.card.classes)
    if isinstance(settings, SlicedSettings):
        check_slices(settings.slices, split.source)  # before the work, not after
    if rules_of_data and split.rules and not opened.card.rules.folded:
        opened = replace(opened, card=replace(opened.card, rules=split.rules))
    then = opened.card.annotations.get(_file_of(settings.split, data))
    if changed := difference(split, then):
        if not settings.data:
            repair = f"To take it as it is now, name its folder: --data {split.source.parent}."
            raise DataError(changed, repair)
        opened = replace(opened, warning="; ".join(filter(None, (opened.warning, changed))))
    if data.cross_validate and settings.split == "val":
        return _out_of_fold(opened, split, data, settings)
    engine = with_views(opened.engine, settings.tta, settings.tiles)
    batches = build_eval_batches(
        data,
        split,
        batch_size=settings.batch_size,
        device=host_device(opened.engine),
        group=current(),
        tiles=settings.tiles,
    )
    with closing(batches), machine_errors_named():
        return scored_split(opened, batches, score(engine, batches))


def _out_of_fold(
    opened: OpenedModel, split: Annotation, data: DataSettings, settings: ScoringSettings
) -> ScoredSplit:
    """What the models of the folds said of images that they had not seen, as the model says it."""
    if settings.tta != "none" or settings.tiles > 1:
        raise UsageError(
            "scores out of fold are of whole images: leave out --tta and --tiles",
            "With them, look at other images: --split test.",
        )
    above = [folder / FOLDS for folder in opened.path.absolute().parents[:3]]
    folder = next((one for one in above if (one / OF_FOLDS).is_file()), None)
    if not folder:
        raise DataError(
            f"{opened.path}: was cross-validated, and the scores of its folds are not beside it",
            "Name the file in its run, or look at other images: --split test, --data DIR.",
        )
    scores, folds = read_scores(folder / "scores.npz"), read_json(folder / OF_FOLDS)
    probabilities_NC = scores.probabilities_NC
    if opened.card.calibration:
        scale_C, bias_C = np.array(opened.card.calibration).T
        probabilities_NC = sigmoid(scale_C * logit(probabilities_NC) + bias_C)
    return ScoredSplit(
        checkpoint=opened.path,
        card=opened.card,
        warning=opened.warning,
        source=split.source,
        place=lambda image: split.folder / scores.paths[image],
        max_pixels=data.max_megapixels * 1e6,
        scores=replace(scores, probabilities_NC=probabilities_NC, rules=opened.card.rules),
        unreadable=folds["unreadable"],
        folds=folds,
    )


def read_checked_split(data: DataSettings, split: str, classes: Sequence[str | int]) -> Annotation:
    """Read a split of which a model knows the classes: `train`, or the name of a file.

    Raises:
        DataError: The file or its images cannot be used, or its classes are others.
    """
    file = Path(data.root, _file_of(split, data))
    if not (index_of(file) or exists(file)):
        there = sorted(path.stem for path in file.parent.glob("*.json"))
        raise DataError(
            f"{file}: there is no such annotation file",
            f"--split takes one of {some(there)}." if there else "Name its folder with --data DIR.",
        )
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
        source=Path(shown(split.source)),
        place=lambda image: split.path(int(scores.indices_N[image])),
        max_pixels=dataset.max_pixels,
        scores=SavedScores(
            scores.probabilities_NC,
            scores.targets_NC,
            split.class_names,
            [split.paths[image] for image in scores.indices_N],
            opened.card.rules,
        ),
        unreadable=batches.bad_images,
    )


def data_settings(settings: SplitChoiceSettings, card: ModelCard, model: Path) -> DataSettings:
    """Where the data of a split is, and how it is read.

    The folder that the model was trained on is named as a path from here where it is below.

    Raises:
        DataError: It is not there.
    """
    changes: dict[str, Any] = {
        "input_size": card.input_size,
        **card.geometry.kept,
        "workers": settings.workers,
        "on_bad_image": settings.on_bad_image,
        "on_damaged": settings.on_damaged,
        "cache": "none",
    }
    if settings.data:
        changes |= {"root": settings.data, "image_root": None}
        if card.data.get("cross_validate"):  # its own files are those of the run
            own = DataSettings(root="")
            changes |= {"train": own.train, "val": own.val, "cross_validate": None}
    elif "root" in card.data:
        changes["root"] = _found(card.data["root"], model)
    if not settings.data and not card.data:
        raise DataError("the checkpoint does not say where its data set is", "Pass --data DIR.")
    data = validate(DataSettings, {**card.data, **changes})
    there = Path(data.root).is_dir() or is_remote(data.root)
    if settings.data and not there:
        raise DataError(f"--data {data.root}: there is no such folder")
    if not there:
        raise DataError(
            f"{data.root}: the data set that the model was trained on is not there",
            "Pass its folder with --data DIR.",
        )
    return data


def _found(root: str, model: Path) -> str:
    """The folder that a model was trained on, which may have moved together with its run."""
    for folder in model.absolute().parents[:2]:  # of the run, or of its export
        run = RunFolder(folder)
        if run.settings.is_file():
            return run.find(root, read_yaml(run.settings).get("output"))
    return root


def _file_of(split: str, data: DataSettings) -> str:
    return {"train": data.train, "val": data.val, "test": data.test}.get(split, split)


def suffix_of(split: str) -> str:
    """What is added to file names of results: nothing for the validation split."""
    return "" if split == "val" else f"-{Path(split).stem}"


def default_folder(model: Path) -> Path:
    """Where results go: beside a checkpoint, but a folder for each of several exported files."""
    if is_exported(model):
        return model.with_name(f"{model.stem}-{model.suffix[1:]}")
    return model.parent
