"""What settings models say of themselves: keys, types, bounds, defaults, docstrings."""

import json
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mlc_cli.settings.base import types_in

MODELS = {
    "train": "train.TrainSettings",
    "eval": "evaluate.EvalSettings",
    "thresholds": "thresholds.ThresholdSettings",
    "calibrate": "calibrate.CalibrateSettings",
    "choose": "choose.ChooseSettings",
    "export": "export.ExportSettings",
    "predict": "predict.PredictSettings",
    "dataset-download": "download.DatasetDownloadSettings",
    "dataset-convert": "convert.ConvertSettings",
    "dataset-check": "check.CheckSettings",
    "benchmark": "benchmark.BenchmarkSettings",
}
"""Module and name of the settings of each command."""

_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >=",
           "max_length": "length <=", "pattern": "like"}  # fmt: skip
_JSON_NAMES = {str: "text", Any: "anything", bool: "true | false", type(None): "null"}


_INTRODUCTION = """# Presets and settings

A preset is a YAML file in the folder of its command; `mlc presets` lists them, `--preset NAME`
starts from one, and `extends: NAME` lays one over another. A file of your own goes to `--config`,
single settings to `--set section.key=value`. Later ones win: preset, file, flags, `--set`. The
first line of each preset names its schema, with which editors complete and check what you write.

This list is what `mlc settings --markdown` prints; `mlc settings COMMAND KEY` shows a part of it.
A setting with a kind behind it, such as `(sgd)`, goes with `name: sgd` in its section."""


class Setting(NamedTuple):
    """One field of a settings model.

    Attributes:
        key: Dotted, such as `optim.lr`.
        kind: Which kind of section has it, such as `sgd`; empty if all have.
        type: Type and bounds, in words.
        default: As in YAML; empty where the setting must be given.
        doc: Its docstring on one line.
    """

    key: str
    kind: str
    type: str
    default: str
    doc: str


def model_of(command: str) -> type[BaseModel]:
    """The settings model of a command."""
    module, _, name = MODELS[command].partition(".")
    model: type[BaseModel] = getattr(import_module(f"mlc_cli.settings.{module}"), name)
    return model


def settings_of(model: type[BaseModel], prefix: str = "", kind: str = "") -> Iterator[Setting]:
    """All settings of a model, those of every kind of section included."""
    for name, field in model.model_fields.items():
        key = prefix + name
        yield Setting(key, kind, type_text(field), _default(field), doc_of(field))
        sections = list(models_in(field.annotation))
        inside = f"{key}.NAME." if get_origin(field.annotation) is dict else f"{key}."
        for section in sections:
            inner = kind_of(section) if len(sections) > 1 else kind
            for one in settings_of(section, inside, inner):
                if section is sections[0] or not _shared(one, sections[0], key):
                    in_all = all(_shared(one, kind_, key) for kind_ in sections)
                    yield one._replace(kind=kind) if in_all else one


def _shared(one: Setting, section: type[BaseModel], key: str) -> bool:
    """Whether a kind of section has this setting, too, and means the same by it."""
    field = field_at(section, one.key.removeprefix(f"{key}."))
    own = field and (type_text(field), _default(field), doc_of(field))
    return own == (one.type, one.default, one.doc)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The settings models that an annotation is made of."""
    for one in types_in(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel):
            yield one


def models_at(model: type[BaseModel], path: Sequence[str]) -> list[type[BaseModel]]:
    """What the section at a path may be: the model itself for an empty path."""
    candidates = [model]
    for part in path:
        fields = [c.model_fields[part] for c in candidates if part in c.model_fields]
        candidates = [m for field in fields for m in models_in(field.annotation)]
    return candidates


def field_at(model: type[BaseModel], key: str) -> FieldInfo | None:
    """The field of a dotted key, of the first kind of section that has it."""
    *parents, last = key.split(".")
    found = [m.model_fields[last] for m in models_at(model, parents) if last in m.model_fields]
    return found[0] if found else None


def doc_of(field: FieldInfo) -> str:
    """Docstring of a field on one line; that of its section where it has none."""
    text = field.description
    if not text:
        sections = [(kind_of(m), m.__doc__ or "") for m in models_in(field.annotation)]
        text = " ".join(f"{kind}: {doc}" if kind else doc for kind, doc in sections)
    return " ".join(text.split())


def kind_of(model: type[BaseModel]) -> str:
    """The `name` that a kind of section has; empty for sections of one kind."""
    field = model.model_fields.get("name")
    return str(field.default) if field and get_origin(field.annotation) is Literal else ""


def type_text(field: FieldInfo) -> str:
    """Type and bounds of a field, as in `number > 0 | null`."""
    return _text(field.annotation, field.metadata)


def _text(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _text(arguments[0], [*arguments[1:], *metadata])
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin is tuple:
        text = f"[{', '.join('...' if a is Ellipsis else _text(a) for a in arguments)}]"
    elif origin is dict:
        text = f"{{{': '.join(map(_text, arguments))}}}"
    elif sections := list(models_in(annotation)):
        kinds = " | ".join(filter(None, map(kind_of, sections)))
        null = " | null" if type(None) in arguments else ""
        text = ("section" if len(sections) == 1 else f"section of name {kinds}") + null
    elif origin is not None:
        text = " | ".join(dict.fromkeys(map(_text, arguments)))
    else:
        text = _JSON_NAMES.get(annotation, {float: "number", int: "whole number"}.get(
            annotation, str(annotation)))  # fmt: skip
    return " ".join([text, *_bounds(metadata)])


def _bounds(metadata: Sequence[Any]) -> Iterator[str]:
    for one in metadata:
        if isinstance(one, FieldInfo):
            yield from _bounds(one.metadata)
            continue
        for name, sign in _BOUNDS.items():
            bound = getattr(one, name, None)
            if bound is not None:
                yield f"{sign} {bound}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return f"{{name: {kind_of(type(value))}}}" if kind_of(type(value)) else "{}"
    if isinstance(value, str):
        return value
    return json.dumps(value)


def partial_schema(model: type[BaseModel], presets: Sequence[str]) -> dict[str, Any]:
    """JSON Schema of a preset or `--config` file: it may leave out settings, and extend presets."""
    schema: dict[str, Any] = _relaxed(model.model_json_schema())
    schema["properties"] |= {
        "extends": {"enum": list(presets), "description": "The preset that this one changes."},
        "about": {"type": "object", "description": "What a preset says of itself."},
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _relaxed(schema: Any) -> Any:
    """The same without required keys; a section of any kind may leave out its name."""
    if isinstance(schema, list):
        return [_relaxed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    renamed = {"oneOf": "anyOf"}
    dropped = {"discriminator"}
    if isinstance(schema.get("required"), list):  # else it is a setting of that name
        dropped.add("required")
    return {renamed.get(k, k): _relaxed(v) for k, v in schema.items() if k not in dropped}


def reference() -> str:
    """All settings of all commands, in Markdown."""
    parts = [_INTRODUCTION]
    for command in MODELS:
        rows = [f"## mlc {command}\n", "| setting | type | default | |", "|---|---|---|---|"]
        for one in settings_of(model_of(command)):
            kind = f" ({one.kind})" if one.kind else ""
            default = f"`{one.default}`" if one.default else "must be given"
            cells = (f"`{one.key}`{kind}", one.type, default, one.doc)
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"
