"""The page to look through predictions."""

import base64
import json
import re
from pathlib import Path

import cv2
import numpy as np

from mlc_cli.core.inference.gallery import Gallery
from mlc_cli.core.inference.results import Prediction

EVIL = "</script><img src=x onerror=alert(1)>&\"'"


def preview(side: int = 300) -> bytes:
    done, content = cv2.imencode(".jpg", np.full((side, side * 2, 3), 99, np.uint8))
    assert done
    return content.tobytes()


def prediction(image: str, *, heat: bool = False) -> Prediction:
    maps = np.random.default_rng(0).random((2, 3, 4)).astype(np.float32) if heat else None
    return Prediction(image, np.array([0.2, 0.9, 0.6]), [1, 2], heat_KHW=maps)


def data(page: str, name: str) -> list:
    found = re.search(f'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def write(gallery: Gallery, path: Path) -> str:
    gallery.write(path, "Predictions", "about <them>")
    return path.read_text(encoding="utf-8")


def test_rows_hold_what_the_page_shows(tmp_path: Path) -> None:
    gallery = Gallery(["a", "b", "c"], 10)
    gallery.add(prediction("one.jpg", heat=True), preview())
    gallery.add(prediction("two.jpg"), preview())
    page = write(gallery, tmp_path / "g.html")
    first, second = data(page, "rows")
    assert data(page, "classes") == ["a", "b", "c"]
    assert (first["p"], first["d"]) == ("one.jpg", [1, 2])
    assert first["s"] == [[0, 0.2], [1, 0.9], [2, 0.6]]
    assert "h" not in second
    thumb = np.frombuffer(base64.b64decode(first["t"].split(",")[1]), np.uint8)
    assert cv2.imdecode(thumb, cv2.IMREAD_COLOR).shape == (100, 200, 3)
    heat = np.frombuffer(base64.b64decode(first["h"][0].split(",")[1]), np.uint8)
    assert cv2.imdecode(heat, cv2.IMREAD_UNCHANGED).shape == (3, 4, 4)


def test_no_text_of_others_becomes_markup(tmp_path: Path) -> None:
    gallery = Gallery([EVIL, "b", "c"], 10)
    gallery.add(prediction(EVIL), preview())
    gallery.add(Prediction(EVIL, error=EVIL), b"")
    page = write(gallery, tmp_path / "g.html")
    assert "<img src=x" not in page
    assert data(page, "rows")[0]["p"] == EVIL
    assert data(page, "classes")[0] == EVIL
    assert "1 images could not be read" in page


def test_what_has_no_room_is_counted_and_costs_nothing(tmp_path: Path) -> None:
    gallery = Gallery(["a", "b", "c"], 2)
    for number in range(5):
        gallery.add(prediction(f"{number}.jpg"), preview() if number < 2 else b"")
    assert gallery.left_out == 3
    page = write(gallery, tmp_path / "g.html")
    assert len(data(page, "rows")) == 2
    assert "the first 2 of 5 images" in page


def test_many_classes_keep_the_largest_scores(tmp_path: Path) -> None:
    gallery = Gallery([str(c) for c in range(500)], 2)
    row_C = np.linspace(0, 1, 500)
    gallery.add(Prediction("a.jpg", row_C, [7]), preview())
    scores = dict(data(write(gallery, tmp_path / "g.html"), "rows")[0]["s"])
    assert set(scores) == {7, *range(450, 500)}


def test_an_empty_gallery_is_a_page(tmp_path: Path) -> None:
    assert data(write(Gallery(["a"], 5), tmp_path / "g.html"), "rows") == []
