"""Laying settings over one another."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from mlc_cli.errors import UsageError
from mlc_cli.settings.yaml_io import parse_yaml


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another, section by section.

    A section whose `name` changes is replaced whole: the fields of one loss mean nothing to
    another.
    """
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = value
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            kind = below.get("name")
            merged[key] = merge(below if value.get("name", kind) == kind else {}, value)
    return merged


def default_names(model: type[BaseModel]) -> dict[str, Any]:
    """The `name` of every section that has one by default.

    With these as the lowest layer, `loss.label_smoothing=0.1` alone is understood as a setting
    of the default loss. A section that must be given is there too, so that a fault names the key
    in it that is missing.
    """
    names: dict[str, Any] = {}
    for key, field in model.model_fields.items():
        default, kind = field.get_default(), field.annotation
        if field.is_required() and isinstance(kind, type) and issubclass(kind, BaseModel):
            names[key] = default_names(kind)
        if isinstance(default, BaseModel):
            inner = default_names(type(default))
            if "name" in type(default).model_fields:
                inner["name"] = default.name  # type: ignore[attr-defined]
            if inner:
                names[key] = inner
    return names


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `{"optim.lr": 1}` into `{"optim": {"lr": 1}}`."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split(".")
        branch = tree
        for parent in parents:
            inner = branch.get(parent)
            if not isinstance(inner, dict):
                inner = branch[parent] = {}
            branch = inner
        branch[last] = value
    return tree


def dotted(content: Any, key: str = "") -> dict[str, Any]:
    """Turn `{"optim": {"lr": 1}}` into `{"optim.lr": 1}`."""
    if not isinstance(content, Mapping) or not content:
        return {key: content}
    prefix = f"{key}." if key else ""
    return {k: v for name, part in content.items() for k, v in dotted(part, prefix + name).items()}


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """Read `--set section.key=value`; the value is YAML.

    Raises:
        UsageError: An assignment has no `=` or no key.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not all(key.strip().split(".")):
            raise UsageError(
                f"--set {assignment}: expected section.key=value",
                "For example: --set optim.lr=0.001",
            )
        values[key.strip()] = parse_yaml(text, f"--set {key.strip()}")
    return nested(values)
