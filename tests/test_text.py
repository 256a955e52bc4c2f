import json

import pytest

from mlc_cli import text


@pytest.mark.parametrize(
    ("count", "expected"), [(0, ""), (2, "0, 1"), (3, "0, 1, 2"), (1203, "0, 1, 2 and 1,200 more")]
)
def test_some_names_and_the_number_of_the_rest(count: int, expected: str) -> None:
    assert text.some(range(count), 3) == expected


def test_a_listing_counts_what_it_does_not_show() -> None:
    assert text.listing(["a", "b"]) == "  a\n  b"
    assert text.listing(["a"], 1001) == "  a\n  ... and 1,000 more"


def test_only_the_side_that_has_names_of_its_own_is_listed() -> None:
    assert text.only_one_side(["a", "c", "b"], ["b"]) == "  only here: a, c"
    assert text.only_one_side([1], [1]) == ""


def test_the_nearest_word_is_asked_for_and_no_far_one() -> None:
    assert text.nearest("chekpoint", ["checkpoint", "other"]) == ", did you mean 'checkpoint'?"
    assert text.nearest("zebra", ["checkpoint"]) == ""


@pytest.mark.parametrize("first", ["=", "+", "-", "@"])
def test_a_formula_is_guarded_if_so_wanted(first: str) -> None:
    assert text.csv_cell(f"{first}HYPERLINK(1)") == f"'{first}HYPERLINK(1)"
    assert text.csv_cell(f"{first}HYPERLINK(1)", guard=False) == f"{first}HYPERLINK(1)"


@pytest.mark.parametrize("name", ["", "cat", "a=b", "日本", "7", "क्षि", "a\u200db", "👩\u200d🚒"])
def test_other_names_stay(name: str) -> None:
    assert text.csv_cell(name) == text.plain(name) == name


HOSTILE = [
    "\x1b[31m",
    "\x9b31m",
    "\r",
    "\t",
    "\n",
    "\u202e",
    "\u2066",
    "\u2028",
    "\udcff",
    "\U000e0041",
]


@pytest.mark.parametrize("part", HOSTILE, ids=ascii)
def test_what_moves_a_cursor_or_turns_a_line_is_shown_as_json_has_it(part: str) -> None:
    shown = text.plain(f"a{part}b")
    assert shown.isprintable()
    assert json.loads(f'"{shown}"') == f"a{part}b"
    assert text.some([f"a{part}b"]) == text.csv_cell(f"a{part}b") == shown
    assert text.listing([f"a{part}b"]) == f"  {shown}"
