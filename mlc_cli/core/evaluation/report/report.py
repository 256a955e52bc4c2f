"""The report of an evaluation: its parts in order, the most important first."""

import re
from pathlib import Path

from mlc_cli.core import html
from mlc_cli.core.evaluation.report.background import about, calibration, history
from mlc_cli.core.evaluation.report.classes import class_charts, class_table
from mlc_cli.core.evaluation.report.content import Content
from mlc_cli.core.evaluation.report.mistakes import pairs, suspects, worst
from mlc_cli.core.evaluation.report.overview import findings, summary, tiles
from mlc_cli.core.html.page import asset, page, text
from mlc_cli.core.html.words import count
from mlc_cli.core.system.files import write_text

LINKS = (
    ("summary", "Numbers"),
    ("classes", "Labels"),
    ("mistakes", "Mistakes"),
    ("suspects", "Suspected labels"),
    ("pairs", "Mix-ups"),
    ("charts", "Curves"),
    ("calibration", "Calibration"),
    ("history", "Training"),
    ("about", "Details"),
)


def write_report(path: Path, content: Content) -> None:
    """Write the report as one file that needs no other, atomically.

    Raises:
        MlcError: It cannot be written.
    """
    write_text(path, report_html(content))


def report_html(content: Content) -> str:
    """The whole page."""
    parts = [
        findings(content),
        summary(content),
        class_table(content),
        worst(content),
        suspects(content),
        pairs(content),
        class_charts(content),
        calibration(content),
        history(content),
        about(content),
    ]
    rest = "".join(parts)
    body = f"{_head(content)}{_links(rest)}{tiles(content)}{rest}"
    style, script = (asset(html.__name__, f"kit.{end}") for end in ("css", "js"))
    return page(content.title, body, style=style, script=script)


def _head(content: Content) -> str:
    evaluation = content.evaluation
    facts = [
        count(evaluation.images, "image"),
        count(len(evaluation.classes), "label"),
        *(text(content.facts[key]) for key in ("Data", "Checkpoint") if key in content.facts),
    ]
    warnings = "".join(f'<p class="warning">{_code(warning)}</p>' for warning in content.warnings)
    return f'<h1>{text(content.title)}</h1><p class="soft name">{" · ".join(facts)}</p>{warnings}'


def _code(words: str) -> str:
    """HTML of a text with `commands`."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", text(words))


def _links(body: str) -> str:
    links = "".join(
        f'<a href="#{target}">{title}</a>' for target, title in LINKS if f'id="{target}"' in body
    )
    return f'<nav class="noprint" aria-label="Parts">{links}</nav>'
