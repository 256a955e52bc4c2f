"""Labels and heat maps on pictures.

Names of arrays: K labels, H×W positions of a heat map.
"""

import io
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mlc_cli.core.images.scaled import Pixels
from mlc_cli.errors import UsageError
from mlc_cli.text import plain

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Fonts of Linux, Windows and macOS, those that know many scripts first; Pillow looks for them.
_KNOWN_FONTS = (
    "NotoSans-Regular.ttf", "DejaVuSans.ttf", "LiberationSans-Regular.ttf", "segoeui.ttf",
    "arialuni.ttf", "Arial Unicode.ttf", "arial.ttf", "NotoSansCJK-Regular.ttc", "msyh.ttc",
    "PingFang.ttc", "Hiragino Sans GB.ttc", "wqy-microhei.ttc", "DroidSansFallback.ttf",
    "NotoSansArabic-Regular.ttf", "NotoSansDevanagari-Regular.ttf", "NotoSansThai-Regular.ttf",
)  # fmt: skip
_LEAST_SIDE, _TILE_SIDE, _COLUMNS, _GAP = 320, 640, 4, 8
_NOTHING = "\uffff"  # is no character: every font shows its box for what it lacks
_STRONGEST = 0.65  # of the heat over the picture, 0..1


class Fonts:
    """Chooses a font that has all characters of a text, first that of a file.

    Raises:
        UsageError: That file is no font.
    """

    def __init__(self, path: str | None = None) -> None:
        try:
            first: list[ImageFont.FreeTypeFont] = [ImageFont.truetype(path, 16)] if path else []
        except OSError as error:
            raise UsageError(f"font {path}: cannot be used: {error}") from None
        self._fonts = [*first, *_installed()]
        self._chosen: dict[str, Font] = {}
        self.lacking: set[str] = set()

    def choose(self, text: str, size: float) -> Font:
        """A font in a size in pixels; texts that no font has are kept in `lacking`."""
        if text not in self._chosen:
            able = [font for font in self._fonts if _has(font, text)]
            if not able and not text.isascii():
                self.lacking.add(text)
            usable = able or self._fonts
            self._chosen[text] = usable[0] if usable else ImageFont.load_default(16)
        font = self._chosen[text]
        if isinstance(font, ImageFont.FreeTypeFont):
            return font.font_variant(size=size)
        return font


def _installed() -> list[ImageFont.FreeTypeFont]:
    fonts = []
    for name in _KNOWN_FONTS:
        try:
            fonts.append(ImageFont.truetype(name, 16))
        except OSError:
            continue
    default = ImageFont.load_default(16)
    return [*fonts, default] if isinstance(default, ImageFont.FreeTypeFont) else fonts


def _has(font: ImageFont.FreeTypeFont, text: str) -> bool:
    box = bytes(font.getmask(_NOTHING))
    return all(bytes(font.getmask(sign)) != box for sign in set(text) if not sign.isspace())


def draw_labels(
    fonts: Fonts,
    picture: bytes,
    labels_K: Sequence[str],
    scores_K: Sequence[float],
    heat_KHW: NDArray[np.float32] | None = None,
) -> bytes:
    """A JPEG of an encoded picture with its labels, best first, and beside it their heat maps.

    There may be maps for the first labels alone; without any there is nothing beside the picture.
    """
    pixels = _fit(np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")), heat_KHW)
    scored = zip(labels_K, scores_K, strict=True)
    lines = [f"{plain(name)}  {score:.2f}" for name, score in scored]
    tiles = [_write(fonts, pixels, lines or ["no label"])]
    for line, heat_HW in zip(lines, [] if heat_KHW is None else heat_KHW, strict=False):
        tiles.append(_write(fonts, overlay(pixels, heat_HW), [line]))
    stream = io.BytesIO()
    Image.fromarray(_grid(tiles)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _write(fonts: Fonts, pixels: Pixels, lines: Sequence[str]) -> Pixels:
    """Lines from the top left corner, each on a box; those without room are counted."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image, "RGBA")
    size = min(max(14, min(image.size) / 22), 40)
    step = round(size * 1.5)
    room = max(1, image.height // step)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"+ {len(lines) - room + 1} more"]
    for number, line in enumerate(lines):
        font = fonts.choose(line, size)
        width = draw.textlength(line, font=font)
        top = number * step
        draw.rectangle((0, top, width + size, top + step - 1), fill=(0, 0, 0, 190))
        draw.text((size / 2, top + step / 2), line, font=font, fill="white", anchor="lm")
    return np.asarray(image)


def _fit(pixels: Pixels, heat_KHW: NDArray[np.float32] | None) -> Pixels:
    """Enlarge what is too small for text; shrink what would make a sheet of tiles too large."""
    longest = max(pixels.shape[:2])
    side = max(longest, _LEAST_SIDE)
    if heat_KHW is not None and len(heat_KHW):
        side = min(side, _TILE_SIDE)
    if side == longest:
        return pixels
    height, width = (max(1, round(length * side / longest)) for length in pixels.shape[:2])
    way = cv2.INTER_AREA if side < longest else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=way), np.uint8)


def relative_heat(heat_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Evidence as a part of the strongest, 0..1; evidence against a class is 0."""
    positive = np.maximum(heat_HW, 0)
    return np.asarray(positive / max(float(positive.max()), 1e-12), np.float32)


def colours(relative_HW: NDArray[np.float32]) -> Pixels:
    """RGB colours of parts 0..1, from blue over green and yellow to red."""
    scaled = np.round(relative_HW * 255).astype(np.uint8)
    bgr = cv2.applyColorMap(scaled, cv2.COLORMAP_TURBO)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def overlay(pixels: Pixels, heat_HW: NDArray[np.float32]) -> Pixels:
    """A heat map over its picture: the stronger the evidence, the less shines through."""
    size = (pixels.shape[1], pixels.shape[0])
    grown = cv2.resize(relative_heat(heat_HW), size, interpolation=cv2.INTER_LINEAR)
    relative = np.asarray(grown, np.float32)
    alpha = _STRONGEST * np.sqrt(relative)[..., None]
    grey = pixels.mean(axis=2, keepdims=True)
    return (grey * (1 - alpha) + colours(relative) * alpha).round().astype(np.uint8)  # type: ignore[no-any-return]


def _grid(tiles: Sequence[Pixels]) -> Pixels:
    height, width = tiles[0].shape[:2]
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.full(
        (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 255, np.uint8
    )
    for number, tile in enumerate(tiles):
        top, left = (number // columns) * (height + _GAP), (number % columns) * (width + _GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet
