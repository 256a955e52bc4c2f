"""YAML in and out, without the surprises of YAML 1.1.

PyYAML reads `5e-4` as text, `on` as true, `010` as 8, `12:30` as 750, and silently keeps the last
of two equal keys. Here numbers and booleans follow the core schema of YAML 1.2, except that
`010` stays the text that it is, and a repeated key is a fault.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from mlc_cli.errors import SettingsError


class CoreLoader(yaml.SafeLoader):
    """Safe loader with the core schema of YAML 1.2 and unique keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        """Read a mapping, refusing a key that occurs twice."""
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    problem="a key must be a text", problem_mark=key_node.start_mark
                )
            line = key_node.start_mark.line + 1
            if key in seen:
                raise SettingsError(
                    f"line {line}: the key '{key}' is already set in line {seen[key]}"
                )
            seen[key] = line
        return super().construct_mapping(node, deep)


class CoreDumper(yaml.SafeDumper):
    """Safe dumper that quotes what CoreLoader, or a loader of YAML 1.1, would not read as text."""


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    for _kind in (CoreLoader, CoreDumper):
        _kind.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first)
        )


def parse_yaml(text: str, where: str) -> Any:
    """Read YAML text; `where` says in messages what it is.

    Raises:
        SettingsError: The text is not YAML, or repeats a key.
    """
    try:
        return yaml.load(text, Loader=CoreLoader)  # CoreLoader is a SafeLoader
    except SettingsError as error:
        raise SettingsError(f"{where}: {error.message}", "Keep one of the two.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise SettingsError(f"{where}{line}: not valid YAML: {problem}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # what PyYAML lets through: `!!int x`, numbers of 5000 digits, nesting without end
        raise SettingsError(f"{where}: not valid YAML: {error}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file whose top level is a mapping (an empty file is an empty mapping).

    Raises:
        SettingsError: The file is missing, not text, not YAML or not a mapping.
    """
    if path.is_fifo() and not path.is_relative_to("/dev"):  # where a shell puts <(...)
        raise SettingsError(f"{path}: cannot be read: it is a pipe, of which no end may come")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not a text file in UTF-8") from None
    content = parse_yaml(text, str(path))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: holds {type(content).__name__}, expected `key: value` lines")
    return content


def dump_yaml(content: dict[str, Any]) -> str:
    """Write settings as YAML text in their own order."""
    return yaml.dump(content, Dumper=CoreDumper, sort_keys=False, allow_unicode=True, width=100)
