"""`mlc train --show-augmented`: what a training will see, without training."""

from pathlib import Path

import numpy as np

from mlc_cli.core.html.page import write_page
from mlc_cli.core.images.thumbnails import thumbnail
from mlc_cli.core.loading.build import build_train_dataset, geometry_of, read_splits
from mlc_cli.core.loading.dataset import ImageDataset
from mlc_cli.core.system.files import check_output
from mlc_cli.settings.train import TrainSettings

IMAGES, EPOCHS = 24, 5


def show_augmented(settings: TrainSettings, path: Path) -> None:
    """Write a page of training images, each as it is and as the first epochs show it.

    Raises:
        MlcError: The data cannot be read, or the page cannot be written.
    """
    check_output("--show-augmented", path)
    split = read_splits(settings.data).train
    changed = build_train_dataset(settings.data, settings.augment, split, settings.seed)
    plain = ImageDataset(split, geometry_of(settings.data), max_pixels=changed.max_pixels)
    images = np.linspace(0, len(split) - 1, min(len(split), IMAGES)).round().astype(np.int64)
    rows = []
    for image, states_C in zip(images.tolist(), split.targets_NC(images), strict=True):
        seen = [plain[0, image], *(changed[epoch, image] for epoch in range(1, EPOCHS + 1))]
        views = [thumbnail(one.image, 320) for one in seen if one.image is not None]
        named = zip(split.class_names, states_C.tolist(), strict=True)
        labels = [name if state == 1 else f"{name}?" for name, state in named if state]
        rows.append((split.paths[image], labels, views))
    about = f"{split.source}: first as evaluation sees an image, then as epochs 1 to {EPOCHS} do"
    if mix := settings.augment.mix:
        about += f"; {mix.name} comes after that"
    write_page(path, "loading/augmented.html", title="Augmented images", about=about, rows=rows)
