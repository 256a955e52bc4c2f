"""Presets: YAML files in `presets/<command>/`, each of which may extend another."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlc_cli.errors import SettingsError
from mlc_cli.settings.base import Settings
from mlc_cli.settings.faults import settings_error
from mlc_cli.settings.merge import merge
from mlc_cli.settings.yaml_io import read_yaml
from mlc_cli.text import nearest


class Card(Settings):
    """What a preset says of itself, under `about:`; not a setting of the command."""

    summary: str
    """One line: what it trains."""
    hardware: str
    """What it is meant to run on."""
    time: str
    """How long a run takes there."""
    published: float | None = None
    """mAP in percent, as published."""
    published_on: str | None = None
    """On what, and where it stands."""
    measured: float | None = None
    """mAP in percent, as measured by this project."""
    measured_on: str | None = None
    """On what, with which starting weights and in what time."""
    gmacs: float | None = None
    """Multiply-accumulates of one image, backbone and head, in 1e9."""
    gmacs_with_bn: float | None = None
    """The same with batch normalisation at two a value, as the paper counts."""
    mparams: float | None = None
    """Parameters, in 1e6."""


def presets_root() -> Path:
    """Folder of the presets: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_presets"
    return installed if installed.is_dir() else package.parent / "presets"


def preset_names(command: str) -> list[str]:
    """Names of all presets of a command, sorted."""
    folder = presets_root() / command
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))


def load_preset(command: str, name: str) -> dict[str, Any]:
    """Settings of a preset over those that it extends, without its card.

    Raises:
        SettingsError: The preset, or one that it extends, does not exist or extends itself.
    """
    return _load(command, name, ())[0]


def load_card(command: str, name: str) -> Card:
    """What a preset says of itself.

    Raises:
        SettingsError: The card is missing or has a fault.
    """
    own = _load(command, name, ())[1]
    try:
        return Card.model_validate(own)
    except ValidationError as error:
        raise settings_error(Card, error) from None


def take_parent(content: dict[str, Any], path: Path) -> str | None:
    """Remove and return what a file says under `extends:`.

    Raises:
        SettingsError: It is not one name.
    """
    parent = content.pop("extends", None)
    if not isinstance(parent, str | None):
        raise SettingsError(f"{path}: extends: expected the name of one preset, got {parent!r}")
    return parent


def _load(command: str, name: str, below: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    if name in below:
        raise SettingsError(f"preset '{name}' extends itself: {' > '.join((*below, name))}")
    path = _preset_path(command, name)
    content = read_yaml(path)
    card = content.pop("about", {})
    parent = take_parent(content, path)
    if parent is None:
        return content, card
    settings, _ = _load(command, parent, (*below, name))
    return merge(settings, content), card


def _preset_path(command: str, name: str) -> Path:
    known = preset_names(command)
    if name in known:
        return presets_root() / command / f"{name}.yaml"
    raise SettingsError(
        f"there is no preset '{name}' for `mlc {command}`{nearest(name, known)}",
        f"The presets are: {', '.join(known) or 'none'}. A file of your own goes to --config.",
    )
