"""The paper's recipe beside ours, field by field."""

import re
from textwrap import wrap
from typing import Any

from mlc_cli.settings.presets import preset_names, presets_root
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings
from mlc_cli.settings.yaml_io import parse_yaml

PAPER = ("-coco", "-voc", "-nus", "-vg500")
"""How the presets of the paper's recipe end."""
HEAD = "As published (arXiv 2209.06585 and the code behind it):"
"""First line of the generated part of a preset's header, which goes to its end."""


def published_rows() -> list[dict[str, Any]]:
    """Rows of the table: `field`, `published`, `key` or `ours`, and `why` where they differ."""
    path = presets_root() / "published.yml"
    rows: Any = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    return list(rows)


def paper_presets() -> list[str]:
    """Presets that follow the paper."""
    return [name for name in preset_names("train") if name.endswith(PAPER)]


def resolved(preset: str) -> dict[str, Any]:
    """All settings of a preset, defaults included."""
    content = gather(TrainSettings, "train", preset=preset)
    return validate(TrainSettings, content).model_dump(mode="json")


def published_value(row: dict[str, Any], preset: str) -> Any:
    """What was published for a preset; NUS-WIDE and VG-500 take what COCO has."""
    value = row["published"]
    if not isinstance(value, dict):
        return value
    return value["voc" if preset.endswith("-voc") else "coco"]


def rows_of(preset: str) -> list[dict[str, Any]]:
    """Rows of the table that are about a preset."""
    return [row for row in published_rows() if re.search(row.get("only", ""), preset)]


def header(preset: str) -> list[str]:
    """The table as it stands at the head of a preset: what is the same, then what is not."""
    settings, same, other = resolved(preset), [], []
    for row in rows_of(preset):
        published = _words(published_value(row, preset))
        own = row.get("ours") or _words(at(settings, row["key"]))
        if own in (published, "the same", "as published"):
            same.append(f"{row['field']} ({published})")
        else:
            cells = (row["field"], published, own, row["why"])
            other += wrap(" | ".join(cells), 96, initial_indent="  ", subsequent_indent="      ")
    as_published = wrap(f"{'; '.join(same)}.", 96, initial_indent="  ", subsequent_indent="  ")
    return [
        f"# {line}" for line in (HEAD, *as_published, "field | published | here | why:", *other)
    ]


def published_table() -> str:
    """The table, in Markdown."""
    lines = ["| field | published | ours | why |", "|---|---|---|---|"]
    for row in published_rows():
        own = row.get("ours") or (f"`{row['key']}`: " + _ours(row["key"]))
        cells = (row["field"], _words(row["published"]), own, row.get("why", ""))
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _ours(key: str) -> str:
    """The value of the COCO preset, and of the VOC preset where it is another."""
    coco, voc = (at(resolved(f"effnetv2s-{name}"), key) for name in ("coco", "voc"))
    return _words(coco) if coco == voc else f"{_words(coco)} (COCO), {_words(voc)} (VOC)"


def at(content: Any, key: str) -> Any:
    """What settings have under a dotted key."""
    for part in key.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_words(one)} ({name.upper()})" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value)
