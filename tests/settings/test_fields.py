"""What settings say of themselves: lists, schema, reference."""

import json
from collections.abc import Callable
from typing import Annotated, Literal

import jsonschema
import pytest
from pydantic import Field

from mlc_cli.settings.base import Settings
from mlc_cli.settings.fields import MODELS, model_of, partial_schema, reference, settings_of
from mlc_cli.settings.presets import preset_names, presets_root
from mlc_cli.settings.renamed import RENAMED, modernised
from mlc_cli.settings.yaml_io import read_yaml

PRESETS = sorted((presets_root() / "train").glob("*.yaml"))


class First(Settings):
    """The first."""

    name: Literal["first"] = "first"
    both: int = 1
    """Said of both."""
    own: str = "x"
    """Of the first alone."""


class Second(Settings):
    """The second."""

    name: Literal["second"] = "second"
    both: int = 1
    """Said of both."""


class Model(Settings):
    """All kinds of fields."""

    needed: Annotated[float, Field(gt=0, le=2)]
    """Must be given."""
    choice: Literal["a", "b"] | None = None
    """One of two."""
    pair: tuple[int, int] = (3, 4)
    """Two numbers."""
    part: Annotated[First | Second, Field(discriminator="name")] = Second()


def test_every_field_is_listed_with_type_bounds_default_and_docstring() -> None:
    assert [tuple(one) for one in settings_of(Model)] == [
        ("needed", "", "number > 0 <= 2", "", "Must be given."),
        ("choice", "", "a | b | null", "null", "One of two."),
        ("pair", "", "[whole number, whole number]", "[3, 4]", "Two numbers."),
        ("part", "", "section of name first | second", "{name: second}",
         "first: The first. second: The second."),
        ("part.name", "first", "first", "first", ""),
        ("part.both", "", "whole number", "1", "Said of both."),
        ("part.own", "first", "text", "x", "Of the first alone."),
        ("part.name", "second", "second", "second", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("command", MODELS)
def test_every_setting_explains_itself(command: str) -> None:
    silent = [one.key for one in settings_of(model_of(command)) if not one.doc]
    assert [key for key in silent if not key.endswith(".name")] == []


def test_the_reference_and_the_schema_beside_the_presets_are_current() -> None:
    """`mlc settings --markdown` and `mlc settings train --schema` write them anew."""
    text = (presets_root() / "README.md").read_text(encoding="utf-8")
    recipe = (presets_root() / "published.md").read_text(encoding="utf-8")
    assert text == f"{reference()}\n{recipe}"
    schema = partial_schema(model_of("train"), preset_names("train"))
    assert json.loads((presets_root() / "train.schema.json").read_text("utf-8")) == schema


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_name_the_schema_and_obey_it(path) -> None:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    assert first == "# yaml-language-server: $schema=../train.schema.json"
    schema = json.loads((path.parent / first.partition("=")[2]).read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(read_yaml(path), schema)


@pytest.mark.parametrize(
    "content", [{"epoch": 3}, {"epochs": "many"}, {"optim": {"lr": -1}}, {"extends": "nothing"}]
)
def test_the_schema_finds_what_is_wrong(content: dict[str, object]) -> None:
    schema = partial_schema(model_of("train"), preset_names("train"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema)


def test_old_names_are_read_from_files_and_new_ones_win() -> None:
    old = {"parity": {"fp32": {"map": 0.1, "logit": 1}, "fp16": {"map": 0.2, "mean_ap": 0.3}}}
    assert modernised(old) == {
        "parity": {"fp32": {"mean_ap": 0.1, "logit": 1}, "fp16": {"mean_ap": 0.3}}
    }
    assert old["parity"]["fp32"] == {"map": 0.1, "logit": 1}
    known = {one.key for command in MODELS for one in settings_of(model_of(command))}
    assert set(RENAMED.values()) <= known
    assert not set(RENAMED) & known


def test_a_flag_is_told_the_new_name(mlc: Callable[..., object]) -> None:
    outcome = mlc("export", "--set", "parity.fp32.map=0.1")
    assert outcome.code == 2
    assert "it is called 'parity.fp32.mean_ap' now" in outcome.err


def test_settings_are_shown_and_near_keys_offered(mlc: Callable[..., object]) -> None:
    shown = mlc("settings", "train", "optim.sam.rho")
    assert shown.out.splitlines() == [
        "optim.sam.rho: number > 0 = 0.05", "    Radius of the neighbourhood."]  # fmt: skip
    assert len(json.loads(mlc("settings", "predict", "--json").out)) > 20
    wrong = mlc("settings", "train", "optim.lrr")
    assert (wrong.code, "did you mean 'optim.lr'?" in wrong.err) == (2, True)
    assert "did you mean 'train'?" in mlc("settings", "trian").err
