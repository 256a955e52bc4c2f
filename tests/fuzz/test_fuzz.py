"""Damaged files are refused with a message: no traceback, no hang.

`python -m tests.fuzz` tries more of them.
"""

import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.run import fuzz

MUTANTS = {"card": 40, "oldcard": 40, "onnx": 60, "ir": 60, "onnxgraph": 60,
           "irgraph": 60, "state": 80, "oldstate": 100,
           "npz": 200, "npy": 300, "yaml": 60, "images": 500}  # fmt: skip


@pytest.fixture
def alarm() -> Iterator[None]:
    """The handler of the signal that ends hangs is put back."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("kind", MUTANTS)
def test_mutants_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tally = fuzz(kind, tmp_path, range(MUTANTS[kind]))
    assert tally.faults == []
    if kind in ("card", "onnx", "ir", "state"):
        assert tally.same <= MUTANTS[kind] / 50
        assert tally.other == 0
    assert tally.refused > MUTANTS[kind] / 4
