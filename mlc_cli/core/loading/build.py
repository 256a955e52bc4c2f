"""From data settings to annotations, data sets and batches."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms import v2

from mlc_cli.core.datasets.annotations import Annotation, read_annotation
from mlc_cli.core.datasets.checks import (
    check_images,
    check_labelled,
    check_leak,
    check_same_classes,
)
from mlc_cli.core.datasets.completing import with_rules
from mlc_cli.core.datasets.digits import make_digits
from mlc_cli.core.datasets.older import later_unknown
from mlc_cli.core.datasets.shards.open import read_anywhere
from mlc_cli.core.images.geometry import Geometry, Interpolation
from mlc_cli.core.images.scaled import SizeHW
from mlc_cli.core.loading.augment import (
    Compose,
    RandomResizedCrop,
    Sometimes,
    Torchvision,
    Transform,
    compress,
    crop_load_size,
    cutout,
    flip,
    quarter_turns,
)
from mlc_cli.core.loading.dataset import ImageDataset
from mlc_cli.core.loading.image_cache import find_cache
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.loading.mixing import Cutmix, Mix, Mixup
from mlc_cli.core.loading.rand_augment import GREY, pair_rand_augment
from mlc_cli.core.loading.readers import Readers
from mlc_cli.core.loading.sampling import EpochSampler, repeat_factors
from mlc_cli.core.system.addresses import is_remote, shown
from mlc_cli.core.system.device import pick_workers
from mlc_cli.core.system.distributed import ALONE, Group
from mlc_cli.core.system.downloads.build import build_cache
from mlc_cli.core.system.downloads.cache import Cache
from mlc_cli.errors import DataError
from mlc_cli.settings.augment import (
    AugmentSettings,
    MixSettings,
    MixupSettings,
)
from mlc_cli.settings.data import DataSettings
from mlc_cli.settings.download import DownloadSettings
from mlc_cli.settings.presets import preset_names
from mlc_cli.text import nearest, some

_WAYS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)
_LINEAR, _GREY = v2.InterpolationMode.BILINEAR, [*map(float, GREY)]
_CHANGES: dict[str, Callable[[Any], Transform]] = {
    "quarter_turns": lambda _: quarter_turns,
    "rotate": lambda s: Torchvision(v2.RandomRotation(s.degrees, _LINEAR, fill=_GREY)),
    "perspective": lambda s: Torchvision(
        v2.RandomPerspective(s.distortion, 1.0, _LINEAR, fill=_GREY)
    ),
    "rand_augment": lambda s: (
        pair_rand_augment
        if s.name == "pair"
        else Sometimes(1.0, Torchvision(v2.RandAugment(s.num_ops, s.magnitude, fill=_GREY)))
    ),
    "colour": lambda s: Torchvision(v2.ColorJitter(s.brightness, s.contrast, s.saturation, s.hue)),
    "grey": lambda _: Torchvision(v2.Grayscale(3)),
    "blur": lambda s: Torchvision(
        v2.GaussianBlur(2 * math.ceil(3 * s.sigma_max) + 1, (0.1, s.sigma_max))
    ),
    "jpeg": lambda s: partial(compress, worst=s.quality_min),
    "cutout": lambda s: partial(
        cutout, factor=s.factor, fill=None if s.fill == "random" else s.fill
    ),
    "erase": lambda s: Torchvision(v2.RandomErasing(1.0, (0.02, s.area_max), value=_GREY)),
    "flip": lambda _: flip,
    "flip_vertical": lambda _: partial(flip, axis=0),
}
"""By the name of its setting, what makes a change; they happen in this order."""


@dataclass(frozen=True)
class Splits:
    """The checked splits of a training, and what the user should know about them."""

    train: Annotation
    val: Annotation
    warnings: tuple[str, ...]


def make_if_missing(settings: DataSettings) -> None:
    """Make the data set if it is one to be made and is not there."""
    root = Path(settings.root)
    if settings.generate == "digits" and not root.exists():
        if root.name != settings.generate:  # another folder was meant, and is mistyped or away
            beside = [str(path) for path in root.parent.glob("*") if path.is_dir()]
            raise DataError(
                f"{root}: there is no such folder{nearest(str(root), beside)}",
                "Name it with --data DIR; in a folder called digits the preset makes its own.",
            )
        make_digits(root)


def read_splits(settings: DataSettings, store: Cache | None = None) -> Splits:
    """Make the data set if it is to be made; read and check both splits.

    Raises:
        DataError: With all faults of the first file or check that has any.
    """
    make_if_missing(settings)
    if settings.cross_validate and settings.train == settings.val:  # none is kept back
        return Splits(whole := read_split(settings, settings.train, store), whole, ())
    train, val = (read_split(settings, name, store) for name in (settings.train, settings.val))
    check_same_classes(train, val)
    for split in (train, val):
        check_labelled(split)
    if settings.unknown_in and not train.unknown_C().any() and not val.unknown_C().any():
        raise DataError(
            f"unknown_in: {some(settings.unknown_in)} lists none of the images, or has all classes",
            "Name the file that the images were labelled with before; paths are compared.",
        )
    warnings = check_leak(train, val, refuse=settings.on_leak == "error")
    return Splits(train, val, warnings)


def read_split(settings: DataSettings, file: str, store: Cache | None = None) -> Annotation:
    """Read one annotation file of the data set and check that its images are there.

    Of shards, `store` keeps what is read of them; by default the cache of the user.

    Raises:
        DataError: With all faults of the file, or all images that are missing.
    """
    root = Path(settings.root)
    image_root = Path(settings.image_root) if settings.image_root else None
    absent = not root.exists() and not is_remote(root)
    if absent and root.name in preset_names("dataset-download"):
        raise DataError(
            f"{root}: there is no such folder",
            f"Get it with: mlc dataset-download {root.name} {root}",
        )
    store = store or build_cache(DownloadSettings())
    blocks = settings.shuffle == "blocks"
    annotation = read_anywhere(root / file, image_root, store=store, blocks=blocks)
    for older in settings.unknown_in:
        before = read_annotation(Path(older).expanduser())
        annotation = later_unknown(annotation, before, settings.renames)
    if more := settings.rules:
        annotation = with_rules(annotation, more.implies, more.exclusive, more.separator or "")
    check_images(
        annotation,
        allow_outside=settings.allow_outside_root,
        allow_remote=settings.allow_remote,
    )
    return annotation


def geometry_of(settings: DataSettings) -> Geometry:
    """How images become the model's input."""
    how = (settings.resize, settings.interpolation, settings.decoding)
    return Geometry(settings.input_size, *how, bits=settings.bits)


def build_augment(
    settings: AugmentSettings, size: SizeHW, interpolation: Interpolation = "linear"
) -> Compose:
    """The random changes of training images, as loaded, ending at the input size."""
    crop = settings.crop
    if not crop:
        return Compose(tuple(_changes(settings)), size)
    area = interpolation == "area"
    ways = _WAYS if crop.any_interpolation else () if area else (cv2.INTER_CUBIC,)
    first = RandomResizedCrop(size, crop.scale_min, crop.ratio_max, crop.p, ways)
    load_size = crop_load_size(size, crop.scale_min, whole=area)
    return Compose((first, *_changes(settings)), load_size)


def _changes(settings: AugmentSettings) -> Iterator[Transform]:
    """What is not turned off, behind the crop; each with the part of the images that it changes."""
    for name, make in _CHANGES.items():
        if part := getattr(settings, name):
            p = getattr(part, "p", part)
            yield Sometimes(p, make(part)) if isinstance(p, float) else make(part)


def build_mix(settings: MixSettings) -> Mix:
    """Mixing of batches."""
    kind = Mixup if isinstance(settings, MixupSettings) else Cutmix
    return kind(settings.alpha, settings.p)


def build_train_dataset(
    settings: DataSettings, augment: AugmentSettings, annotation: Annotation, seed: int
) -> ImageDataset:
    """The images of a split as training sees them, read each time."""
    changes = build_augment(augment, settings.input_size, settings.interpolation)
    geometry = geometry_of(settings).at(changes.load_size)
    return ImageDataset(annotation, geometry, changes, seed, settings.max_megapixels * 1e6)


def build_train_batches(  # noqa: PLR0913 - what is read, how, and by whom
    settings: DataSettings,
    augment: AugmentSettings,
    annotation: Annotation,
    *,
    batch_size: int,
    seed: int,
    device: torch.device,
    group: Group = ALONE,
    store: Cache | None = None,
    readers: Readers | None = None,
) -> Batches:
    """Shuffled, augmented batches for training, shared by the processes of a group."""
    dataset = build_train_dataset(settings, augment, annotation, seed)
    repeats_N = repeat_factors(annotation, part) if (part := settings.repeat_rare) else None
    sampler = EpochSampler(
        len(dataset),
        batch_size,
        seed,
        drop_last=True,
        repeats_N=repeats_N,
        part=settings.epoch_part,
        starts_B=_blocks(settings, annotation),
        group=group,
    )
    return _batches(settings, dataset, sampler, readers or build_readers(settings, device), store)


def _blocks(settings: DataSettings, annotation: Annotation) -> NDArray[np.int64] | None:
    """First image of each block, and the number of images; a DataError if there are no blocks."""
    if settings.shuffle == "images":
        return None
    if not annotation.pieces or settings.repeat_rare:
        raise DataError(
            f"{shown(annotation.source)}: shuffle=blocks is for shards, each image once an epoch",
            "Take shuffle=images, or write shards with `mlc dataset-convert --to shards`, and leave"
            " out data.repeat_rare.",
        )
    return annotation.pieces.starts_B()


def build_eval_batches(  # noqa: PLR0913 - what is read, how, and by whom
    settings: DataSettings,
    annotation: Annotation,
    *,
    batch_size: int,
    device: torch.device,
    group: Group = ALONE,
    tiles: int = 0,
    store: Cache | None = None,
    readers: Readers | None = None,
) -> Batches:
    """All images in the order of the file, without random changes, shared by a group."""
    geometry, max_pixels = geometry_of(settings).tiled(tiles), settings.max_megapixels * 1e6
    dataset = ImageDataset(annotation, geometry, max_pixels=max_pixels)
    sampler = EpochSampler(len(dataset), batch_size, group=group)
    return _batches(settings, dataset, sampler, readers or build_readers(settings, device), store)


def build_readers(settings: DataSettings, device: torch.device) -> Readers:
    """The processes that read images for a device."""
    return Readers(pick_workers(settings.workers, device), device)


def _batches(
    settings: DataSettings,
    dataset: ImageDataset,
    sampler: EpochSampler,
    readers: Readers,
    store: Cache | None,
) -> Batches:
    of = (dataset.annotation, dataset.geometry, dataset.max_pixels)
    dataset.cache = find_cache(settings.cache, of, store)
    dataset.on_damaged = settings.on_damaged
    return Batches(dataset, sampler, workers=readers, on_bad_image=settings.on_bad_image)
