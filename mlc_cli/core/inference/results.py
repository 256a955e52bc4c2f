"""What a model says of images.

Names of arrays: C classes, K decided classes of an image, H×W positions of a heat map.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.evaluation.metrics import Floats
from mlc_cli.core.html.notebook import table
from mlc_cli.core.html.words import count

_SHOWN = 10


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one image.

    Attributes:
        image: Its name.
        probabilities_C: float64, in 0..1; empty if the image could not be read.
        decided: Classes that count as present, best first.
        unsure: Classes that a person should look at, best first; `None` where the model does not
            tell them.
        error: Why the image could not be read.
        heat_KHW: float32, where the evidence for each decided class lies.
        classes: C names.
    """

    image: str
    probabilities_C: Floats = field(default_factory=lambda: np.empty(0))
    decided: Sequence[int] = ()
    error: str = ""
    heat_KHW: NDArray[np.float32] | None = None
    classes: Sequence[str] = ()
    unsure: Sequence[int] | None = None

    @property
    def unsure_labels(self) -> list[str]:
        """Names of the classes that a person should look at, best first."""
        return [self.classes[c] for c in self.unsure or ()]

    @property
    def labels(self) -> list[str]:
        """Names of the decided classes, best first."""
        return [self.classes[c] for c in self.decided]

    @property
    def probabilities(self) -> dict[str, float]:
        """Probabilities by name, the largest first, as they are written to files."""
        return self.written(self.ranked(), self.classes)

    def ranked(self, most: int | None = None) -> list[int]:
        """Classes from the most to the least probable; those alike in the order of classes."""
        return np.argsort(-self.probabilities_C, kind="stable")[:most].tolist()  # type: ignore[no-any-return]

    def written(self, chosen: Sequence[int], names: Sequence[str]) -> dict[str, float]:
        """Probabilities of some classes by name, in the nine digits that a float32 has at most."""
        numbers = self.probabilities_C.tolist()
        return {names[c]: float(f"{numbers[c]:.9g}") for c in chosen}

    def _repr_html_(self) -> str:
        """In a notebook: the most probable classes, the decided ones in bold."""
        if self.error:
            return table(self.image, ("error",), [(self.error,)])
        rows = [(self.classes[c], f"{self.probabilities_C[c]:.4f}") for c in self.ranked(_SHOWN)]
        return table(self.image, ("class", "probability"), rows, strong=len(self.decided))


class Predictions(list[Prediction]):
    """Predictions in the order of the images."""

    def _repr_html_(self) -> str:
        """In a notebook: the labels of the first images."""
        rows = [(one.image, one.error or ", ".join(one.labels)) for one in self]
        return table(count(len(self), "image"), ("image", "labels"), rows)


def best_first(probabilities_C: Floats, decided_C: NDArray[np.bool_]) -> list[int]:
    """Classes that are decided, the most probable first."""
    present = np.flatnonzero(decided_C)
    best_first = present[np.argsort(-probabilities_C[present], kind="stable")]
    return best_first.tolist()  # type: ignore[no-any-return]
