"""Models that say what a student is to say."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mlc_cli.core.models.backbone import RGB
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.weights.build import load_any
from mlc_cli.core.runs.folder import find_checkpoint
from mlc_cli.core.system.device import in_slices
from mlc_cli.core.system.precision import Precision, autocast
from mlc_cli.errors import SettingsError
from mlc_cli.text import only_one_side

Teach = Callable[[Tensor], Tensor]
"""From images N×3×H×W that are normalised for a student to logits N×C in its order of classes."""


def open_teachers(
    paths: Sequence[str],
    classes: Sequence[str | int],
    normalised: tuple[RGB, RGB],
    place: Callable[[Classifier], Classifier],
    precision: Precision,
) -> tuple[Teach, tuple[str, ...]]:
    """Open checkpoints, or those of runs, as one teacher: the mean of their logits, float32.

    The images of the student are `normalised` by mean and standard deviation; `place` moves a model
    to their device.

    Returns:
        The teacher, and who it is.

    Raises:
        SettingsError: The classes of one are others.
        MlcError: A file cannot be opened.
    """
    names, (mean, std) = [str(name) for name in classes], map(_as_3HW, normalised)
    opened, notes = [], []
    for path in paths:
        file = find_checkpoint(path, path)
        loaded, card, _ = load_any(file)
        theirs = [str(name) for name in card.classes]
        if set(theirs) != set(names):
            raise SettingsError(
                f"distill.teachers: {file}: its classes are not those of the data:\n"
                + only_one_side(names, theirs),
                "A teacher knows the classes of its student, and no others.",
            )
        order = [theirs.index(name) for name in names]
        height, width = card.input_size
        own_mean, own_std = _as_3HW(card.mean), _as_3HW(card.std)
        affine = std / own_std, (mean - own_mean) / own_std
        opened.append(_in_its_own_way(place(loaded), card.input_size, affine, order))
        notes.append(f"teacher  {file}: {card.model.get('backbone')}, {height}x{width} pixels")

    @torch.no_grad()
    def teach(images: Tensor) -> Tensor:
        with autocast(images.device, precision):
            return torch.stack([in_slices(see, images).float() for see in opened]).mean(0)

    return teach, tuple(notes)


def _as_3HW(values: RGB) -> Tensor:
    return torch.tensor(values).view(3, 1, 1)


def _in_its_own_way(
    model: Classifier, size: tuple[int, int], affine: tuple[Tensor, Tensor], order: list[int]
) -> Teach:
    """A teacher that sees the pixels of a student in its own size and normalisation."""
    device = next(model.parameters()).device
    scale, shift = (one.to(device) for one in affine)

    def see(images: Tensor) -> Tensor:
        pixels = images * scale + shift
        if pixels.shape[2:] != size:
            pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        logits: Tensor = model(pixels)
        return logits[:, order]

    return see
