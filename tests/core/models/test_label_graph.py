"""The graph of labels against literal counts and the numbers of the reference system."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.datasets.annotations import Annotation, read_annotation
from mlc_cli.core.models.label_graph import build_label_graph, conditional, normalised_links
from mlc_cli.errors import DataError

Make = Callable[[np.ndarray, str], Annotation]


@pytest.fixture
def annotation(tmp_path: Path) -> Make:
    """An annotation with the given states, N×C: 1 present, 0 absent, -1 unknown."""

    def make(states_NC: np.ndarray, unlisted: str = "absent") -> Annotation:
        other = -1 if unlisted == "absent" else 0
        names = [f"label {c}" for c in range(states_NC.shape[1])]

        def having(states: np.ndarray, state: int) -> list[str]:
            return [name for name, own in zip(names, states, strict=True) if own == state]

        images = [
            [f"{row}.jpg", having(states, 1), having(states, other)]
            for row, states in enumerate(states_NC)
        ]
        content = {"classes": names, "images": images, "unlisted": unlisted}
        path = tmp_path / "train.json"
        path.write_text(json.dumps(content))
        return read_annotation(path)

    return make


@pytest.mark.parametrize("unlisted", ["absent", "unknown"])
@pytest.mark.parametrize("unknown", [0.0, 0.4])
def test_probabilities_equal_a_count(annotation: Make, unlisted: str, unknown: float) -> None:
    rng = np.random.default_rng(0)
    states_NC = (rng.random((60, 6)) < [0.0, 0.05, 0.3, 0.5, 0.7, 1.0]).astype(np.int8)
    states_NC[rng.random((60, 6)) < unknown] = -1
    found_CC = conditional(annotation(states_NC, unlisted))
    for i, j in itertools.product(range(6), repeat=2):
        known = (states_NC[:, i] == 1) & (states_NC[:, j] >= 0)
        both = known & (states_NC[:, j] == 1)
        expected = 0 if i == j or not known.any() else both.sum() / known.sum()
        assert found_CC[i, j] == pytest.approx(expected)


def test_links_of_pascal_voc_are_those_of_the_reference() -> None:
    # bicycle, dining table, horse and motorbike with person; dining table with chair
    conditional_CC = np.full((20, 20), 0.1)
    np.fill_diagonal(conditional_CC, 0)
    for i, j, value in ((1, 14, 0.416), (10, 8, 0.59), (10, 14, 0.471), (12, 14, 0.559)):
        conditional_CC[i, j] = value
    conditional_CC[13, 14] = 0.449
    links_CC = normalised_links(conditional_CC, 0.4, 0.25)
    assert links_CC[14, 1] == pytest.approx(0.0606339, abs=1e-6)
    assert links_CC[14, 10] == pytest.approx(0.0545545, abs=1e-6)
    assert links_CC[1, 1] == pytest.approx(0.9411765, abs=1e-6)
    assert links_CC[10, 10] == pytest.approx(0.7619049, abs=1e-6)
    assert np.count_nonzero(links_CC) == 20 + 5


@pytest.mark.parametrize(("threshold", "neighbours"), [(1.0, 0.25), (0.1, 0.0), (0.1, 1.0)])
def test_links_are_finite_at_the_edges(threshold: float, neighbours: float) -> None:
    conditional_CC = np.array([[0.0, 0.9, 0.0], [0.2, 0.0, 0.0], [0.0, 0.0, 0.0]])
    links_CC = normalised_links(conditional_CC, threshold, neighbours)
    assert np.isfinite(links_CC).all()
    assert (np.diag(links_CC) > 0).all()


def test_without_a_file_a_label_is_what_comes_with_it(annotation: Make) -> None:
    states_NC = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], np.int8)
    train = annotation(states_NC)
    graph = build_label_graph(train, threshold=0.6, neighbours=0.25, vectors=None)
    np.testing.assert_allclose(graph.vectors_CE, [[1, 0.5, 0], [1, 1, 0], [0, 0, 1]])
    assert graph.links == 1
    assert graph.links_CC[0, 1] > 0
    assert graph.notes == (
        f"links counted in the 3 images of {train.source}, where a label is in at least 60% of"
        " another's images",
    )


def test_one_class_is_a_graph(annotation: Make) -> None:
    one = annotation(np.array([[1], [0]], np.int8))
    graph = build_label_graph(one, threshold=0.4, neighbours=0.25, vectors=None)
    assert graph.vectors_CE.tolist() == graph.links_CC.tolist() == [[1.0]]
    assert graph.links == 0


def test_links_come_from_a_file_by_name(annotation: Make, tmp_path: Path) -> None:
    train = annotation(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], np.int8))
    counted = conditional(train)
    order = [2, 0, 1]
    np.save(tmp_path / "links.npy", counted[np.ix_(order, order)] + np.eye(3))
    (tmp_path / "links.txt").write_text("".join(f"label {c}\n" for c in order))
    arguments = {"threshold": 0.6, "neighbours": 0.25, "vectors": None}
    read = build_label_graph(train, **arguments, adjacency=tmp_path / "links.npy")
    own = build_label_graph(train, **arguments)
    assert read.links_CC.equal(own.links_CC)
    assert read.vectors_CE.equal(own.vectors_CE)
    assert f"links from {tmp_path / 'links.npy'}" in read.notes[0]


@pytest.mark.parametrize(
    ("names", "matrix", "message"),
    [
        ("label 0\nlabel 1\nother", np.eye(3), "lists 3 classes, and not the 3 of the data set"),
        ("label 0\nlabel 1", np.eye(3), "lists 2 classes"),
        ("label 0\nlabel 1\nlabel 2\n", np.eye(2), "expected 3×3 finite numbers"),
        ("label 0\nlabel 1\nlabel 2\n", np.full((3, 3), np.nan), "expected 3×3 finite numbers"),
        (None, np.eye(3), "cannot be read"),
    ],
)
def test_links_that_do_not_fit_are_refused(
    annotation: Make, tmp_path: Path, names: str | None, matrix: np.ndarray, message: str
) -> None:
    train = annotation(np.eye(3, dtype=np.int8))
    np.save(tmp_path / "links.npy", matrix)
    if names:
        (tmp_path / "links.txt").write_text(names)
    with pytest.raises(DataError, match=message):
        build_label_graph(train, threshold=0.4, neighbours=0.25, vectors=None,
                          adjacency=tmp_path / "links.npy")  # fmt: skip
