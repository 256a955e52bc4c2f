"""Models that say what a student is to say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlc_cli.core.models.backbone import RGB
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.weights.build import load_any
from mlc_cli.core.runs.folder import find_checkpoint
from mlc_cli.core.system.device import in_slices
from mlc_cli.core.system.precision import Precision, autocast
from mlc_cli.errors import SettingsError
from mlc_cli.text import only_one_side


@dataclass(frozen=True)
class Teacher:
    """A model that is shown the pixels of a student.

    Attributes:
        model: From its own normalised images to logits, in evaluation mode.
        size: Height and width of these images.
        scale: From values that are normalised for the student to its own, 3×1×1.
        shift: Added to that.
        order_C: Place of each class of the student among its logits.
    """

    model: nn.Module
    size: tuple[int, int]
    scale: Tensor
    shift: Tensor
    order_C: Tensor

    def __call__(self, images_N3HW: Tensor) -> Tensor:
        """Logits N×C."""
        pixels = images_N3HW * self.scale + self.shift
        if pixels.shape[2:] != self.size:
            pixels = F.interpolate(pixels, self.size, mode="bilinear", antialias=True)
        logits: Tensor = self.model(pixels)
        return logits[:, self.order_C]


@dataclass(frozen=True)
class Teachers:
    """Several as one: the mean of their logits, float32."""

    teachers: Sequence[Teacher]
    precision: Precision

    @torch.no_grad()
    def __call__(self, images_N3HW: Tensor) -> Tensor:
        """Logits N×C of images that are normalised for the student."""
        with autocast(images_N3HW.device, self.precision):
            said = [in_slices(teacher, images_N3HW).float() for teacher in self.teachers]
        return torch.stack(said).mean(0)


def open_teachers(
    paths: Sequence[str],
    classes: Sequence[str | int],
    normalised: tuple[RGB, RGB],
    place: Callable[[Classifier], Classifier],
    precision: Precision,
) -> tuple[Teachers, tuple[str, ...]]:
    """Open checkpoints of mlc, or of the systems that it reads.

    Args:
        paths: Of the files, or of run folders.
        classes: Of the student.
        normalised: Mean and standard deviation that its images are normalised with.
        place: Moves a model to the device.
        precision: Of the forward pass.

    Returns:
        The teachers, and who they are.

    Raises:
        SettingsError: The classes of one are others.
        MlcError: A file cannot be opened.
    """
    names, found, notes = [str(name) for name in classes], [], []
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in normalised)
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
        model = place(loaded)
        device = next(model.parameters()).device
        own_mean, own_std = (torch.tensor(v).view(3, 1, 1) for v in (card.mean, card.std))
        order = torch.tensor([theirs.index(name) for name in names])
        scales = (std / own_std, (mean - own_mean) / own_std, order)
        found.append(Teacher(model, card.input_size, *(one.to(device) for one in scales)))
        height, width = card.input_size
        notes.append(f"teacher  {file}: {card.model.get('backbone')}, {height}x{width} pixels")
    return Teachers(found, precision), tuple(notes)
