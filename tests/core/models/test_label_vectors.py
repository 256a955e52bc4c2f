"""Vectors of labels: what files are taken, what is assumed, what is refused."""

from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.models.label_vectors import read_vectors
from mlc_cli.errors import DataError

WORDS = """\
the 9 9
table 1 0
dining 0 1
plant 2 2
tv 4 0
potted 0 4
monitor 0 6
pot 7 7
ted 8 8
person 5 5
"""


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text(WORDS)
    return path


def test_a_word_has_its_own_vector(words: Path) -> None:
    vectors_CE, notes = read_vectors(words, ["Person", "plant"])
    assert vectors_CE.tolist() == [[5, 5], [2, 2]]
    assert notes == []


@pytest.mark.parametrize("label", ["dining table", "Dining_Table", "dining-table", "table/dining"])
def test_words_of_a_label_are_averaged(words: Path, label: str) -> None:
    vectors_CE, notes = read_vectors(words, [label])
    assert vectors_CE.tolist() == [[0.5, 0.5]]
    assert notes == []


def test_words_written_as_one_are_taken_apart_and_named(words: Path) -> None:
    vectors_CE, notes = read_vectors(words, ["diningtable", "pottedplant", "tvmonitor"])
    assert vectors_CE.tolist() == [[0.5, 0.5], [1, 3], [2, 3]]
    assert [note.split(": ")[1] for note in notes] == [
        "'diningtable' is taken for 'dining table'",
        "'pottedplant' is taken for 'potted plant'",
        "'tvmonitor' is taken for 'tv monitor'",
    ]


def test_of_several_ways_to_take_a_word_apart_the_more_frequent_one_is_taken(
    tmp_path: Path,
) -> None:
    path = tmp_path / "words.txt"
    path.write_text("car 1\npet 2\ncarp 3\net 4\n")
    vectors_CE, notes = read_vectors(path, ["carpet"])
    assert vectors_CE.tolist() == [[1.5]]
    assert "'car pet'" in notes[0]


def test_unknown_parts_of_a_label_are_left_out_and_named(words: Path) -> None:
    vectors_CE, notes = read_vectors(words, ["xyzzy table"])
    assert vectors_CE.tolist() == [[1, 0]]
    assert "'xyzzy table' is taken for 'table'" in notes[0]


def test_labels_without_a_vector_are_all_named(words: Path) -> None:
    with pytest.raises(DataError, match=r"lacks vectors of 2 labels:\n  xyzzy\n  äöü"):
        read_vectors(words, ["person", "xyzzy", "äöü"])


def test_numbers_have_no_word_vectors(words: Path) -> None:
    with pytest.raises(DataError, match="labels that are numbers"):
        read_vectors(words, [0, 1])


def test_the_head_of_a_fasttext_file_is_no_word(tmp_path: Path) -> None:
    path = tmp_path / "words.vec"
    path.write_text("2 3\n2 7 7 7\ncat 1 2 3 \n")
    assert read_vectors(path, ["cat"])[0].tolist() == [[1, 2, 3]]


def test_arrays_by_label(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", **{"7": [1.0, 2.0], "11": [3.0, 4.0], "more": [0.0]})
    vectors_CE, notes = read_vectors(tmp_path / "v.npz", [7, 11])
    assert vectors_CE.tolist() == [[1, 2], [3, 4]]
    assert vectors_CE.dtype == np.float32
    assert notes == []
    with pytest.raises(DataError, match=r"lacks vectors of 1 labels:\n  12"):
        read_vectors(tmp_path / "v.npz", [7, 12])


def test_rows_are_taken_in_sorted_order_and_that_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.eye(3))
    vectors_CE, notes = read_vectors(tmp_path / "v.npy", ["a", "b", "c"])
    assert vectors_CE.tolist() == np.eye(3).tolist()
    assert "first row is taken for 'a', its last for 'c'" in notes[0]
    with pytest.raises(DataError, match="not a row for each of 2 labels"):
        read_vectors(tmp_path / "v.npy", ["a", "b"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.txt", b"person 1 2\ntable 1\n", "not all of one length"),
        ("v.txt", b"person 1 two\ntable 1 2\n", "cannot be read: could not convert"),
        ("v.txt", b"person 1 nan\ntable 1 2\n", "not finite"),
        ("v.txt", b"\xff\xfe\x00", "cannot be read"),
        ("v.npz", b"PK\x03\x04damaged", "cannot be read"),
        ("v.npy", b"damaged", "cannot be read"),
        ("v.npy", None, "cannot be read"),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}.*{message}"):
        read_vectors(tmp_path / name, ["person", "table"])


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(tmp_path / "v.npy", ["a"])
