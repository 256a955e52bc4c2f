"""What is computed of a candidate: its model, the features of a split, heads on them."""

import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray

from mlc_cli.core.choosing.features import KIND, Features
from mlc_cli.core.choosing.probe import Recipe, probe
from mlc_cli.core.choosing.race import Candidate
from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.evaluation.bootstrap import draw_weights, resampled_ap
from mlc_cli.core.evaluation.metrics import mean_ap_of, mean_average_precision
from mlc_cli.core.loading.build import build_eval_batches, geometry_of
from mlc_cli.core.loading.image_cache import cache_name
from mlc_cli.core.loading.normalise import Normalise
from mlc_cli.core.models.build import BuiltModel, build_model
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.system.device import in_slices
from mlc_cli.core.system.downloads.cache import Cache
from mlc_cli.core.system.files import result_folder
from mlc_cli.settings.data import DataSettings
from mlc_cli.settings.model import LinearHeadSettings, ModelSettings

DRAWS = 200


@dataclass(frozen=True)
class Trial:
    """The model of a candidate, with a new head, and what a file of it would know."""

    candidate: Candidate
    built: BuiltModel
    card: ModelCard
    data: DataSettings


def build_trial(candidate: Candidate, data: DataSettings, split: Annotation, pool: Any) -> Trial:
    """Build the model of a candidate.

    Raises:
        MlcError: It cannot be made at this size, or its weights cannot be had.
    """
    classes: Any = list(split.classes)
    size = (candidate.size, candidate.size)
    model = ModelSettings(
        backbone=candidate.backbone,
        weights=candidate.weights,
        pretrained=not candidate.weights,
        head=LinearHeadSettings(pool=pool),
    )
    built = build_model(model, classes, size)
    built.classifier.eval()
    data = data.model_copy(update={"input_size": size})
    geometry = geometry_of(data)
    card = ModelCard(
        classes=classes,
        model=model.model_dump(mode="json"),
        input_size=size,
        mean=built.mean,
        std=built.std,
        scale=1.0,
        **geometry.kept,
    )
    return Trial(candidate, built, card, data)


def key_of(*parts: object) -> str:
    """A name for what is computed from some things."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def features(
    trial: Trial,
    split: Annotation,
    images: int,
    *,
    store: Cache,
    device: torch.device,
    batch_size: int,
    on_batch: Callable[[], Any],
) -> tuple[NDArray[np.float32], float]:
    """Vectors of the first images of a split, and the seconds that an image took.

    What was computed before is read, and took none.

    Raises:
        MlcError: An image cannot be read, where that is an error, or a feature is not finite.
    """
    one, built, data = trial.candidate, trial.built, trial.data
    state = Path(one.weights).stat() if one.weights else None
    weights = (one.weights, state.st_size, state.st_mtime_ns) if state else timm.__version__
    pixels = cache_name(split, geometry_of(data), data.max_megapixels)
    key = key_of(pixels, one.backbone, weights, trial.card.model["head"]["pool"])
    classifier = built.classifier.to_device(device, channels_last=True)
    normalise = Normalise(built.mean, built.std, device, channels_last=True)
    path = result_folder(None, store.folder) / f"{KIND}{key}.npy"
    kept = Features(path, len(split), classifier.backbone.channels)
    started, before = time.monotonic(), kept.done

    def reduce(pixels: torch.Tensor) -> torch.Tensor:
        return classifier.head.reduce(classifier.backbone(pixels))

    batches = build_eval_batches(data, split, batch_size=batch_size, device=device, store=store)
    with closing(batches):
        kept.extend(
            images, batches, batch_size, lambda raw: in_slices(reduce, normalise(raw)), on_batch
        )
    seconds = (time.monotonic() - started) / max(1, kept.done - before)
    return kept.rows[:images], seconds if kept.done > before else 0.0


def fit(
    candidate: Candidate,
    splits: tuple[Annotation, Annotation],
    rows: tuple[NDArray[np.float32], NDArray[np.float32]],
    recipe: Recipe,
    device: torch.device,
) -> None:
    """Fit heads on the features of training images; note how good they are there and on others."""
    readable = [np.flatnonzero(np.isfinite(vectors[:, 0, 0])) for vectors in rows]
    targets = [split.targets_NC(n) for split, n in zip(splits, readable, strict=True)]
    train_NVD, val_MD = rows[0][readable[0]], rows[1][readable[1], 0]
    result = probe(
        torch.from_numpy(train_NVD).to(device),
        targets[0],
        torch.from_numpy(val_MD).to(device),
        recipe,
    )
    candidate.images, candidate.lr = len(rows[0]), result.rate
    parts = ((result.out_of_fold_NC, targets[0]), (result.others_MC, targets[1]))
    candidate.out_of_fold, candidate.val = (mean_ap_of(*part) for part in parts)
    # not of all scores together: heads that saw other images give other scores for the same
    shares = [len(known) / sum(map(len, targets)) for known in targets]
    candidate.mean_ap = float(np.dot(shares, [candidate.out_of_fold, candidate.val]))
    draws = [
        resampled_ap(*part, draw_weights(len(part[1]), DRAWS, recipe.seed + number))
        for number, part in enumerate(parts)
    ]
    maps_2B = [[mean_average_precision(ap_C) for ap_C in ap_BC] for ap_BC in draws]
    candidate.maps_B = np.dot(shares, maps_2B)
