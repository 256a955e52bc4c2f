"""What became of the tensors of a file, and how two sets of tensors compare."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mlc_cli.errors import WeightsError


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a file.

    Attributes:
        source: The file.
        loaded: Tensors that were loaded.
        missing: Tensors of the model that keep their initial values.
        unused: Tensors of the file that the model has no place for.
        mismatched: Tensors whose shapes differ, with both shapes.
        origin: Whose checkpoint it was recognised as; empty for weights of a backbone.
        head: Whether the head came along with the backbone.
        notes: What was assumed, and why something was not taken.
    """

    source: str
    loaded: int
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: tuple[str, ...]
    origin: str = ""
    head: bool = False
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the file gave the model all that it has."""
        return self.head and not self.missing and not self.mismatched


def mismatches(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Tensors of both with different shapes, each with the two shapes."""
    return tuple(
        f"{name}: file {tuple(value.shape)}, model {tuple(own[name].shape)}"
        for name, value in state.items()
        if name in own and own[name].shape != value.shape
    )


def other_classes(path: Path, theirs: int, ours: int) -> WeightsError:
    """The error for a checkpoint of other classes than those of the data set."""
    return WeightsError(
        f"{path}: its {theirs} classes are not the {ours} of the data set",
        "To keep the backbone and train a new head: `--set model.on_class_change=reset_head`.",
    )
