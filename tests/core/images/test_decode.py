import io
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from mlc_cli.core.images import decode
from mlc_cli.core.images.decode import look, read_image
from mlc_cli.core.images.folder import ImageFolder
from mlc_cli.core.images.scaled import GREY_FLAGS
from mlc_cli.errors import BadImageError

ORIENTATION = 0x0112
LOSSLESS = {
    "png": {},
    "bmp": {},
    "gif": {},
    "tiff": {},
    "ppm": {},
    "webp": {"lossless": True, "exact": True},
}


def blocks(height: int = 5, width: int = 7, seed: int = 0) -> np.ndarray:
    """Few colours, so that a GIF holds them all, in blocks that JPEG keeps apart."""
    colours = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return colours.repeat(8, 0).repeat(8, 1)


def encode(pixels: np.ndarray, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def jpeg_with_thumbnail(pixels: np.ndarray, thumbnail: bytes) -> bytes:
    tiff = b"MM\0*" + struct.pack(">IHI", 8, 0, 14)
    tiff += struct.pack(">HHHIIHHII", 2, 0x201, 4, 1, 44, 0x202, 4, 1, len(thumbnail))
    tiff += bytes(4) + thumbnail
    segment = b"Exif\0\0" + tiff
    jpeg = encode(pixels, "JPEG")
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def reason(path: Path, **options: float) -> str:
    with pytest.raises(BadImageError) as caught:
        read_image(path, **options)
    assert caught.value.path == str(path)
    return caught.value.reason


@pytest.mark.parametrize("form", LOSSLESS)
def test_pixels_are_rgb_in_every_format(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"ein Bild – 図.{form}"
    Image.fromarray(blocks()).save(path, **LOSSLESS[form])
    np.testing.assert_array_equal(read_image(path), blocks())


def test_jpeg_is_rgb(tmp_path: Path) -> None:
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[..., 0] = 255
    (tmp_path / "red.jpg").write_bytes(encode(pixels, "JPEG", quality=100))
    np.testing.assert_allclose(read_image(tmp_path / "red.jpg"), pixels, atol=2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["jpg", "png", "webp"])
def test_exif_orientation_is_applied(tmp_path: Path, form: str, orientation: int) -> None:
    path = tmp_path / f"turned.{form}"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(blocks()).save(path, exif=exif, lossless=True)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    np.testing.assert_allclose(read_image(path), expected, atol=1)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = blocks()[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.dstack([grey] * 3))


@pytest.mark.parametrize("form", ["png", "webp"])
def test_alpha_is_dropped_and_not_blended(tmp_path: Path, form: str) -> None:
    clear = np.dstack([blocks(), np.zeros_like(blocks()[..., 0])])
    path = tmp_path / f"clear.{form}"
    Image.fromarray(clear).save(path, **LOSSLESS[form])
    np.testing.assert_array_equal(read_image(path), blocks())


def test_grey_with_alpha_is_grey(tmp_path: Path) -> None:
    grey = Image.fromarray(blocks()[..., 0])
    Image.merge("LA", [grey, Image.new("L", grey.size, 7)]).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_image(tmp_path / "la.png"), grey.convert("RGB"))


@pytest.mark.parametrize("options", [{}, {"transparency": 0}], ids=["opaque", "transparent"])
def test_palette_becomes_colours(tmp_path: Path, options: dict[str, int]) -> None:
    palette = Image.fromarray(blocks()).quantize(64)
    palette.save(tmp_path / "palette.png", **options)
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), palette.convert("RGB"))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("form", ["png", "tif"])
def test_16_bits_are_scaled_by_the_full_range(tmp_path: Path, form: str, channels: int) -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, (8, 9, channels), np.uint16)
    assert cv2.imwrite(str(tmp_path / f"deep.{form}"), deep[..., ::-1])
    read = read_image(tmp_path / f"deep.{form}")
    assert read.dtype == np.uint8
    assert np.abs(read - deep / 65535 * 255).max() < 1.01  # TIFF is rounded, PNG cut off


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("form", ["png", "tif"])
def test_of_16_bits_so_many_are_used_as_are_said(tmp_path: Path, form: str, channels: int) -> None:
    deep = np.random.default_rng(0).integers(0, 5000, (8, 9, channels), np.uint16)
    assert cv2.imwrite(str(tmp_path / f"deep.{form}"), deep[..., ::-1])
    read = look(tmp_path / f"deep.{form}", bits=12).pixels
    expected = np.broadcast_to((deep / 4095 * 255).clip(0, 255).round(), read.shape)
    assert np.abs(read - expected).max() == 0
    assert cv2.imwrite(str(tmp_path / f"flat.{form}"), deep.astype(np.uint8)[..., ::-1])
    shallow = look(tmp_path / f"flat.{form}", bits=12).pixels
    assert np.array_equal(shallow, read_image(tmp_path / f"flat.{form}"))


@pytest.mark.parametrize("transform", [0, 2], ids=["CMYK", "YCCK"])
def test_four_colours_of_print_are_those_that_pillow_sees(tmp_path: Path, transform: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(blocks()).convert("CMYK").save(buffer, "JPEG", quality=95, subsampling=0)
    content = bytearray(buffer.getvalue())
    content[content.find(b"Adobe") + 11] = transform  # of the segment: how colours are stored
    path = tmp_path / "print.jpg"
    path.write_bytes(content)
    expected = np.asarray(Image.open(path).convert("RGB"), int)
    assert np.abs(read_image(path) - expected).max() <= 2


@pytest.mark.parametrize("form", ["gif", "png", "webp", "tiff"])
def test_of_several_frames_the_first_is_taken_and_that_is_said_once(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(decode._LOG, "warning", lambda text, *parts: said.append(text % parts))
    decode._SAID[0] = 0
    frames = [Image.fromarray(blocks(seed=seed)) for seed in range(3)]
    options = {"save_all": True, **LOSSLESS[form]}
    frames[0].save(tmp_path / f"one.{form}", append_images=frames[1:1], **options)
    read_image(tmp_path / f"one.{form}")
    assert not said
    for name in ("a", "b"):
        frames[0].save(tmp_path / f"{name}.{form}", append_images=frames[1:], **options)
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.{form}"), blocks())
    (warning,) = said
    assert f"a.{form}: of several pages or frames the first is taken" in warning


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
def test_smallest_images_are_read(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(np.full((*size, 3), 9, np.uint8)).save(tmp_path / "dot.png")
    assert read_image(tmp_path / "dot.png").shape == (*size, 3)


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("GIF", {}),
    ],
)
def test_truncated_file_is_refused(
    tmp_path: Path, form: str, options: dict[str, object], part: float
) -> None:
    content = encode(blocks(20, 25), form, **options)
    path = tmp_path / f"cut.{form}"
    path.write_bytes(content[: int(len(content) * part)])
    assert reason(path) in ("is truncated", "is not an image", "cannot be decoded")


def test_jpeg_cut_anywhere_behind_a_whole_thumbnail_is_refused(tmp_path: Path) -> None:
    content = jpeg_with_thumbnail(blocks(20, 25), encode(blocks(), "JPEG"))
    path = tmp_path / "cut.jpg"
    path.write_bytes(content)
    assert read_image(path).shape == (160, 200, 3)
    for length in range(2, len(content) - 1, 151):
        path.write_bytes(content[:length])
        assert reason(path) in ("is truncated", "is not an image")


def test_jpeg_with_a_truncated_thumbnail_is_read(tmp_path: Path) -> None:
    path = tmp_path / "thumb.jpg"
    path.write_bytes(jpeg_with_thumbnail(blocks(20, 25), encode(blocks(), "JPEG")[:-40]))
    (tmp_path / "plain.jpg").write_bytes(encode(blocks(20, 25), "JPEG"))
    np.testing.assert_array_equal(read_image(path), read_image(tmp_path / "plain.jpg"))


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_bytes_behind_the_end_of_an_image_do_no_harm(tmp_path: Path, form: str) -> None:
    path = tmp_path / "motion"
    path.write_bytes(encode(blocks(), form) + bytes(5000) + b"\xff\xda\x00 a video")
    assert read_image(path).shape == blocks().shape


def test_corrupt_png_is_refused(tmp_path: Path) -> None:
    content = bytearray(encode(blocks(20, 25), "PNG"))
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "rot.png").write_bytes(content)
    assert reason(tmp_path / "rot.png") == "cannot be decoded"


def test_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    assert reason(tmp_path / "empty.jpg") == "is empty"


def test_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    assert reason(tmp_path / "text.jpg") == "is not an image"


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert reason(tmp_path / "nowhere.jpg") == "No such file or directory"


def test_folder_is_refused(tmp_path: Path) -> None:
    assert reason(tmp_path) == "is not a regular file"


def test_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "pipe.jpg") == "is not a regular file"


@pytest.mark.parametrize("side", [60_000, 2**31 - 1])
def test_huge_image_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(png_that_claims(side, side))
    assert reason(tmp_path / "bomb.png") == f"{side}x{side} has more than 200 megapixels"


def test_pixel_limit_is_the_one_that_was_set(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", max_pixels=600).shape == (20, 30, 3)
    assert "has more than" in reason(tmp_path / "a.png", max_pixels=599)


def test_limit_above_that_of_pillow_counts(tmp_path: Path) -> None:
    path = tmp_path / "190-megapixels.png"
    path.write_bytes(png_that_claims(19_000, 10_000))
    assert "megapixels" not in reason(path)
    assert "has more than 100 megapixels" in reason(path, max_pixels=100e6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one image, links of all kinds, and an image beside it."""
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for path in ("data/in.png", "data/sub/in.png", "elsewhere/out.png"):
        (tmp_path / path).write_bytes(encode(blocks(), "PNG"))
    data = tmp_path / "data"
    (data / "link-in.png").symlink_to("sub/in.png")
    (data / "link-out.png").symlink_to("../elsewhere/out.png")
    (data / "folder-in").symlink_to("sub")
    (data / "folder-out").symlink_to("../elsewhere")
    (data / "nowhere.png").symlink_to("missing.png")
    os.mkfifo(data / "pipe.png")
    return data


@pytest.mark.parametrize("path", ["in.png", "sub/in.png", "link-in.png", "folder-in/in.png"])
def test_paths_inside_are_accepted(folder: Path, path: str) -> None:
    assert ImageFolder(folder).problem(path) is None


@pytest.mark.parametrize(
    "path", ["../elsewhere/out.png", "link-out.png", "folder-out/out.png", "sub/../in.png"]
)
def test_paths_that_leave_are_refused_unless_allowed(folder: Path, path: str) -> None:
    assert ImageFolder(folder).problem(path) == "leads out of the image folder"
    assert ImageFolder(folder, allow_outside=True).problem(path) is None


def test_absolute_path_is_refused_unless_allowed(folder: Path) -> None:
    path = str(folder.parent / "elsewhere" / "out.png")
    assert ImageFolder(folder).problem(path) == "leads out of the image folder"
    assert ImageFolder(folder, allow_outside=True).problem(path) is None


def test_folder_may_itself_be_a_link(folder: Path) -> None:
    (folder.parent / "alias").symlink_to(folder)
    assert ImageFolder(folder.parent / "alias").problem("sub/in.png") is None
    assert ImageFolder(folder.parent / "alias").problem("folder-out/out.png") is not None


@pytest.mark.parametrize("path", ["sub", "pipe.png", "nowhere.png"])
def test_what_is_no_file_is_refused(folder: Path, path: str) -> None:
    assert ImageFolder(folder).problem(path) == "is not a regular file"


@pytest.mark.parametrize("path", ["missing.png", "sub/missing.png", "in.png/x.png", "nul\0.png"])
def test_missing_file_is_named_as_such(folder: Path, path: str) -> None:
    assert ImageFolder(folder).problem(path) == "is missing"


def test_heic_is_called_by_its_name_where_nothing_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + b"\0" * 100)
    assert "is HEIC, as phones take it: pillow_heif is not installed" in (why := reason(path))
    assert "mlc-cli[heic]" in why
    assert "JPEG" in why


def test_heic_is_read_where_it_can_be(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    Image.fromarray(blocks()).save(tmp_path / "a.heic", quality=100)
    found = read_image(tmp_path / "a.heic")
    assert np.abs(found - blocks().astype(int)).mean() < 6
    grey = look(tmp_path / "a.heic", flags=GREY_FLAGS).pixels
    assert np.abs(grey - blocks() @ [0.299, 0.587, 0.114]).mean() < 6


def test_linear_light_is_read_as_a_screen_shows_it(tmp_path: Path) -> None:
    light = np.array([[[0.0, 0.5, 1.0], [0.001, 0.25, 7.0]]], np.float32)  # RGB
    assert cv2.imwrite(str(tmp_path / "a.hdr"), light[..., ::-1])
    found = read_image(tmp_path / "a.hdr")
    assert np.abs(found - [[[0, 188, 255], [3, 137, 255]]]).max() <= 4  # RGBE holds 8 bits
    header = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 100000 +X 100000\n"
    (tmp_path / "b.hdr").write_bytes(header + bytes(100))
    assert "has more than 200 megapixels" in reason(tmp_path / "b.hdr")


def test_openexr_is_read_where_it_is_trusted_and_else_named(tmp_path: Path) -> None:
    script = (
        "import cv2, numpy as np, os, sys\n"
        "from pathlib import Path\n"
        "from mlc_cli.core.images.decode import read_image\n"
        "from mlc_cli.errors import BadImageError\n"
        "try:\n    print(read_image(Path(sys.argv[1])).ravel().tolist())\n"
        "except BadImageError as error:\n    print(error.reason)\n"
    )
    write = (
        "import cv2, numpy as np, sys\n"
        "cv2.imwrite(sys.argv[1], np.array([[[1, 0.5, 0]]], np.float32))"
    )
    path, trusted = str(tmp_path / "a.exr"), {**os.environ, "OPENCV_IO_ENABLE_OPENEXR": "1"}
    subprocess.run([sys.executable, "-c", write, path], env=trusted, check=True)
    for env, wanted in ((trusted, "[0, 188, 255]"), (None, "OPENCV_IO_ENABLE_OPENEXR=1")):
        command = [sys.executable, "-c", script, path]
        assert wanted in subprocess.check_output(command, env=env, text=True)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_32_bits_a_channel_are_named(tmp_path: Path, kind: type) -> None:
    Image.fromarray(np.ones((9, 9), kind)).save(tmp_path / "a.tif")
    assert "has 32 bits a channel" in reason(tmp_path / "a.tif")
    cv2.imwrite(str(tmp_path / "b.tif"), np.zeros((8, 9, 3), np.float32))
    assert "has 32 bits a channel" in reason(tmp_path / "b.tif")


def test_what_is_not_rgb_is_not_taken_for_it(tmp_path: Path) -> None:
    Image.fromarray(blocks()).convert("LAB").save(tmp_path / "a.tif")
    assert "is in the colour space Lab: save it as RGB" in reason(tmp_path / "a.tif")


def chunk(kind: bytes, content: bytes, claimed: int | None = None) -> bytes:
    length = struct.pack(">I", len(content) if claimed is None else claimed)
    return length + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("kind", [b"IDAT", b"tEXt", b"iCCP", b"eXIf"])
def test_a_chunk_that_claims_more_than_there_is_is_refused_unread(
    tmp_path: Path, kind: bytes
) -> None:
    png = encode(blocks(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(png[:33] + chunk(kind, b"icc\0\0" + bytes(50), 2**31 - 100) + png[33:])
    tracemalloc.start()
    assert reason(path) == "is truncated"
    assert tracemalloc.get_traced_memory()[1] < 2**20


@pytest.mark.parametrize("head", [b"zTXtkey\0\0", b"iCCPicc\0\0", b"iTXtkey\0\1\0\0\0"])
def test_a_bomb_beside_the_picture_is_refused(tmp_path: Path, head: bytes) -> None:
    png = encode(blocks(), "PNG")
    bomb = chunk(head[:4], head[4:] + zlib.compress(bytes(2**26), 9))
    (tmp_path / "a.png").write_bytes(png[:33] + bomb + png[33:])
    assert "unpacks to more than a picture needs" in reason(tmp_path / "a.png")


def test_a_file_larger_than_any_picture_is_refused_by_its_size(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).write_bytes(encode(blocks(), "JPEG"))
        os.truncate(tmp_path / name, 100 * 2**30)
        assert "107.4 GB, more than a picture of 200 megapixels (max_megapixels)" in reason(
            tmp_path / name
        )
    os.truncate(tmp_path / "a.jpg", 80 * 10**6)
    assert read_image(tmp_path / "a.jpg").shape == blocks().shape
    assert "max_megapixels" in reason(tmp_path / "a.jpg", max_pixels=1e6)


def test_a_jpeg_of_more_scans_than_anybody_writes_is_refused(tmp_path: Path) -> None:
    jpeg = encode(blocks(), "JPEG", progressive=True)
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    (tmp_path / "a.jpg").write_bytes(jpeg[:-2] + 600 * scan + jpeg[-2:])
    assert "scans" in reason(tmp_path / "a.jpg")
