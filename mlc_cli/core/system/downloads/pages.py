"""Web pages that come where a file should: what they say, and the one that asks to confirm."""

from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin


class Page(HTMLParser):
    """A page, read for its title and for a form that asks to confirm a download.

    Google Drive asks so for files that are too large for it to search for viruses.
    """

    def __init__(self, html: str, url: str) -> None:
        super().__init__()
        self.title, self.url = "", url
        self._inside_title, self._action = False, ""
        self._fields: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note forms and their fields."""
        values = {name: value or "" for name, value in attrs}
        self._inside_title = tag == "title"
        if tag == "form" and "confirm" not in self._fields:
            self._action, self._fields = values.get("action", ""), {}
        elif tag == "input" and "name" in values:
            self._fields[values["name"]] = values.get("value", "")

    def handle_data(self, data: str) -> None:
        """Note the title."""
        if self._inside_title and not self.title:
            self.title = " ".join(data.split())

    @property
    def confirmed(self) -> str | None:
        """Address of the file, if the page asks no more than to confirm."""
        if "confirm" not in self._fields:
            return None
        return f"{urljoin(self.url, self._action)}?{urlencode(self._fields)}"


def looks_like_page(kind: str, head: bytes) -> bool:
    """Whether an answer is a web page, by its type or its first bytes."""
    start = head.lstrip()[:15].lower()
    return kind == "text/html" or start.startswith((b"<!doctype html", b"<html"))
