"""The kit of the pages: contrast of its colours, filters, and writing."""

import re
from itertools import product
from pathlib import Path

import pytest

from mlc_cli.core import html
from mlc_cli.core.html.page import write_page
from mlc_cli.core.html.svg import Plot
from mlc_cli.core.html.words import code, name

CSS = Path(html.__file__).with_name("kit.css").read_text(encoding="utf-8")
PALETTE = dict(re.findall(r"--(\w+): light-dark\((#\w{6}, #\w{6})\)", CSS))
Colour = tuple[float, float, float]


def colour(named: str, mode: int) -> Colour:
    """A colour of the palette in light (0) or dark (1), as red, green and blue in 0..1."""
    digits = PALETTE[named].split(", ")[mode]
    return tuple(int(digits[k : k + 2], 16) / 255 for k in (1, 3, 5))


def contrast(one: Colour, other: Colour) -> float:
    """WCAG 2.2, contrast ratio of two colours in sRGB."""

    def luminance(colour: Colour) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula_is_that_of_wcag() -> None:
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert contrast((0x77 / 255,) * 3, (1, 1, 1)) == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize(
    ("text", "ground", "mode"),
    list(product(("ink", "soft", "accent", "bad"), ("paper", "card"), (0, 1))),
)
def test_text_can_be_read_on_every_ground(text: str, ground: str, mode: int) -> None:
    assert contrast(colour(text, mode), colour(ground, mode)) >= 4.5


@pytest.mark.parametrize("mode", [0, 1])
def test_text_can_be_read_on_the_deepest_colour_of_a_table(mode: int) -> None:
    (gauge,) = re.findall(r"var\(--accent\) (\d+)%, transparent", CSS)
    (most,) = re.findall(r"calc\(var\(--part\) \* (\d+)%\), transparent", CSS)
    for named, percent in (("accent", gauge), ("accent", most), ("bad", most)):
        part = int(percent) / 100
        above, below = colour(named, mode), colour("paper", mode)
        mixed = tuple(part * a + (1 - part) * b for a, b in zip(above, below, strict=True))
        assert contrast(colour("ink", mode), mixed) >= 4.5


def test_filters_escape() -> None:
    assert name("<b>") == '<span class="name">&lt;b&gt;</span>'
    assert code("`<b>` & 'c'") == "<code>&lt;b&gt;</code> &amp; &#39;c&#39;"


def test_a_path_that_is_no_utf8_does_not_lose_the_page(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page(path, "loading/augmented.html", title="a\udcff", about="", rows=[])
    assert "a\\udcff" in path.read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_no_character_that_cannot_be_seen_reaches_a_page(tmp_path: Path) -> None:
    words = "\x1b[31mred\u202etxt\r"
    plot = Plot(width=100, height=100)
    plot.dot(0.5, 0.5, words)
    plot.note(0.5, 0.5, words)
    content = {"title": words, "about": words, "links": {}, "tiles": name(words)}
    write_page(tmp_path / "page.html", "html/frame.html", **content, sections=plot.svg(words))
    page = (tmp_path / "page.html").read_text()
    assert not {"\x1b", "\u202e", "\r"} & {*page}
    assert page.count(r"\u001b[31mred\u202etxt\r") == 7
