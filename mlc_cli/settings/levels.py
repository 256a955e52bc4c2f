"""What `augment.level` stands for."""

from collections.abc import Mapping
from typing import Any

_LIGHT: dict[str, Any] = {"crop": {"scale_min": 0.5, "ratio_max": 1.33}, "flip": 0.5}
_MEDIUM: dict[str, Any] = {**_LIGHT, "rotate": {}, "colour": {}}
LEVELS: dict[str, dict[str, Any]] = {
    "none": {"flip": 0.0},
    "light": _LIGHT,
    "medium": _MEDIUM,
    "strong": {
        **_MEDIUM,
        "crop": {"scale_min": 0.3, "ratio_max": 1.33, "any_interpolation": True},
        "perspective": {},
        "grey": 0.05,
        "blur": {},
        "jpeg": {},
        "erase": {},
    },
    "aerial": {**_LIGHT, "flip_vertical": 0.5, "quarter_turns": 0.75, "colour": {}},
}


def with_level(below: Mapping[str, Any], layer: Mapping[str, Any]) -> dict[str, Any]:
    """Settings below a layer, the augmentation replaced if the layer names a level."""
    augment = layer.get("augment")
    level = augment.get("level") if isinstance(augment, Mapping) else None
    if not isinstance(level, str) or level not in LEVELS:  # validation names the fault
        return dict(below)
    return {**below, "augment": LEVELS[level]}
