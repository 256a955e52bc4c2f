"""From preset, file, flags and assignments to one validated settings object."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from mlc_cli.settings.augment import with_level
from mlc_cli.settings.base import Settings
from mlc_cli.settings.faults import settings_error
from mlc_cli.settings.merge import default_names, merge, nested, parse_assignments
from mlc_cli.settings.presets import load_preset, take_parent
from mlc_cli.settings.renamed import modernised
from mlc_cli.settings.yaml_io import dump_yaml, read_yaml

SettingsT = TypeVar("SettingsT", bound=Settings)


def gather(
    model: type[Settings],
    command: str,
    *,
    preset: str | None = None,
    config: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    assignments: list[str] | None = None,
) -> dict[str, Any]:
    """Put the layers together: preset < file < flags < assignments, not validated yet.

    The file may say `extends: PRESET`. Flags are values by dotted key, `None` where not given;
    assignments are texts `section.key=value`.

    Raises:
        MlcError: A layer cannot be read.
    """
    layers: list[Mapping[str, Any]] = [default_names(model)]
    own = modernised(read_yaml(config)) if config else {}
    own.pop("about", None)
    extended = take_parent(own, config) if config else None
    if preset and "name" in model.model_fields:  # a run is called after its preset
        layers.append({"name": preset})
    layers += [load_preset(command, name) for name in (extended, preset) if name]
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    layers += [own, nested(given), parse_assignments(assignments or [])]
    result: dict[str, Any] = {}
    for layer in layers:
        result = merge(with_level(result, layer), layer)
    return result


def validate(model: type[SettingsT], content: Mapping[str, Any]) -> SettingsT:
    """Check the gathered settings.

    Raises:
        SettingsError: With every fault at once.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise settings_error(model, error) from None


def as_yaml(settings: Settings) -> str:
    """All settings, defaults included, as YAML that `--config` reads back."""
    return dump_yaml(settings.model_dump(mode="json"))
