"""Laying settings over one another, and reading `--set`."""

from typing import Any

import pytest

from mlc_cli.errors import SettingsError, UsageError
from mlc_cli.settings.merge import default_names, merge, nested, parse_assignments
from mlc_cli.settings.train import TrainSettings


@pytest.mark.parametrize(
    ("below", "over", "result"),
    [
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": {"x": 1}}, {"a": 5}, {"a": 5}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
    ],
)
def test_what_is_above_wins_key_by_key(below: Any, over: Any, result: Any) -> None:
    assert merge(below, over) == result


def test_another_name_replaces_the_section() -> None:
    below = {"loss": {"name": "asl", "clip": 0.1, "gamma_neg": 2}}
    assert merge(below, {"loss": {"name": "bce"}}) == {"loss": {"name": "bce"}}


def test_the_same_name_and_none_at_all_keep_the_section() -> None:
    below = {"loss": {"name": "asl", "clip": 0.1}}
    kept = {"loss": {"name": "asl", "clip": 0.1, "gamma_neg": 2}}
    assert merge(below, {"loss": {"name": "asl", "gamma_neg": 2}}) == kept
    assert merge(below, {"loss": {"gamma_neg": 2}}) == kept


def test_another_name_deep_inside_replaces_only_there() -> None:
    below = {"model": {"backbone": "x", "head": {"name": "ml_decoder", "dim": 8}}}
    over = {"model": {"head": {"name": "linear"}}}
    assert merge(below, over) == {"model": {"backbone": "x", "head": {"name": "linear"}}}


def test_the_name_of_the_run_replaces_nothing() -> None:
    assert merge({"name": "a", "epochs": 3}, {"name": "b"}) == {"name": "b", "epochs": 3}


def test_neither_layer_is_changed() -> None:
    below, over = {"a": {"x": 1}}, {"a": {"y": 2}}
    merge(below, over)
    assert (below, over) == ({"a": {"x": 1}}, {"a": {"y": 2}})


def test_default_kinds_are_the_lowest_layer() -> None:
    names = default_names(TrainSettings)
    assert names["loss"] == {"name": "bce"}
    assert names["optim"] == {"name": "adamw"}
    assert names["schedule"] == {"name": "one_cycle"}
    assert names["model"] == {"head": {"name": "linear"}}
    assert "ema" not in names


@pytest.mark.parametrize(
    ("assignment", "tree"),
    [
        ("epochs=3", {"epochs": 3}),
        ("optim.lr=5e-4", {"optim": {"lr": 5e-4}}),
        ("data.root=a=b=c", {"data": {"root": "a=b=c"}}),
        ("data.root=C:\\data", {"data": {"root": "C:\\data"}}),
        ("data.root=mes photos/été", {"data": {"root": "mes photos/été"}}),
        ("ema=null", {"ema": None}),
        ("ema=", {"ema": None}),
        ("compile=true", {"compile": True}),
        ("data.input_size=[224, 320]", {"data": {"input_size": [224, 320]}}),
        ("optim.sam={rho: 0.1}", {"optim": {"sam": {"rho": 0.1}}}),
        ("name='007'", {"name": "007"}),
        (" optim.lr =1", {"optim": {"lr": 1}}),
    ],
)
def test_an_assignment_is_a_key_and_a_yaml_value(assignment: str, tree: dict[str, Any]) -> None:
    assert parse_assignments([assignment]) == tree


def test_assignments_add_up_and_the_last_wins() -> None:
    given = ["optim.lr=1", "optim.sam.rho=2", "optim.lr=3"]
    assert parse_assignments(given) == {"optim": {"lr": 3, "sam": {"rho": 2}}}


@pytest.mark.parametrize("assignment", ["epochs", "", "=1", "optim..lr=1", ".lr=1", "optim.=1"])
def test_an_assignment_without_a_key_is_refused(assignment: str) -> None:
    with pytest.raises(UsageError, match=r"expected section\.key=value"):
        parse_assignments([assignment])


def test_a_value_that_is_not_yaml_is_refused_with_its_key() -> None:
    with pytest.raises(SettingsError, match=r"--set data\.input_size"):
        parse_assignments(["data.input_size=[1, 2"])


def test_a_section_after_a_plain_value_wins() -> None:
    assert nested({"ema": None, "ema.decay": 0.5}) == {"ema": {"decay": 0.5}}
