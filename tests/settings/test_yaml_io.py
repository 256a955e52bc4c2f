"""YAML in and out: the traps of YAML 1.1, and text that survives the way there and back."""

import random
from pathlib import Path

import pytest

from mlc_cli.errors import SettingsError
from mlc_cli.settings.yaml_io import dump_yaml, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-4", 5e-4),
        ("1e4", 1e4),
        ("-2.5E+3", -2500.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-0.0", 0.0),
        ("12", 12),
        ("-7", -7),
        ("+7", 7),
        ("0", 0),
        (".inf", float("inf")),
        ("-.inf", -float("inf")),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("[1, 2.0, a]", [1, 2.0, "a"]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_plain_values(text: str, value: object) -> None:
    found = parse_yaml(text, "here")
    assert found == value
    assert type(found) is type(value)


LOOKALIKES = """
on off Off yes no y n 010 00 -08 12:30 1:2:3 0x1F 1_000 2020-01-01 1.2.3 e5 . 1e = nan
"""


@pytest.mark.parametrize("text", LOOKALIKES.split())
def test_what_looks_like_something_in_other_yaml_stays_text(text: str) -> None:
    assert parse_yaml(text, "here") == text


@pytest.mark.parametrize(
    ("text", "again", "first"),
    [
        ("a: 1\nb: 2\na: 3", 3, 1),
        ("x:\n  lr: 1\n  k: 2\n\n  lr: 1", 5, 2),
        ("- {a: 1, b: 2,\n   a: 3}", 2, 1),
    ],
)
def test_a_repeated_key_is_refused_with_both_lines(text: str, again: int, first: int) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_yaml(text, "my.yaml")
    assert f"my.yaml: line {again}: " in caught.value.message
    assert f"already set in line {first}" in caught.value.message


def test_equal_keys_of_different_sections_are_fine() -> None:
    assert parse_yaml("a: {lr: 1}\nb: {lr: 2}", "here") == {"a": {"lr": 1}, "b": {"lr": 2}}


@pytest.mark.parametrize(
    "text",
    [
        "a: [1",
        "a: b: c",
        "a: 'x",
        "\ta: 1",
        "@a",
        "a: !!python/object/apply:os.system [ls]",
        "a: !!int x",
        "a: !!bool x",
        "a: !!timestamp x",
        "? [a]\n: b",
        "? {a: 1}\n: b",
        "a: \x00",
        "a: " + "1" * 5000,
        "[" * 5000,
        "a: *nowhere",
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_what_is_not_yaml_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"(?s)^my\.yaml.*not valid YAML"):
        parse_yaml(text, "my.yaml")


def test_a_fault_names_its_line() -> None:
    with pytest.raises(SettingsError, match=r"my\.yaml, line 3: "):
        parse_yaml("a: 1\nb: 2\nc: d: e\n", "my.yaml")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbfepochs: 3\r\nname: x\r\n")
    assert read_yaml(path) == {"epochs": 3, "name": "x"}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_is_an_empty_mapping(tmp_path: Path, text: str) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text(text)
    assert read_yaml(path) == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"- a\n- b\n", "holds list"),
        (b"just words", "holds str"),
        (b"\xff\xfea\x00:\x00", "not a text file in UTF-8"),
        (b"caf\xe9: 1", "not a text file in UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "other.yaml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=words):
        read_yaml(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(SettingsError, match="directory"):
        read_yaml(tmp_path)


NUMBERLIKE = "1e4 5e-4 -1e3 08 010 on no null ~ true .inf .5 12:30 0x1 1_000"
MARKS = "#x ' \" [a {a} %a @a !a &a *a | > << = - ? : , C:\\x"
SPACED = ["", "a: b", "a #b", "été 日本 🐱", "two\nlines", " lead", "trail ", "- a", "\ufeffa"]
LONG = ["word " * 60, "x" * 300]


@pytest.mark.parametrize("text", [*NUMBERLIKE.split(), *MARKS.split(), *SPACED, *LONG])
def test_text_is_read_back_as_written(text: str) -> None:
    content = {"key": text, "list": [text, 1], "inner": {"key": text}}
    assert parse_yaml(dump_yaml(content), "here") == content


def test_random_values_are_read_back_as_written() -> None:
    rng = random.Random(0)
    characters = "0123456789eE+-._:~ #'\"[]{}!&*|>%@,?=<xnulytrofsaé日\n"
    for _ in range(1500):
        text = "".join(rng.choices(characters, k=rng.randint(0, 8)))
        value = rng.choice([rng.uniform(-1, 1) * 10 ** rng.randint(-20, 20), rng.getrandbits(40)])
        content = {"text": text, "number": value}
        assert parse_yaml(dump_yaml(content), "here") == content


def test_keys_keep_their_order() -> None:
    assert list(parse_yaml(dump_yaml({"z": 1, "a": 2, "m": 3}), "here")) == ["z", "a", "m"]
