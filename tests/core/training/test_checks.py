"""What is advised where labels are unknown."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.training.checks import advice_on_unknown

NAMES = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("images", "unlisted", "unknown", "words"),
    [
        ([["1.jpg", ["a", "b"]], ["2.jpg", ["c"]]], "unknown", "ignore", "learnt as present"),
        ([["1.jpg", ["a", "b"]], ["2.jpg", ["c"]]], "unknown", "selective", ""),
        ([["1.jpg", ["a"], ["b"]], ["2.jpg", ["c"], ["a"]]], "unknown", "ignore", "33% of the"),
        ([["1.jpg", ["a"], ["b"]], ["2.jpg", ["c", "b"]]], "absent", "ignore", ""),
        ([["1.jpg", ["a"]], ["2.jpg", ["c"]]], "absent", "ignore", "exactly one label"),
        ([["1.jpg", ["a"]], ["2.jpg", []]], "absent", "ignore", ""),
    ],
)
def test_the_choice_is_explained_where_labels_call_for_it(
    tmp_path: Path, images: list[Any], unlisted: str, unknown: str, words: str
) -> None:
    content = {"classes": NAMES, "unlisted": unlisted, "images": images}
    (tmp_path / "train.json").write_text(json.dumps(content))
    advice = advice_on_unknown(read_annotation(tmp_path / "train.json"), unknown)
    assert (words in advice) if words else not advice
