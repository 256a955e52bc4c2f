"""The presets of the paper against what was published; run as a module, it writes their headers.

The table that `mlc settings --markdown` shows, presets/published.md, is written then, too.
"""

import re
from pathlib import Path
from textwrap import wrap
from typing import Any

import pytest

from mlc_cli.settings.presets import load_card, presets_root
from tests.published import at, paper_presets, published_rows, published_table, resolved, words

HEAD = "As published (arXiv 2209.06585 and the code behind it):"
"""First line of the generated part of a preset's header, which goes to its end."""

UNSTATED = {
    "name", "output", "mirror", "minutes", "until", "data", "device", "precision", "channels_last",
    "compile", "save_minutes", "save_steps", "download", "matmul", "sync_bn", "warm_start",
    "distill",
}  # fmt: skip
"""Sections that say where and how to run, of which the paper has nothing or the table a row."""


def published_page() -> str:
    return f"## The paper's recipe\n\n{published_table()}\n"


def path_of(name: str) -> Path:
    return presets_root() / "train" / f"{name}.yaml"


def published_value(row: dict[str, Any], preset: str) -> Any:
    """What was published for a preset; NUS-WIDE and VG-500 take what COCO has."""
    value = row["published"]
    if not isinstance(value, dict):
        return value
    return value["voc" if preset.endswith("-voc") else "coco"]


def rows_of(preset: str) -> list[dict[str, Any]]:
    """Rows of the table that are about a preset."""
    return [row for row in published_rows() if re.search(row.get("only", ""), preset)]


def header(preset: str) -> list[str]:
    """The table as it stands at the head of a preset: what is the same, then what is not."""
    settings, same, other = resolved(preset), [], []
    for row in rows_of(preset):
        published = words(published_value(row, preset))
        own = row.get("ours") or words(at(settings, row["key"]))
        if own in (published, "the same", "as published"):
            same.append(f"{row['field']} ({published})")
        else:
            cells = (row["field"], published, own, row["why"])
            other += wrap(" | ".join(cells), 96, initial_indent="  ", subsequent_indent="      ")
    as_published = wrap(f"{'; '.join(same)}.", 96, initial_indent="  ", subsequent_indent="  ")
    return [
        f"# {line}" for line in (HEAD, *as_published, "field | published | here | why:", *other)
    ]


def regenerated(name: str) -> str:
    """The preset with its header made anew."""
    lines = path_of(name).read_text(encoding="utf-8").splitlines()
    end = next(place for place, line in enumerate(lines) if not line.startswith("#"))
    own = lines[: lines.index(f"# {HEAD}")] if f"# {HEAD}" in lines else lines[:end]
    return "\n".join([*own, *header(name), *lines[end:]]) + "\n"


@pytest.mark.parametrize("name", paper_presets())
def test_no_setting_differs_that_the_table_does_not_list(name: str) -> None:
    settings = resolved(name)
    for row in rows_of(name):
        if "key" in row and at(settings, row["key"]) != published_value(row, name):
            assert row.get("why"), row["field"]


@pytest.mark.parametrize("name", paper_presets())
def test_every_setting_of_a_recipe_is_in_the_table(name: str) -> None:
    """What a preset sets, and all that is off by default, was published or is said to be ours."""
    told = {row["key"] for row in rows_of(name) if "key" in row}
    settings = resolved(name)
    for section in ("augment", "optim", "ema", "early_stop", "loss", "schedule"):
        for key, value in settings[section].items():
            named = any(row.startswith(f"{section}.{key}") for row in told)
            default = value in (None, 1, 1.0, 0.0, "ignore")
            default |= key in ("clip", "min_delta", "selective")
            assert named or default, f"{section}.{key}"
    assert set(settings) - UNSTATED - {k.partition(".")[0] for k in told} <= {"model"}


@pytest.mark.parametrize("name", paper_presets())
def test_header_is_the_table(name: str) -> None:
    assert path_of(name).read_text(encoding="utf-8") == regenerated(name), (
        "python -m tests.settings.test_published writes the headers anew"
    )


@pytest.mark.parametrize("row", published_rows(), ids=lambda row: row["field"])
def test_every_row_says_what_is_ours_and_why_it_differs(row: dict[str, object]) -> None:
    assert ("key" in row) != ("ours" in row)
    assert any(row in rows_of(name) for name in paper_presets())
    if "ours" in row and row["ours"] not in ("the same", "as published"):
        assert row["why"]


@pytest.mark.parametrize("name", paper_presets())
def test_a_quoted_number_says_where_it_comes_from(name: str) -> None:
    card = load_card("train", name)
    if card.published is not None:
        said = card.published_on or ""
        assert re.search(r"start weights|weights are not named", said)
        assert re.search(r"mAP of \d+ classes on .*not measured here", said)
    assert card.measured is not None or "not measured" in card.time


def test_the_shown_table_is_current() -> None:
    shown = (presets_root() / "published.md").read_text(encoding="utf-8")
    assert shown == published_page(), "python -m tests.settings.test_published writes it anew"


if __name__ == "__main__":
    (presets_root() / "published.md").write_text(published_page(), encoding="utf-8")
    for preset in paper_presets():
        path_of(preset).write_text(regenerated(preset), encoding="utf-8")
