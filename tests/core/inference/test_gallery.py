"""The page to look through predictions."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from mlc_cli.core.inference.gallery import Gallery
from mlc_cli.core.inference.results import Prediction
from tests.core.pages import Page

EVIL = "</script><img src=x onerror=alert(1)>&\"'"


def preview(side: int = 300) -> bytes:
    done, content = cv2.imencode(".jpg", np.full((side, side * 2, 3), 99, np.uint8))
    assert done
    return content.tobytes()


def prediction(image: str, *, heat: bool = False) -> Prediction:
    maps = np.random.default_rng(0).random((2, 3, 4)).astype(np.float32) if heat else None
    return Prediction(image, np.array([0.2, 0.9, 0.6]), [1, 2], heat_KHW=maps)


def write(gallery: Gallery, path: Path) -> Page:
    gallery.write(path, "Predictions", "about <them>")
    return Page(path.read_text(encoding="utf-8"))


def data(page: Page, name: str) -> list:
    """An attribute of each card."""
    return [json.loads(card[f"data-{name}"] or "") for card in page.all("figure", "card")]


def pixels(uri: str | None) -> np.ndarray:
    content = np.frombuffer(base64.b64decode((uri or "").split(",")[1]), np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_UNCHANGED)


def test_cards_hold_what_the_page_shows(tmp_path: Path) -> None:
    gallery = Gallery(["a", "b", "c"], 10)
    gallery.add(prediction("one.jpg", heat=True), preview())
    gallery.add(replace(prediction("two.jpg"), unsure=[0]), preview())
    page = write(gallery, tmp_path / "g.html")
    assert [image["alt"] for image in page.all("img")] == ["one.jpg", "two.jpg"]
    assert data(page, "decided") == [[1, 2], [1, 2]]
    assert data(page, "unsure") == [[], [0]]
    assert data(page, "scores")[0] == [[0, 0.2], [1, 0.9], [2, 0.6]]
    for words in ("any", "a (0)", "b (2)", "c (2)", "b 0.90", "unsure: a 0.20"):
        assert words in page.text
    assert pixels(page.all("img")[0]["src"]).shape == (100, 200, 3)
    heats = page.all("button", "chip")
    assert len(heats) == 2
    assert pixels(heats[0]["data-heat"]).shape == (3, 4, 4)


def test_no_text_of_others_becomes_markup(tmp_path: Path) -> None:
    gallery = Gallery([EVIL, "b", "c"], 10)
    gallery.add(prediction(EVIL), preview())
    gallery.add(Prediction(EVIL, error=EVIL), b"")
    page = write(gallery, tmp_path / "g.html")
    assert "<img src=x" not in page.html
    assert [image["alt"] for image in page.all("img")] == [EVIL]
    assert f"{EVIL} (0)" in page.text
    assert "1 image could not be read" in page.text


def test_what_has_no_room_is_counted_and_costs_nothing(tmp_path: Path) -> None:
    gallery = Gallery(["a", "b", "c"], 2)
    for number in range(5):
        gallery.add(prediction(f"{number}.jpg"), preview() if number < 2 else b"")
    assert gallery.left_out == 3
    page = write(gallery, tmp_path / "g.html")
    assert len(page.all("figure", "card")) == 2
    assert "the first 2 of 5 images" in page.text


def test_many_classes_keep_the_largest_scores(tmp_path: Path) -> None:
    gallery = Gallery([str(c) for c in range(501)], 2)
    row_C = np.linspace(0, 1, 501)
    gallery.add(Prediction("a.jpg", row_C, [7]), preview())
    page = write(gallery, tmp_path / "g.html")
    assert set(dict(data(page, "scores")[0])) == {7, *range(451, 501)}
    assert [option["value"] for option in page.all("option")][:3] == ["", "7", ""]


def test_an_empty_gallery_is_a_page(tmp_path: Path) -> None:
    assert data(write(Gallery(["a"], 5), tmp_path / "g.html"), "scores") == []
