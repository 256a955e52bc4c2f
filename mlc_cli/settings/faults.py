"""pydantic's findings, in the words of the user."""

import re
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mlc_cli.errors import SettingsError
from mlc_cli.settings.fields import doc_of, field_at, models_at, models_in, settings_of
from mlc_cli.settings.renamed import RENAMED
from mlc_cli.text import nearest

SHOWN = 60
"""Characters of a value that a message shows."""
SUGGESTED = 3
"""Keys that a message names at most."""
_QUOTED = re.compile("'([^']+)'")


def settings_error(model: type[BaseModel], error: ValidationError) -> SettingsError:
    """One error that lists every fault, each with its dotted key and the repair."""
    lines = _lines(model, error.errors())
    noun = "fault" if len(lines) == 1 else "faults"
    return SettingsError(
        f"{len(lines)} {noun} in the settings:\n" + "\n".join(f"  {line}" for line in lines),
        "Add --show-settings to see the settings as they were put together.",
    )


def _lines(model: type[BaseModel], faults: Sequence[ErrorDetails]) -> list[str]:
    """A line for each key; what the members of a union would have taken is one fault."""
    problems: dict[tuple[str, str], list[str]] = {}
    inside = [fault["loc"][:-1] for fault in faults]  # pydantic counts the good members alone
    for fault in faults:
        if fault["type"] == "too_short" and fault["loc"] in inside:
            continue
        key, problem, got = _describe(model, fault)
        problems.setdefault((key, got), []).append(problem)
    return [
        f"{key}{': ' * bool(key)}{_either(texts)}{got}{_doc(model, key, texts[0])}"
        for (key, got), texts in problems.items()
    ]


def _doc(model: type[BaseModel], key: str, problem: str) -> str:
    """What the setting means, or the one that was probably meant."""
    meant = _QUOTED.search(problem.partition("did you mean ")[2])
    near = meant[1] if meant else ""
    candidates = (near, f"{key.rpartition('.')[0]}.{near}".lstrip("."), key)
    fields = [field for name in candidates if name and (field := field_at(model, name))]
    doc = doc_of(fields[0]) if fields else ""
    return f"\n    {near + ': ' if near else ''}{doc}" if doc else ""


def _either(problems: Sequence[str]) -> str:
    return " or ".join(dict.fromkeys(problems)).replace(" or expected ", " or ")


def _describe(model: type[BaseModel], fault: ErrorDetails) -> tuple[str, str, str]:
    """Key, what is wrong with it, and what was given where that says more."""
    path = _without_tags(model, fault["loc"])
    key, got = ".".join(path), ""
    match fault["type"]:
        case "extra_forbidden":
            problem = f"unknown setting{_suggestion(model, path)}"
        case "missing" if isinstance(fault["loc"][-1], int):
            problem, got = "too few values", _got(fault)
        case "too_short":
            problem, got = "too few values", _got(fault)
        case "missing":
            problem = f"missing{_flag(model, path)}"
        case "union_tag_not_found":
            kinds = ", ".join(f"'{kind}'" for kind in _kinds(models_at(model, path)))
            key, problem = f"{key}.name", f"missing, expected one of {kinds}"
        case "union_tag_invalid":
            tag, kinds = str(fault["ctx"]["tag"]), fault["ctx"]["expected_tags"]
            near = nearest(tag, _words(kinds))
            key, problem = f"{key}.name", f"'{tag}' is not one of {kinds}{near}"
        case "model_type" | "model_attributes_type" | "dict_type":
            problem, got = "expected a section of settings", _got(fault)
        case "string_pattern_mismatch":
            problem, got = "expected another form", _got(fault)
        case _:
            problem, got = _plain(fault["msg"]), _got(fault) if path else ""
    return key, problem, got


def _got(fault: ErrorDetails) -> str:
    text = repr(fault["input"])
    return f", got {text if len(text) <= SHOWN else f'{text[:SHOWN]}...'}"


def _flag(model: type[BaseModel], path: Sequence[str]) -> str:
    """The flag that sets a key, where the field names one."""
    fields = [m.model_fields.get(path[-1]) for m in models_at(model, path[:-1])]
    extra = fields[0].json_schema_extra if fields and fields[0] else None
    return f", pass {extra['flag']}" if isinstance(extra, dict) and "flag" in extra else ""


def _kinds(candidates: Sequence[type[BaseModel]]) -> list[str]:
    """The `name` of each kind of section."""
    return [str(c.model_fields["name"].default) for c in candidates if "name" in c.model_fields]


def _plain(message: str) -> str:
    wanted = message.removeprefix("Value error, ").partition(", unable to parse")[0]
    wanted = wanted.replace("a valid tuple", "a list such as [a, b]")
    return re.sub("^Input should (be|have) ", "expected ", wanted)


def _words(quoted: str) -> list[str]:
    return [word.strip(" '") for word in quoted.split(",")]


def _suggestion(model: type[BaseModel], path: Sequence[str]) -> str:
    """Look for the nearest key in the same section, then anywhere by its last part."""
    section, key = ".".join(path[:-1]), ".".join(path)
    if key in RENAMED:
        return f", it is called '{RENAMED[key]}' now"
    everywhere = [one.key for one in settings_of(model)]
    beside = [key for key in everywhere if key.rpartition(".")[0] == section]
    names = [key.rpartition(".")[2] for key in beside]
    if path[-1] in names:
        kinds = [c for c in models_at(model, path[:-1]) if path[-1] in c.model_fields]
        return f", it goes with {section}.name={' or '.join(_kinds(kinds))}"
    near = nearest(path[-1], names)
    if near:
        return near
    elsewhere = [key for key in dict.fromkeys(everywhere) if key.rpartition(".")[2] == path[-1]]
    quoted = " or ".join(f"'{key}'" for key in elsewhere[:SUGGESTED])
    return f", did you mean {quoted}?" if elsewhere else ""


def _without_tags(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Drop from pydantic's location what is not a key: tags and the members of unions."""
    path: list[str] = []
    candidates: list[type[BaseModel]] = [model]
    for part in location:
        fields = [c.model_fields[part] for c in candidates if part in c.model_fields]
        if fields:
            path.append(str(part))
            candidates = [m for field in fields for m in models_in(field.annotation)]
        elif not path or (part == location[-1] and not _is_tag(part, candidates)):
            path.append(str(part))
    return path


def _is_tag(part: int | str, candidates: Sequence[type[BaseModel]]) -> bool:
    if not candidates:  # below a plain field: the member of a union, or a position in a tuple
        return True
    return str(part) in {*_kinds(candidates), *(c.__name__ for c in candidates)}
