"""Fixtures that tests of several jobs share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Mlc = Callable[..., Any]


@pytest.fixture
def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_dataset: Callable[..., Path],
    mlc: Mlc,
    tiny: list[str],
) -> Path:
    """A finished run of two epochs in the working folder."""
    make_dataset(16, 12)
    monkeypatch.chdir(tmp_path)
    outcome = mlc("train", "--data", "data", "--epochs", "2", *tiny)
    assert outcome.code == 0, outcome.err
    return Path("runs/train-1")
