"""A page that shows what a training will see: images as they are, and as they are changed."""

from pathlib import Path

import numpy as np

from mlc_cli.core.html.page import write_page
from mlc_cli.core.images.thumbnails import thumbnail
from mlc_cli.core.loading.dataset import ImageDataset

IMAGES, VIEWS = 24, 5


def write_augmented(path: Path, dataset: ImageDataset, plain: ImageDataset, about: str) -> None:
    """Write the page: images without random changes, and as the first epochs change them.

    Raises:
        MlcError: The file cannot be written.
    """
    images = np.linspace(0, len(plain) - 1, min(len(plain), IMAGES)).round().astype(np.int64)
    rows = []
    for image, states_C in zip(images.tolist(), plain.annotation.targets_NC(images), strict=True):
        keys = [(plain, 0), *((dataset, epoch) for epoch in range(1, VIEWS + 1))]
        seen = [source[epoch, image].image for source, epoch in keys]
        views = [thumbnail(one, 320) for one in seen if isinstance(one, np.ndarray)]
        names = plain.annotation.class_names
        labels = [
            name if state == 1 else f"{name}?"
            for name, state in zip(names, states_C.tolist(), strict=True)
            if state != 0
        ]
        rows.append((plain.annotation.paths[image], labels, views))
    write_page(path, "loading/augmented.html", title="Augmented images", about=about, rows=rows)
