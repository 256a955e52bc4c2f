"""Identifiers as tools write them."""

import re

from mlc_cli.core.datasets.formats.shared.json_files import Id

_WHOLE = re.compile(r"(0|-?[1-9][0-9]{0,17})(?:\.0+)?")


def id_key(value: Id) -> Id:
    """An identifier for comparing: `7`, `7.0`, `"7"` and `"7.0"` are 7; `"007"` is text."""
    if type(value) is float:
        return int(value) if value.is_integer() else value
    if type(value) is str:
        text = value.strip()
        return int(match[1]) if (match := _WHOLE.fullmatch(text)) else text
    return value
