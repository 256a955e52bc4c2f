"""Pages from Jinja2 templates: one self-contained file each, light and dark, screen and paper.

A template lies beside the module that fills it and is named by its path below `core`. It extends
`html/frame.html`; what it prints is escaped, unless it is `Markup`, and so are characters that
cannot be seen.
"""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from mlc_cli.core.html.words import FILTERS
from mlc_cli.core.system.files import write_atomic
from mlc_cli.text import plain


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mlc_cli.core", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: plain(value, "\n") if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment


def template(name: str) -> Template:
    """The template of that path below `core`."""
    return _environment().get_template(name)


def write_page(path: Path, name: str, **content: Any) -> None:
    """Fill the template of that name into a file, atomically and piece by piece.

    Each prints `title` and `about`, a line below it.

    Raises:
        MlcError: The file cannot be written.
    """
    stream = template(name).stream(content)
    stream.enable_buffering(100)
    # a path that is not UTF-8 must not lose the page
    write_atomic(path, lambda temporary: stream.dump(str(temporary), "utf-8", "backslashreplace"))
