"""Reading a page, and what must hold for every one of them."""

import re
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "img", "br", "input"}


class Page(HTMLParser):
    """Reads a page and checks its structure: nesting, landmarks, headings, texts, links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        self.check()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    def check(self) -> None:
        """What a reader of screens and a careful browser need."""
        assert self.open == []
        assert [tag for tag, _ in self.tags if tag in ("main", "h1")] == ["main", "h1"]
        levels = [int(tag[1]) for tag, _ in self.tags if re.fullmatch("h[1-6]", tag)]
        assert all(b - a <= 1 for a, b in pairwise(levels)), levels
        assert all(a.get("alt") for a in self.all("img"))
        assert all(a.get("aria-label") for a in self.all("svg"))
        heads = re.findall(r"<th\b[^>]*>(.*?)</th>", self.html, re.S)
        assert all(re.sub(r"<[^>]*>|\s", "", head) for head in heads)
        for tag, attributes in self.tags:
            assert not {key for key in attributes if key.startswith("on")} - {"onsubmit"}
            assert (attributes.get("href") or "#")[0] == "#", tag  # javascript: or elsewhere
            assert (attributes.get("src") or "data:").startswith("data:"), tag
        ids = [attributes["id"] for _, attributes in self.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert {(a.get("href") or "#")[1:] for a in self.all("a")} <= set(ids)
        assert not self.all("link")
        for words in ("http:", "https:", "url(", "@import"):
            assert words not in self.html

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag: str, css: str = "") -> list[dict[str, str | None]]:
        return [a for t, a in self.tags if t == tag and css in (a.get("class") or "")]

    def headings(self) -> list[str]:
        return [attributes["id"] or "" for attributes in self.all("h2")]
