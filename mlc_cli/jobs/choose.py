"""`mlc choose`: which backbone at which size, for these photographs and this machine."""

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlc_cli.core.choosing.build import Trial, build_trial, features, fit, key_of
from mlc_cli.core.choosing.page import write_choice
from mlc_cli.core.choosing.probe import Recipe
from mlc_cli.core.choosing.race import Candidate, Choice, dominated_by
from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.evaluation.bootstrap import interval
from mlc_cli.core.exporting.int8 import has_attention, quantised_for_speed
from mlc_cli.core.exporting.ir import to_ir, write_ir
from mlc_cli.core.exporting.onnx_graph import write_onnx
from mlc_cli.core.html.words import count
from mlc_cli.core.inference.runtime.ir_file import cpu_name
from mlc_cli.core.inference.runtime.metadata import ExportInfo
from mlc_cli.core.loading.build import read_splits
from mlc_cli.core.models.backbone import model_config, stay_offline
from mlc_cli.core.models.complexity import complexity
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.device import pick_device
from mlc_cli.core.system.downloads.build import build_cache
from mlc_cli.core.system.files import only_writer, read_json, result_folder, write_json, write_text
from mlc_cli.errors import DataError, MlcError, SettingsError, WeightsError
from mlc_cli.jobs.benchmark import benchmark
from mlc_cli.settings.backbones import pick_backbones
from mlc_cli.settings.benchmark import BenchmarkSettings
from mlc_cli.settings.choose import ChooseSettings
from mlc_cli.settings.merge import merge
from mlc_cli.settings.optim import WarmStartSettings
from mlc_cli.settings.presets import load_preset
from mlc_cli.settings.resolve import validate
from mlc_cli.settings.train import TrainSettings
from mlc_cli.settings.yaml_io import dump_yaml
from mlc_cli.text import listing

FACTORS = (0.3, 1.0, 3.0)
"""Of the learning rate of the preset's warm start."""
FIRST = 4
"""The first round looks at a part of the images."""
FEWEST = 500
"""Training images below which there is one round."""
OnStep = Callable[[str], object]


class _OutOfTimeError(Exception):
    pass


@dataclass
class _Race:
    """The data and everything else that candidates have in common."""

    settings: ChooseSettings
    base: TrainSettings
    train: Annotation
    val: Annotation
    on_step: OnStep
    device: torch.device
    deadline: float
    seconds_per_gmac: float = 0.0

    def check_time(self, gmacs: float = 0.0) -> None:
        """Raise unless there is time for so much work."""
        if time.monotonic() + self.seconds_per_gmac * gmacs > self.deadline:
            raise _OutOfTimeError("no time was left for it")


def choose(settings: ChooseSettings, on_step: OnStep = lambda _: None) -> Choice:
    """Try backbones at sizes, cheapest first, and recommend one.

    Raises:
        MlcError: The data cannot be used, or nothing could be tried.
    """
    started = time.monotonic()
    given = {"data": settings.data.model_dump(exclude_unset=True)}
    base = validate(TrainSettings, merge(load_preset("train", settings.preset), given))
    base = base.model_copy(update={"download": settings.download})
    candidates = _candidates(settings)
    folder = result_folder(None, Path(settings.output))
    with only_writer(folder):
        splits = read_splits(base.data)
        if settings.download.offline:
            stay_offline()
        race = _Race(
            settings, base,
            _some(splits.train, settings.images, settings.seed),
            _some(splits.val, settings.images, settings.seed),
            on_step, pick_device(settings.device),
            started + 60 * settings.minutes if settings.minutes else math.inf,
        )  # fmt: skip
        most = len(race.train)
        for images in [most] if most < FEWEST else [most // FIRST, most]:
            _round(race, candidates, images)
        warnings = [*splits.warnings, *(_quantised(race, candidates) if settings.int8 else ())]
        return _finish(race, candidates, folder, warnings)


def _some(split: Annotation, most: int, seed: int) -> Annotation:
    """Images of a split in random order, so that the first of them are a sample."""
    return split.take(np.random.default_rng(seed).permutation(len(split))[:most])


def _candidates(settings: ChooseSettings) -> list[Candidate]:
    entries = pick_backbones(settings.backbones)
    for entry in entries:
        if entry.gmacs is None:  # added by its name, which may be misspelt
            model_config(entry.name)
    found = [
        Candidate(
            entry.name, size, entry.licence,
            weights=_weights_file(settings, entry.name),
            out="its licence restricts what it may be used for (--restricted)"
            if entry.restricted and not settings.restricted and entry.gmacs else "",
            gmacs=(entry.gmacs or 0.0) * (size / (entry.pixels or size)) ** 2,
        )
        for entry in entries
        for size in dict.fromkeys(settings.sizes)
    ]  # fmt: skip
    return sorted(found, key=lambda c: c.gmacs)


def _weights_file(settings: ChooseSettings, name: str) -> str | None:
    """The file of a backbone in the folder of weights, with or without the tag in its name."""
    if settings.weights_dir is None:
        return None
    folder = Path(settings.weights_dir).expanduser()
    if not folder.is_dir():
        raise SettingsError(f"weights_dir: {folder}: there is no such folder")
    for stem in (name, name.split(".", maxsplit=1)[0]):
        for suffix in (".safetensors", ".pth"):
            if (path := folder / f"{stem}{suffix}").is_file():
                return str(path.absolute())
    return None


def _round(race: _Race, candidates: Sequence[Candidate], images: int) -> None:
    """Estimate all that are left on so many images; those that are beaten go out."""
    left = [c for c in candidates if not c.out]
    if left and left[0].images:  # time may run out: the most promising first
        left.sort(key=lambda c: -c.mean_ap)
    for one in (c for c in left if not c.out):
        try:
            race.check_time(one.gmacs * (images + len(race.val) - one.images))
            _estimate(race, one, images)
        except DataError:
            raise
        except (MlcError, _OutOfTimeError) as error:
            alike = left if isinstance(error, WeightsError) else [one]  # at other sizes
            for same in (c for c in alike if c.backbone == one.backbone):
                same.out = str(error)
    for one in left:
        rest = [c for c in candidates if not c.out]
        if not one.out and (better := dominated_by(one, rest)):
            one.out = f"{better.name} is faster and beyond noise better"


def _estimate(race: _Race, one: Candidate, images: int) -> None:
    """Features, heads and, on all images, the speed of a candidate; or why it is out."""
    race.on_step(f"{one.name}, {count(images, 'image')}")
    settings, trial = race.settings, _trial(race, one)
    size = complexity(trial.built.classifier, trial.card.input_size)
    one.gmacs, one.megabytes = size.gmacs, 4 * size.mparams
    if settings.max_mb and one.megabytes > settings.max_mb:
        one.out = f"{one.megabytes:.1f} MB is more than --max-mb {settings.max_mb:g}"
        return
    if images == len(race.train):
        one.latency_ms, one.rate = _speed(trial, settings)
        if settings.latency_ms is not None and one.latency_ms > settings.latency_ms:
            one.out = f"{one.latency_ms:.2f} ms is more than --latency {settings.latency}"
            return
    rows, store = [], build_cache(settings.download)
    for split, most in ((race.train, images), (race.val, len(race.val))):
        vectors, seconds = features(
            trial, split, most,
            store=store, device=race.device, batch_size=settings.batch_size,
            on_batch=race.check_time,
        )  # fmt: skip
        race.seconds_per_gmac = seconds / one.gmacs or race.seconds_per_gmac
        rows.append(vectors)
    warm = race.base.warm_start or WarmStartSettings()
    own = warm.model_dump(include={"epochs", "weight_decay", "batch_size", "dropout"})
    rates = tuple(warm.lr * factor for factor in FACTORS)
    recipe = Recipe(rates, **own, folds=settings.folds, seed=settings.seed)
    fit(one, (race.train, race.val), (rows[0], rows[1]), recipe, race.device)


def _trial(race: _Race, one: Candidate) -> Trial:
    head = race.base.model.head
    return build_trial(one, race.base.data, race.train, getattr(head, "pool", "avg"))


def _quantised(race: _Race, candidates: Sequence[Candidate]) -> Iterator[str]:
    """Measure those that are left as INT8, the best first; what is to be said of it."""
    for one in sorted((c for c in candidates if not c.out), key=lambda c: -c.mean_ap):
        race.on_step(f"{one.name}, INT8")
        try:
            race.check_time()
            one.int8_ms, one.int8_rate = _speed(_trial(race, one), race.settings, int8=True)
        except (MlcError, _OutOfTimeError) as error:
            yield f"{one.name} was not measured as INT8: {error}"


def _speed(trial: Trial, settings: ChooseSettings, *, int8: bool = False) -> tuple[float, float]:
    """Milliseconds of one image and images a second, as `mlc benchmark` measures them."""
    one, classes = trial.candidate, len(trial.card.classes)
    key = key_of(cpu_name(), usable_cores(), one.backbone, one.size, classes, int8)
    kept = result_folder(None, build_cache(settings.download).folder) / f"speed-{key}.json"
    if kept.exists():
        latency_ms, rate = read_json(kept)
        return latency_ms, rate
    with tempfile.TemporaryDirectory() as folder:
        onnx_file, ir_file = Path(folder, "model.onnx"), Path(folder, "model.xml")
        # nobody else sees these files: there is nothing to warn of
        info = ExportInfo(trial.card, parity="passed")
        write_onnx(onnx_file, trial.built.classifier.folded(), info, saliency=False)
        model = to_ir(onnx_file, info)
        if int8:
            noise = np.random.default_rng(0).integers(0, 256, (1, 3, one.size, one.size), np.uint8)
            attention = has_attention(trial.built.classifier)
            model = quantised_for_speed(model, noise, attention=attention)
        write_ir(ir_file, model, info, half=False)
        asked = {"models": (str(ir_file),), "seconds": settings.seconds}
        speed = benchmark(validate(BenchmarkSettings, asked)).speeds[0]
    write_json(kept, [speed.latency_ms, speed.rate])
    return speed.latency_ms, speed.rate


def _finish(race: _Race, candidates: list[Candidate], folder: Path, warnings: list[str]) -> Choice:
    """Recommend, and write everything down."""
    left = [c for c in candidates if not c.out]
    best = max(left, key=lambda c: c.mean_ap, default=None)
    others = [c for c in left if best and interval(best.maps_B - c.maps_B, least=-1).low <= 0]
    fastest = min(others, key=lambda c: c.latency_ms or math.inf, default=None)
    choice = Choice(
        folder, tuple(candidates), best, None if fastest is best else fastest,
        f"{cpu_name()}, {usable_cores()} cores", tuple(warnings),
    )  # fmt: skip
    write_json(folder / "choose.json", choice.as_dict())
    about = f"{race.train.source.parent}: {len(race.train):,} training and {len(race.val):,}"
    write_choice(folder / "choose.html", choice, f"{about} validation images")
    if best is None:
        raise MlcError(
            "no candidate is left:\n" + listing([f"{c.name}: {c.out}" for c in candidates]),
            f"{folder / 'choose.html'} has them all.",
        )
    write_text(folder / "chosen.yaml", _preset(race, best))
    return choice


def _preset(race: _Race, best: Candidate) -> str:
    """A file for `mlc train --config`."""
    given = race.settings.data.model_dump(mode="json", exclude_unset=True)
    model = {"backbone": best.backbone} | ({"weights": best.weights} if best.weights else {})
    content: dict[str, Any] = {
        "extends": race.settings.preset,
        "name": "chosen",
        "data": given | {"input_size": best.size},
        "model": model,
    }
    if race.base.warm_start and race.base.model.head.name == "linear":
        content["warm_start"] = {"lr": best.lr}
    return (
        f"# By mlc choose: mAP {best.mean_ap:.4f} with a head on frozen features,"
        f" {best.latency_ms:.2f} ms an image.\n{dump_yaml(content)}"
    )
