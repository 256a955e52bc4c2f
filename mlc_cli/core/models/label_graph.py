"""The graph of labels that graph heads work on: which labels come with which.

Names of arrays: N images, C classes, E width of a label's vector.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from mlc_cli.core.datasets.annotations import Annotation, Label, LabelSets
from mlc_cli.core.models.heads.graph import LabelGraph, normalised
from mlc_cli.core.models.label_vectors import read_vectors
from mlc_cli.core.system.files import named_faults, read_text
from mlc_cli.errors import DataError

Matrix = NDArray[np.float64]


def build_label_graph(
    annotation: Annotation,
    threshold: float,
    neighbours: float,
    vectors: Path | None,
    adjacency: Path | None = None,
) -> LabelGraph:
    """Take the graph of labels from the training images, or from a file.

    From a P(j | i) of `threshold` on, label i is linked to label j; a file of these, `adjacency`,
    stands in place of counting images. The links into a label weigh `neighbours` together, against
    1 for itself. Without a file of vectors, that of a label is how often every other one comes
    with it.

    Raises:
        DataError: The file cannot be read or lacks a label.
    """
    counted = f"counted in the {len(annotation)} images of {annotation.source}"
    together_CC = conditional(annotation)
    if adjacency:
        together_CC, counted = _read_adjacency(adjacency, annotation.classes), f"from {adjacency}"
    notes = [f"links {counted}, where a label is in at least {threshold:.0%} of another's images"]
    links_CC = normalised_links(together_CC, threshold, neighbours)
    if vectors:
        read_CE, assumed = read_vectors(vectors, annotation.classes)
        return LabelGraph(torch.from_numpy(read_CE), _float32(links_CC), (*notes, *assumed))
    starts_CC = _float32(together_CC + np.eye(len(together_CC)))
    return LabelGraph(starts_CC, _float32(links_CC), tuple(notes))


def _read_adjacency(path: Path, classes: Sequence[Label]) -> Matrix:
    """P(j | i) of a file, in the order of `classes`; 0 on the diagonal."""
    listed = read_text(path.with_suffix(".txt")).split("\n")
    order = {name: row for row, name in enumerate(name.strip() for name in listed) if name}
    if set(order) != {str(name) for name in classes}:
        raise DataError(
            f"{path.with_suffix('.txt')}: lists {len(order)} classes, and not the {len(classes)} of"
            " the data set",
            "It needs the name of the class of each row, one a line.",
        )
    with named_faults(path, "cannot be read"):
        matrix_CC = np.load(path, allow_pickle=False).astype(np.float64)
    if matrix_CC.shape != (len(classes),) * 2 or not np.isfinite(matrix_CC).all():
        raise DataError(f"{path}: expected {len(classes)}×{len(classes)} finite numbers")
    rows_C = [order[str(name)] for name in classes]
    sorted_CC: Matrix = matrix_CC[np.ix_(rows_C, rows_C)]
    np.fill_diagonal(sorted_CC, 0)
    return sorted_CC


def conditional(annotation: Annotation) -> Matrix:
    """P(label j | label i) as row i, column j; 0 on the diagonal and where i is never present.

    Images are counted, not objects, and only those in which the state of j is known.
    """
    classes = len(annotation.classes)
    present_NC = _indicator(annotation.positives, classes)
    both_CC = (present_NC.T @ present_NC).toarray()
    listed_CC = (present_NC.T @ _indicator(annotation.others, classes)).toarray()
    absent = annotation.unlisted == "absent"
    known_CC = np.asarray(present_NC.sum(0)).T - listed_CC if absent else both_CC + listed_CC
    np.fill_diagonal(both_CC, 0)
    shares_CC: Matrix = np.zeros((classes, classes))
    np.divide(both_CC, known_CC, out=shares_CC, where=known_CC > 0)
    return shares_CC


def _indicator(labels: LabelSets, classes: int) -> Any:
    ones = np.ones(len(labels.indices))
    shape = (len(labels.starts) - 1, classes)
    return sparse.csr_matrix((ones, labels.indices.astype(np.int64), labels.starts), shape=shape)


def normalised_links(conditional_CC: Matrix, threshold: float, neighbours: float) -> Matrix:
    """D^-1/2 A^T D^-1/2 of the thinned and re-weighted graph (Chen et al. 2019, ML-GCN).

    P(j | i) >= threshold is a link from i to j. The links into j weigh `neighbours` together,
    j itself weighs 1; that is A, and D are the sums of its rows.
    """
    linked_CC = (conditional_CC >= threshold).astype(np.float64)
    np.fill_diagonal(linked_CC, 0)
    into_C = linked_CC.sum(0)
    links_CC: Matrix = normalised(
        linked_CC * (neighbours / np.maximum(into_C, 1)) + np.eye(len(linked_CC))
    )
    return links_CC


def _float32(matrix: Matrix) -> Tensor:
    return torch.from_numpy(matrix.astype(np.float32))
