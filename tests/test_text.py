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
