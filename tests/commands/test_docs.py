"""Every command line of the pages: its command, flags and settings are there."""

import re
import shlex
from pathlib import Path

import pytest

from mlc_cli.main import COMMANDS, load_command
from mlc_cli.settings.fields import field_at, model_of
from mlc_cli.settings.presets import preset_names

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted(ROOT.glob(".github/docs/*.md")), ROOT / "datasets/README.md")
_INLINE = re.compile(r"`(mlc [^`]+)`")
_COMMAND = re.compile(r"(?:\$ )?(mlc [a-z-]+(?: .*|$))")
_SPOKEN_OF = ("mlc dataset-download", "mlc train --config")
"""Sentences name these without what follows."""
_PLACEHOLDER = re.compile(r"^(\.\.\.|\[.*\]|[|&;<>].*)$")


def command_lines() -> list[tuple[str, str]]:
    """Page and command of every line that begins with `mlc`, and of those inside sentences."""
    found = []
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        lines = [*text.splitlines(), *_INLINE.findall(text.replace("\n", " "))]
        commands = (_COMMAND.fullmatch(line.strip()) for line in lines)
        found += [(page.name, command[1]) for command in commands if command]
    return [one for one in dict.fromkeys(found) if one[1] not in _SPOKEN_OF]


def words(line: str) -> list[str]:
    """What is typed, up to a comment, a pipe or `...`."""
    kept = []
    for word in shlex.split(line, comments=True)[1:]:
        if _PLACEHOLDER.match(word):
            break
        kept.append(word)
    return kept


def test_pages_hold_commands() -> None:
    assert len(command_lines()) > 45
    assert {"README.md", "training.md", "export.md"} <= {page for page, _ in command_lines()}


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_every_command_of_the_pages_is_understood(page: str, line: str) -> None:
    name, *arguments = words(line)
    assert name in COMMANDS, f"{page}: {line}"
    given = load_command(name).make_context(name, arguments).params
    name = "train" if name == "tune" else name  # it searches among the settings of the other
    for assignment in given.get("assignments") or []:
        key = assignment.partition("=")[0]
        of = name
        if name == "dataset-download" and key.startswith("convert."):
            of, key = "dataset-convert", key.removeprefix("convert.")
        model = model_of(of)
        assert field_at(model, key) or field_at(model, key.rpartition(".")[0]), f"{page}: {line}"
    if preset := given.get("preset"):
        assert preset in preset_names(name), f"{page}: {line}"
