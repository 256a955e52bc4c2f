"""The graph of labels that graph heads work on: which labels come with which.

Names of arrays: N images, C classes, E width of a label's vector.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from mlc_cli.core.datasets.annotations import Annotation, LabelSets
from mlc_cli.core.models.label_vectors import read_vectors

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class LabelGraph:
    """Labels as nodes.

    Attributes:
        vectors_CE: Where each label starts; fixed.
        links_CC: Weight of what row i takes from column j, itself included.
        notes: What was assumed of the file that the vectors are from.
    """

    vectors_CE: Tensor
    links_CC: Tensor
    notes: tuple[str, ...] = ()

    @property
    def links(self) -> int:
        """Links between different labels."""
        return int(self.links_CC.count_nonzero()) - len(self.links_CC)


def build_label_graph(
    annotation: Annotation, *, threshold: float, neighbours: float, vectors: Path | None
) -> LabelGraph:
    """Take the graph of labels from the training images.

    Args:
        annotation: Of the training images.
        threshold: P(j | i) from which label i is linked to label j.
        neighbours: What the links into a label weigh together, against 1 for itself.
        vectors: File of vectors by label or word; by default a label's vector is how often every
            other label comes with it.

    Raises:
        DataError: The file cannot be read or lacks a label.
    """
    together_CC = conditional(annotation)
    links_CC = normalised_links(together_CC, threshold, neighbours)
    if vectors:
        read_CE, notes = read_vectors(vectors, annotation.classes)
        return LabelGraph(torch.from_numpy(read_CE), _float32(links_CC), tuple(notes))
    return LabelGraph(_float32(together_CC + np.eye(len(together_CC))), _float32(links_CC))


def conditional(annotation: Annotation) -> Matrix:
    """P(label j | label i) as row i, column j; 0 on the diagonal and where i is never present.

    Images are counted, not objects, and only those in which the state of j is known.
    """
    classes = len(annotation.classes)
    present_NC = _indicator(annotation.positives, classes)
    others_NC = _indicator(annotation.others, classes)
    both_CC = _count(present_NC, present_NC)
    if annotation.unlisted == "absent":
        known_CC = np.asarray(present_NC.sum(0)).T - _count(present_NC, others_NC)
    else:
        known_CC = both_CC + _count(present_NC, others_NC)
    np.fill_diagonal(both_CC, 0)
    return np.divide(both_CC, known_CC, out=np.zeros((classes, classes)), where=known_CC > 0)


def _indicator(labels: LabelSets, classes: int) -> Any:
    ones = np.ones(len(labels.indices))
    shape = (len(labels.starts) - 1, classes)
    return sparse.csr_matrix((ones, labels.indices.astype(np.int64), labels.starts), shape=shape)


def _count(first_NC: Any, second_NC: Any) -> Matrix:
    """Images with label i of the first and label j of the second."""
    return np.asarray((first_NC.T @ second_NC).todense())


def normalised_links(conditional_CC: Matrix, threshold: float, neighbours: float) -> Matrix:
    """D^-1/2 A^T D^-1/2 of the thinned and re-weighted graph (Chen et al. 2019, ML-GCN).

    P(j | i) >= threshold is a link from i to j. The links into j weigh `neighbours` together,
    j itself weighs 1; that is A, and D are the sums of its rows.
    """
    linked_CC = (conditional_CC >= threshold).astype(np.float64)
    np.fill_diagonal(linked_CC, 0)
    into_C = linked_CC.sum(0)
    return normalised(linked_CC * (neighbours / np.maximum(into_C, 1)) + np.eye(len(linked_CC)))


def normalised(weights_CC: Matrix) -> Matrix:
    """D^-1/2 A^T D^-1/2 of a graph A, where D are the sums of its rows."""
    root_C = weights_CC.sum(1) ** -0.5
    links_CC: Matrix = root_C[:, None] * weights_CC.T * root_C
    return links_CC


def _float32(matrix: Matrix) -> Tensor:
    return torch.from_numpy(matrix.astype(np.float32))
