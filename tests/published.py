"""The paper's recipe beside ours, field by field."""

from typing import Any

from mlc_cli.settings.presets import preset_names, presets_root
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings
from mlc_cli.settings.yaml_io import parse_yaml

PAPER = ("-coco", "-voc", "-nus", "-vg500")
"""How the presets of the paper's recipe end."""


def published_rows() -> list[dict[str, Any]]:
    """Rows of the table: `field`, `published`, `key` or `ours`, and `why` where they differ."""
    path = presets_root() / "published.yaml"
    rows: Any = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    return list(rows)


def paper_presets() -> list[str]:
    """Presets that follow the paper."""
    return [name for name in preset_names("train") if name.endswith(PAPER)]


def resolved(preset: str) -> dict[str, Any]:
    """All settings of a preset, defaults included."""
    content = gather(TrainSettings, "train", preset=preset)
    return validate(TrainSettings, content).model_dump(mode="json")


def published_table() -> str:
    """The table, in Markdown."""
    lines = ["| field | published | ours | why |", "|---|---|---|---|"]
    for row in published_rows():
        own = row.get("ours") or (f"`{row['key']}`: " + _ours(row["key"]))
        cells = (row["field"], words(row["published"]), own, row.get("why", ""))
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _ours(key: str) -> str:
    """The value of the COCO preset, and of the VOC preset where it is another."""
    coco, voc = (at(resolved(f"effnetv2s-{name}"), key) for name in ("coco", "voc"))
    return words(coco) if coco == voc else f"{words(coco)} (COCO), {words(voc)} (VOC)"


def at(content: Any, key: str) -> Any:
    """What settings have under a dotted key."""
    for part in key.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content


def words(value: Any) -> str:
    """A value in the cells of the table."""
    if isinstance(value, dict):
        return ", ".join(f"{words(one)} ({name.upper()})" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value)
