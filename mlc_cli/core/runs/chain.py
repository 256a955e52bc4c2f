"""The chain of decision that a promise was tested for: another decides otherwise."""

from pathlib import Path
from typing import Any

from mlc_cli.core.datasets.rules import Rules
from mlc_cli.core.runs.card import ModelCard


def chain_of(settings: Any, rules: Rules, model: Path | None = None) -> dict[str, Any]:
    """How decisions come about by settings with `precision`, `tta` and `tiles`, and by label rules.

    `model` is the file that is run, `None` for a checkpoint.
    """
    exported = model is not None and model.suffix.lower() in (".onnx", ".xml")
    return {
        "model": model.name if exported and model else "checkpoint",
        "precision": settings.precision,
        "tta": settings.tta,
        "tiles": max(1, settings.tiles),
        "rules": str(rules),
    }


def broken_promise(card: ModelCard, settings: Any, model: Path) -> str:
    """What to say where thresholds of a card are used in another chain; empty if in the same."""
    if card.promise is None:
        return ""
    here = chain_of(settings, card.rules, model)
    tested = card.promise.get("chain") or {}
    other = [f"{key} {value}" for key, value in here.items() if tested.get(key, "none") != value]
    if not other:
        return ""
    return (
        f"{' and '.join(card.promise['floors'])} was tested for another chain of decision and is"
        f" not promised for {', '.join(other)}: test it with mlc thresholds"
    )
