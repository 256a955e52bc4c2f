"""Labels and heat maps on pictures."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFont

from mlc_cli.core.inference.drawing import Fonts, draw_labels, overlay, relative_heat
from mlc_cli.errors import UsageError


def picture(height: int, width: int, value: int = 255) -> bytes:
    done, content = cv2.imencode(".png", np.full((height, width, 3), value, np.uint8))
    assert done
    return content.tobytes()


def drawn(
    content: bytes, labels: list[str], heat: np.ndarray | None = None, fonts: Fonts | None = None
) -> np.ndarray:
    result = draw_labels(fonts or Fonts(), content, labels, [0.5] * len(labels), heat)
    return np.asarray(Image.open(io.BytesIO(result)))


@pytest.mark.parametrize("value", [0, 255])
def test_text_stands_out_from_its_box_on_any_picture(value: int) -> None:
    corner = drawn(picture(400, 600, value), ["cat"])[:20, :80].astype(int)
    assert corner.max() > 200
    assert corner.min() < 80


def test_labels_are_below_one_another_and_the_rest_is_untouched() -> None:
    one, two = (drawn(picture(400, 600), ["cat"] * count) for count in (1, 2))
    assert (two < 128).any(2).sum() > 1.5 * (one < 128).any(2).sum()
    assert (one[200:] > 250).all()


def test_what_has_no_room_is_counted() -> None:
    pixels = drawn(picture(320, 320), ["cat"] * 100)
    assert pixels.shape == (320, 320, 3)
    assert (pixels[300:] < 128).any()


def test_small_pictures_grow_and_large_ones_keep_their_size() -> None:
    assert drawn(picture(32, 64), []).shape == (160, 320, 3)
    assert drawn(picture(900, 700), []).shape == (900, 700, 3)


def test_a_tile_for_each_heat_map() -> None:
    heat = np.random.default_rng(0).random((5, 3, 4)).astype(np.float32)
    pixels = drawn(picture(300, 400), ["a", "b", "c", "d", "e"], heat)
    assert pixels.shape == (2 * 308 - 8, 4 * 408 - 8, 3)
    assert drawn(picture(300, 400), [], heat[:0]).shape == (300, 400, 3)


def test_heat_is_where_the_evidence_is() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 2.0
    heat[3, 0] = -5.0
    pixels = overlay(np.full((80, 80, 3), 128, np.uint8), heat).astype(int)
    assert pixels[5, 75, 0] > pixels[5, 75, 2] + 50
    np.testing.assert_array_equal(pixels[75, 5], (128, 128, 128))
    assert relative_heat(heat).max() == 1
    assert relative_heat(-np.ones((2, 2), np.float32)).max() == 0


def test_a_label_in_a_script_that_no_font_has_is_named() -> None:
    fonts = Fonts()
    drawn(picture(300, 400), ["cat", "bus"], fonts=fonts)
    assert fonts.lacking == set()
    drawn(picture(300, 400), ["\U0001d173\ue123"], fonts=fonts)
    assert len(fonts.lacking) == 1


def test_the_font_that_is_named_comes_first(tmp_path: Path) -> None:
    bad = tmp_path / "font.ttf"
    bad.write_bytes(b"no font")
    for path in (bad, tmp_path / "missing.ttf"):
        with pytest.raises(UsageError, match="font"):
            Fonts(str(path))
    default = ImageFont.load_default(16)
    if isinstance(default, ImageFont.FreeTypeFont):
        named = tmp_path / "named.ttf"
        default.path.seek(0)
        named.write_bytes(default.path.read())
        chosen = Fonts(str(named)).choose("cat", 20)
        assert isinstance(chosen, ImageFont.FreeTypeFont)
        assert chosen.getname() == default.getname()
        assert chosen.size == 20


def test_a_label_of_several_lines_is_drawn_on_one() -> None:
    escaped = drawn(picture(400, 600), ["a\\nb"])
    assert np.array_equal(drawn(picture(400, 600), ["a\nb"]), escaped)
