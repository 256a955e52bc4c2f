"""pydantic's findings, in the words of the user."""

import difflib
import types
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mlc_cli.errors import SettingsError


def settings_error(model: type[BaseModel], error: ValidationError) -> SettingsError:
    """One error that lists every fault, each with its dotted key and the repair."""
    lines = list(dict.fromkeys(_fault_line(model, fault) for fault in error.errors()))
    noun = "fault" if len(lines) == 1 else "faults"
    return SettingsError(
        f"{len(lines)} {noun} in the settings:\n" + "\n".join(f"  {line}" for line in lines),
        "Add --show-settings to see the settings as they were put together.",
    )


def _fault_line(model: type[BaseModel], fault: ErrorDetails) -> str:
    path = _without_tags(model, fault["loc"])
    key = ".".join(path)
    match fault["type"]:
        case "extra_forbidden":
            return f"{key}: unknown setting{_suggestion(model, path)}"
        case "missing":
            return f"{key}: missing{_flag(model, path)}"
        case "union_tag_not_found":
            return f"{key}.name: missing, expected one of {fault['ctx']['expected_tags']}"
        case "union_tag_invalid":
            context = fault["ctx"]
            near = _nearest(str(context["tag"]), _words(context["expected_tags"]))
            return f"{key}.name: '{context['tag']}' is not one of {context['expected_tags']}{near}"
        case _:
            return f"{key}: {_plain(fault['msg'])}, got {fault['input']!r}"


def _flag(model: type[BaseModel], path: Sequence[str]) -> str:
    """The flag that sets a key, where the field names one."""
    candidates: list[type[BaseModel]] = [model]
    extra: Any = None
    for part in path:
        fields = [c.model_fields[part] for c in candidates if part in c.model_fields]
        candidates = [m for field in fields for m in _models_in(field.annotation)]
        extra = fields[0].json_schema_extra if fields else None
    return f", pass {extra['flag']}" if isinstance(extra, dict) and "flag" in extra else ""


def _plain(message: str) -> str:
    return message.removeprefix("Input should be ").replace("Input ", "").strip()


def _words(quoted: str) -> list[str]:
    return [word.strip(" '") for word in quoted.split(",")]


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""


def _suggestion(model: type[BaseModel], path: Sequence[str]) -> str:
    """Look for the nearest key in the same section, then anywhere by its last part."""
    section = ".".join(path[:-1])
    everywhere = list(dotted_keys(model))
    beside = [key for key in everywhere if key.rpartition(".")[0] == section]
    near = _nearest(path[-1], [key.rpartition(".")[2] for key in beside])
    if near:
        return near
    elsewhere = [key for key in everywhere if key.rpartition(".")[2] == path[-1]]
    return f", did you mean '{elsewhere[0]}'?" if elsewhere else ""


def dotted_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """All keys that a settings model knows, those of every kind of section included."""
    for name, field in model.model_fields.items():
        yield prefix + name
        for inner in _models_in(field.annotation):
            yield from dotted_keys(inner, f"{prefix}{name}.")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
        for argument in get_args(annotation):
            yield from _models_in(argument)


def _without_tags(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Drop from pydantic's location what is not a key: tags and the members of unions."""
    path: list[str] = []
    candidates: list[type[BaseModel]] = [model]
    for part in location:
        fields = [c.model_fields[part] for c in candidates if part in c.model_fields]
        if fields:
            path.append(str(part))
            candidates = [m for field in fields for m in _models_in(field.annotation)]
        elif not path or (part == location[-1] and not _is_tag(part, candidates)):
            path.append(str(part))
    return path


def _is_tag(part: int | str, candidates: Sequence[type[BaseModel]]) -> bool:
    if not candidates:  # below a plain field: the member of a union, or a position in a tuple
        return True
    tags = {str(c.model_fields["name"].default) for c in candidates if "name" in c.model_fields}
    return str(part) in tags | {c.__name__ for c in candidates}
