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
from mlc_cli.core.system.addresses import is_remote
from mlc_cli.core.system.files import write_atomic
from mlc_cli.errors import UsageError
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


def check_page(flag: str, page: str | Path | None) -> None:
    """Refuse a place where no page, or another file, can be written, before the work for it.

    Raises:
        UsageError: It is a folder, or in none.
    """
    if page and Path(page).is_dir():
        raise UsageError(f"{flag} {page}: is a folder, and a file is wanted")
    if page and not (is_remote(page) or Path(page).parent.is_dir()):
        raise UsageError(f"{flag} {page}: there is no such folder")


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
