"""The presets of the paper against what was published."""

import re

import pytest

from mlc_cli.settings.presets import load_card, presets_root
from mlc_cli.settings.published import (
    paper_presets,
    published_rows,
    published_value,
    resolved,
)

ROWS = [row for row in published_rows() if "key" in row]


@pytest.mark.parametrize("name", paper_presets())
def test_no_setting_differs_that_the_table_does_not_list(name: str) -> None:
    settings = resolved(name)
    header = (presets_root() / "train" / f"{name}.yaml").read_text(encoding="utf-8")
    for row in ROWS:
        value = settings
        for part in row["key"].split("."):
            value = value[part]
        if value != published_value(row, name):
            assert row.get("why") or row["key"].rpartition(".")[2] in header, row["field"]


@pytest.mark.parametrize("row", published_rows(), ids=lambda row: row["field"])
def test_every_row_says_what_is_ours_and_why_it_differs(row: dict[str, object]) -> None:
    assert ("key" in row) != ("ours" in row)
    if "ours" in row and row["ours"] not in ("the same", "as published"):
        assert row["why"]


@pytest.mark.parametrize("name", paper_presets())
def test_a_quoted_number_says_where_it_comes_from(name: str) -> None:
    card = load_card("train", name)
    if card.published is not None:
        assert re.search(r"start weights|weights are not named", card.published_on or "")
    assert card.measured is not None or "not measured" in card.time
