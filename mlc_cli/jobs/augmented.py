"""`mlc train --show-augmented`: what a training will see, without training."""

from pathlib import Path

from mlc_cli.core.loading.augmented import write_augmented
from mlc_cli.core.loading.build import build_train_dataset, geometry_of, read_splits
from mlc_cli.core.loading.dataset import ImageDataset
from mlc_cli.settings.train import TrainSettings


def show_augmented(settings: TrainSettings, path: Path) -> None:
    """Write a page of training images, each as it is and as the first epochs show it.

    Args:
        settings: Of the training.
        path: The HTML file.

    Raises:
        MlcError: The data cannot be read, or the page cannot be written.
    """
    split = read_splits(settings.data).train
    seen = build_train_dataset(settings.data, settings.augment, split, settings.seed)
    plain = ImageDataset(split, geometry_of(settings.data), max_pixels=seen.max_pixels)
    about = f"{split.source}: first as evaluation sees an image, then as epochs 1 to 5 do"
    mix = settings.augment.mix
    write_augmented(path, seen, plain, about + (f"; {mix.name} comes after that" if mix else ""))
