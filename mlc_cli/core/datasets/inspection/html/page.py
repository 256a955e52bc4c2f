"""The page about a data set: its parts in order, the most important first."""

from pathlib import Path

from mlc_cli.core import html
from mlc_cli.core.datasets.inspection.html.classes import class_table, together
from mlc_cli.core.datasets.inspection.html.files import examples, file_table, repeated
from mlc_cli.core.datasets.inspection.html.overview import findings, splits, tiles
from mlc_cli.core.datasets.inspection.html.thumbnails import Shown, choose_and_read
from mlc_cli.core.datasets.inspection.inspect import Inspection
from mlc_cli.core.html.page import asset, page, text
from mlc_cli.core.system.files import write_text

LINKS = (
    ("findings", "Findings"),
    ("splits", "Splits"),
    ("classes", "Classes"),
    ("together", "Together"),
    ("files", "Files"),
    ("repeated", "Duplicates"),
    ("examples", "Examples"),
)


def write_page(path: Path, inspection: Inspection, threads: int) -> None:
    """Write the page as one file that needs no other, atomically.

    Args:
        path: The HTML file.
        inspection: What it is about.
        threads: That read the pictures.

    Raises:
        MlcError: It cannot be written.
    """
    write_text(path, page_html(inspection, choose_and_read(inspection, threads)))


def page_html(inspection: Inspection, shown: Shown) -> str:
    """The whole page."""
    rest = "".join(
        (
            findings(inspection),
            splits(inspection),
            class_table(inspection, shown),
            together(inspection),
            file_table(inspection),
            repeated(inspection, shown),
            examples(inspection, shown),
        )
    )
    links = "".join(
        f'<a href="#{target}">{title}</a>' for target, title in LINKS if f'id="{target}"' in rest
    )
    source = inspection.collection.source
    title = f"Data set {source.resolve().name}"
    body = (
        f'<h1>{text(title)}</h1><p class="soft name">{text(source)}</p>'
        f'<nav class="noprint" aria-label="Parts">{links}</nav>{tiles(inspection)}{rest}'
    )
    style = asset(html.__name__, "kit.css") + asset(__package__, "inspection.css")
    return page(title, body, style=style, script=asset(html.__name__, "kit.js"))
