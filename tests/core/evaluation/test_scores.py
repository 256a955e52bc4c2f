"""Scores that are read as a whole, and those that are larger."""

from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.evaluation import scores as module
from mlc_cli.core.evaluation.scores import SavedScores, read_scores, write_scores
from mlc_cli.errors import DataError


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_large_file_is_mapped(
    order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    probabilities_NC = np.asarray(rng.random((40, 3)), order=order)
    targets_NC = np.asarray(rng.integers(-1, 2, (40, 3)), np.int8, order=order)
    paths = [f"{number}.jpg" for number in range(40)]
    file = tmp_path / "scores.npz"
    write_scores(file, SavedScores(probabilities_NC, targets_NC, ["a", "b", "c"], paths))
    monkeypatch.setattr(module, "MAPPED_BYTES", 100)
    found = read_scores(file)
    for array, written in (
        (found.probabilities_NC, probabilities_NC), (found.targets_NC, targets_NC)
    ):  # fmt: skip
        assert isinstance(array, np.memmap)
        assert array.dtype == written.dtype
        np.testing.assert_array_equal(array, written)
    with np.load(file) as arrays:
        np.savez_compressed(file, **arrays)
    with pytest.raises(DataError, match="compressed, and too large"):
        read_scores(file)


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(wrong: float, tmp_path: Path) -> None:
    file = tmp_path / "scores.npz"
    write_scores(file, SavedScores(np.array([[wrong]]), np.ones((1, 1), np.int8), ["a"], ["1"]))
    with pytest.raises(DataError, match=r"not in 0\.\.1"):
        read_scores(file)


def test_another_file_is_refused_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no scores")
    with pytest.raises(DataError, match=r"it is no \.npz file"):
        read_scores(tmp_path / "notes.txt")
