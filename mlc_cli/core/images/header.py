"""What an image file says of itself before its pixels, and whether it is all there."""

import io
import re
import struct
import threading
import warnings
from contextlib import suppress
from typing import Any, NamedTuple

from PIL import Image, TiffImagePlugin

from mlc_cli.core.images.scaled import Part, SizeHW, orientation
from mlc_cli.core.system.extras import import_extra
from mlc_cli.errors import MlcError

FLOATS = ("HDR", "EXR")
"""Formats of linear light in floating point, which Pillow does not know."""
_JPEG_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")  # not stuffing, not restarts
_START_OF_SCAN, _END_OF_JPEG = 0xDA, 0xD9
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # size and channels
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_MOST_SCANS = 500  # of a progressive JPEG, each of which takes as long as all
_HEIF = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_RADIANCE_SIZE = re.compile(rb"\n\n[+-]Y (\d+) [+-]X (\d+)\n")
_EXR_WINDOW = re.compile(rb"dataWindow\0box2i\0\x10\0\0\0(.{16})", re.DOTALL)
_WIDE = "has {} bits a channel, of unknown range: save it with 8 or 16"
_SCALED = ("JPEG", "MPO")
_BYTES_A_PIXEL = {"JPEG": 6, "MPO": 6, "JPEG2000": 18}
_MOST_BYTES_A_PIXEL = 12
_PILLOW_LIMIT = threading.Lock()  # Pillow keeps its limit in a variable of its module


class Header(NamedTuple):
    """What an image file says of itself before its pixels.

    Width and height are in pixels as stored, before it is turned; format and mode (the kind of
    pixels) have Pillow's names; `exif` is the block as it stands in the file, empty without;
    `several` says that there are more pages or frames than the first, which is taken.
    """

    width: int
    height: int
    form: str
    mode: str
    transparent: bool = False
    exif: bytes = b""
    several: bool = False

    @property
    def shown(self) -> SizeHW:
        """Height and width as shown, turned by the EXIF orientation."""
        turned = orientation(self.exif) >= 5
        return (self.width, self.height) if turned else (self.height, self.width)

    def part(self, enough: Part) -> int:
        """Part of its size at which to decode it, where its format allows."""
        return enough(self.shown) if self.form in _SCALED else 1

    def memory(self, part: int) -> float:
        """Bytes that decoding takes at most, with what the decoder needs for itself."""
        each = _BYTES_A_PIXEL.get(self.form, _MOST_BYTES_A_PIXEL)
        return each * self.width * self.height / part**2


def read_header(content: bytes) -> Header:
    """Header of the content of a file.

    Raises:
        ValueError: With the reason why it cannot be decoded, however it begins.
    """
    if content.startswith(b"#?") and (found := _RADIANCE_SIZE.search(content[: 2**16])):
        return Header(int(found[2]), int(found[1]), "HDR", "F")
    if content.startswith(b"v/1\x01") and (found := _EXR_WINDOW.search(content[: 2**16])):
        left, top, right, low = struct.unpack("<4i", found[1])
        return Header(right - left + 1, low - top + 1, "EXR", "F")
    if content.startswith(b"\xff\xd8"):
        return _jpeg(content)
    if _is_truncated(content):
        raise ValueError("is truncated")
    try:
        image = open_image(content)
        several = getattr(image, "is_animated", False) and image.format != "HEIF"
    except Exception as error:  # readers of headers raise what they like
        raise ValueError(_why_unknown(content, error)) from None
    if image.mode in ("I", "F"):
        raise ValueError(_WIDE.format(32))
    if image.mode == "LAB":  # OpenCV would take it for RGB
        raise ValueError("is in the colour space Lab: save it as RGB")
    return Header(
        image.width,
        image.height,
        image.format or "",
        image.mode,
        image.has_transparency_data,
        exif=image.info.get("exif", b"") if image.format != "HEIF" else b"",
        several=several,
    )


def open_image(content: bytes) -> Any:
    """Pillow's image; Pillow's own limit of pixels, lower than ours, does not count here.

    Nor do its warnings of damaged EXIF blocks: the image is good without.
    """
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF and b"avif" not in content[:64]:
        import_extra("pillow_heif", "heic").register_heif_opener()
    with _PILLOW_LIMIT, warnings.catch_warnings(action="ignore"):
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            return Image.open(io.BytesIO(content))
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _why_unknown(content: bytes, error: Exception) -> str:
    if isinstance(error, MlcError):  # of the extra for HEIC
        return f"is HEIC, as phones take it: {error.message}. {error.hint} Or convert it to JPEG"
    if content.startswith(b"\x89PNG") and isinstance(error, ValueError):
        return "has text or a colour profile that unpacks to more than a picture needs"
    if content[:4] in (b"II*\0", b"MM\0*"):
        with suppress(Exception):  # what is damaged there is no reason to give
            tags = TiffImagePlugin.ImageFileDirectory_v2(content[:8])
            stream = io.BytesIO(content)
            stream.seek(tags.next)
            tags.load(stream)
            if tags[277] in (1, 3, 4):
                return _WIDE.format(max(tags[258]))
            return f"has {tags[277]} channels; 1, 3 or 4 can be read"
    return "is not an image"


def _is_truncated(content: bytes) -> bool:
    """Whether there is less than the format's marks say.

    A chunk that claims more bytes than there are ends here, before anybody makes room for it.
    """
    if content.startswith(b"\x89PNG"):
        return not _png_ends(content)
    return content.startswith(b"RIFF") and len(content) < 8 + int.from_bytes(content[4:8], "little")


def _png_ends(content: bytes) -> bool:
    """Whether chunk follows on chunk up to the last: length, name, content, checksum."""
    position = 8
    while position + 12 <= len(content):
        if content[position + 4 : position + 8] == b"IEND":
            return True
        position += 12 + int.from_bytes(content[position : position + 4], "big")
    return False


def _jpeg(content: bytes) -> Header:
    """Header of a JPEG, if its end marker comes, be there more behind it (a video of a phone).

    Segments are stepped over: a thumbnail inside one has an end marker of its own.
    """
    position, form, exif, frame = 2, "JPEG", b"", (0, 0, 0)
    scans, progressive = 0, False
    while marker := _JPEG_MARKER.search(content, position):
        kind, position = marker[1][0], marker.end()
        if kind == _END_OF_JPEG:
            break
        if kind == _START_OF_SCAN:
            scans += 1
            if not progressive and content.endswith(b"\xff\xd9"):  # nothing is behind it
                break
            continue
        length = int.from_bytes(content[position : position + 2], "big")
        if kind in _FRAMES:
            progressive = kind > 0xC1
            frame = struct.unpack(">HHB", content[position + 3 : position + 8].ljust(5, b"\0"))
        elif content.startswith(b"Exif\0\0", position + 2):
            exif = exif or content[position + 2 : position + length]
        elif content.startswith(b"MPF\0", position + 2):
            form = "MPO"
        position += length
    else:
        raise ValueError("is truncated")
    if scans > _MOST_SCANS:
        raise ValueError(f"is a JPEG of {scans} scans")
    height, width, channels = frame
    if not height * width or channels not in _MODES:
        raise ValueError("is not an image")
    return Header(width, height, form, _MODES[channels], exif=exif)
