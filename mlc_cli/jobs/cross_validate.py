"""`mlc train --cross-validate`: a training for each fold, and one on all images."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.datasets.converting.folds import ALL, write_folds
from mlc_cli.core.datasets.formats.shared.naming import relative
from mlc_cli.core.datasets.shards.open import index_of
from mlc_cli.core.evaluation.metrics import mean_ap_of
from mlc_cli.core.evaluation.scores import FOLDS, OF_FOLDS, read_scores, write_scores
from mlc_cli.core.loading.build import make_if_missing
from mlc_cli.core.loading.fingerprint import fingerprint
from mlc_cli.core.runs.checkpoint import read_card
from mlc_cli.core.runs.folder import RunFolder
from mlc_cli.core.system.addresses import is_remote
from mlc_cli.core.system.distributed import current
from mlc_cli.core.system.files import read_json, write_json, write_text
from mlc_cli.core.training.events import Event, Finished, Note
from mlc_cli.core.training.state import Best
from mlc_cli.errors import DataError, RunError
from mlc_cli.settings.data import DataSettings
from mlc_cli.settings.resolve import as_yaml
from mlc_cli.settings.train import TrainSettings


def cross_validate(
    settings: TrainSettings,
    run: RunFolder,
    train: Callable[..., Iterator[Event]],
    *,
    accept_changed_data: bool,
) -> Iterator[Event]:
    """Train on all folds but one, for each in turn, and then on all images.

    The last training ends after the median of their best epochs, with the weights, raw or averaged,
    that most of them were best with. A fold that is done is not trained again. `train` takes the
    settings of a training, its folder, and for the last one the best that is known beforehand.

    Raises:
        MlcError: As of a training.
    """
    group, started, number = current(), time.perf_counter(), settings.data.cross_validate or 0
    with ExitStack() as locks:
        if group.is_main:
            locks.enter_context(run.lock())
        notes = group.broadcast(
            lambda: _share_out(settings, run.path / FOLDS, accept=accept_changed_data)
        )
        yield from map(Note, notes)
        for fold in range(number):
            folder = RunFolder(run.path / FOLDS / str(fold))
            own = _of(settings, run, f"{fold}/train", f"{fold}/val")
            if not group.broadcast(lambda f=folder, s=own: _begin(f, s)):  # type: ignore[misc]
                yield from (e for e in train(own, folder.path) if not isinstance(e, Finished))
                group.barrier()
            card = read_card(folder.best)
            text = f"fold {fold + 1} of {number}: mAP {card.metrics['val_mAP']:.4f}"
            yield Note(f"{text} after epoch {card.epoch}")
        best, text = group.broadcast(lambda: _put_together(run.path / FOLDS, number))
        yield Note(f"out of fold  {text}")
        all_images = _of(settings, run, ALL, ALL, cross_validate=number)
        for event in train(all_images, run.path, best):
            if isinstance(event, Finished):
                seconds = time.perf_counter() - started
                event = replace(event, seconds=seconds, measured_on="out-of-fold")  # noqa: PLW2901
            yield event


def _share_out(settings: TrainSettings, folder: Path, *, accept: bool) -> list[str]:
    """Write the files of the folds, if they are not there; what the user should know."""
    data = settings.data
    make_if_missing(data)
    root, image_root = Path(data.root), Path(data.image_root) if data.image_root else None
    if is_remote(root) or index_of(root / data.train):
        raise DataError(
            f"cross_validate: {root / data.train} is no annotation file on this machine",
            "Folds are drawn from one: `mlc dataset-convert` makes it of shards.",
        )
    there = (root / data.val).exists() or data.val != DataSettings.model_fields["val"].default
    names = [data.train, data.val] if there else [data.train]
    splits = [read_annotation(root / name, image_root) for name in names]
    now = {split.source.name: asdict(fingerprint(split)) for split in splits}
    record = folder / OF_FOLDS
    if record.exists():
        then = read_json(record)["annotations"]
        changed = [name for name in {**then, **now} if then.get(name) != now.get(name)]
        if changed and not accept:
            raise RunError(
                f"{folder.parent}: {', '.join(changed)} changed since the folds were made",
                "Put it back, or go on with the folds as they are: --accept-changed-data.",
            )
        return [f"folds  those of {folder}" + ", made of other data" * bool(changed)]
    notes = write_folds(folder, splits, data.cross_validate or 0, settings.seed, data.group_by)
    write_json(record, {"annotations": now})
    if not there:
        return [*notes, f"val    there is no {data.val}, and none is needed"]
    learnt = (
        f"val    {data.val} is learnt from, too: its {len(splits[-1])} images are in the folds,"
    )
    return [*notes, f"{learnt} and scores out of fold take its place"]


def _of(
    settings: TrainSettings, run: RunFolder, train: str, val: str, cross_validate: int | None = None
) -> TrainSettings:
    """The settings with the files of a fold, or of all images, in place of the splits."""
    files = {
        split: relative(run.path / FOLDS / f"{name}.json", Path(settings.data.root))
        for split, name in (("train", train), ("val", val))
    }
    data = settings.data.model_copy(update={**files, "cross_validate": cross_validate})
    output = str(run.path / FOLDS) if cross_validate is None else settings.output
    return settings.model_copy(update={"data": data, "output": output})


def _begin(folder: RunFolder, settings: TrainSettings) -> bool:
    """Make the run folder of a fold, if need be; whether it is done."""
    if folder.settings.exists():
        return folder.is_done(settings.epochs)
    write_text(folder.settings, as_yaml(settings.absolute()))
    return False


def _put_together(folder: Path, folds: int) -> tuple[Best, str]:
    """Write the scores of all folds as those of one split, and what the folds came to."""
    runs = [RunFolder(folder / str(fold)) for fold in range(folds)]
    cards = [read_card(run.best) for run in runs]
    parts = [read_scores(run.path / "scores.npz") for run in runs]
    order = {path: n for n, path in enumerate(read_annotation(folder / f"{ALL}.json").paths)}
    paths = [path for part in parts for path in part.paths]
    rows = np.argsort([order[path] for path in paths])
    scores = replace(
        parts[0],
        probabilities_NC=np.concatenate([part.probabilities_NC for part in parts])[rows],
        targets_NC=np.concatenate([part.targets_NC for part in parts])[rows],
        paths=[paths[row] for row in rows],
    )
    write_scores(folder / "scores.npz", scores)
    mean_ap = mean_ap_of(scores.probabilities_NC, scores.targets_NC)
    epochs = [card.epoch for card in cards]
    maps = [card.metrics["val_mAP"] or 0.0 for card in cards]
    mean, deviation = statistics.mean(maps), statistics.stdev(maps)
    median = statistics.median_low(epochs)
    text = f"mAP {mean_ap:.4f} over {len(paths)} images; {folds} folds {mean:.4f} ± {deviation:.4f}"
    text += f" ({', '.join(f'{value:.4f}' for value in maps)})"
    unreadable: dict[str, Any] = {}
    for run in runs:
        unreadable |= read_json(run.path / "eval.json")["unreadable_images"]
    found = {"mean": mean, "standard_deviation": deviation, "mAP": maps, "best_epochs": epochs,
             "epochs": median, "summary": text, "unreadable": unreadable}  # fmt: skip
    write_json(folder / OF_FOLDS, {**read_json(folder / OF_FOLDS), **found})
    averaged = 2 * sum(card.averaged for card in cards) > folds and median > 0
    return Best(mean_ap, median, averaged), text
