"""The scan of a file."""

import io
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mlc_cli.core.datasets.inspection.collection import read_collection
from mlc_cli.core.datasets.inspection.duplicates import fine_limit
from mlc_cli.core.datasets.inspection.scan import (
    FileScan,
    perceptual_hashes,
    scan_file,
    scan_files,
)
from mlc_cli.core.images.decode import read_image
from mlc_cli.core.images.scaled import part_of

ORIENTATION = 0x0112


def pillow(pixels: np.ndarray, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def look(folder: Path, content: bytes, max_pixels: float = 1e6) -> FileScan:
    path = folder / "image"
    path.write_bytes(content)
    return scan_file(path, max_pixels)


def distance(one: FileScan, other: FileScan, side: int = 8) -> int:
    hashes = perceptual_hashes([one.thumbnail, other.thumbnail], side)
    return int(np.unpackbits(hashes[0] ^ hashes[1]).sum())


@pytest.mark.parametrize("side", [8, 16])
def test_hashes_are_those_of_opencvs_cosine_transform(tmp_path: Path, photos, side: int) -> None:
    scans = [look(tmp_path, pillow(photos(seed, 40, 70), "PNG")) for seed in range(50)]
    thumbnails = [scan.thumbnail for scan in scans]
    for thumbnail, found in zip(thumbnails, perceptual_hashes(thumbnails, side), strict=True):
        levels = np.frombuffer(thumbnail, np.uint8).reshape(32, 32).astype(np.float64)
        lowest = cv2.dct(levels)[:side, :side].ravel()
        assert np.unpackbits(found).tolist() == (lowest > np.median(lowest[1:])).tolist()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_format_and_size_are_those_of_the_file(tmp_path: Path, photos, form: str) -> None:
    found = look(tmp_path, pillow(photos(1, 40, 70), form))
    assert (found.problem, found.form) == ("", form)
    assert (found.width, found.height) == (70, 40)
    assert found[4:8] == (False, False, False, False)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_images_have_the_size_and_look_of_what_is_shown(
    tmp_path: Path, photos, orientation: int
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    upright = look(tmp_path, pillow(photos(2, 400, 700), "JPEG", quality=95))
    found = look(tmp_path, pillow(photos(2, 400, 700), "JPEG", quality=95, exif=exif))
    assert (found.width, found.height) == ((400, 700) if orientation > 4 else (700, 400))
    assert found.exif_rotated == (orientation > 1)
    assert (distance(found, upright) <= 6) == (orientation == 1)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"x" * 40])
def test_damaged_exif_counts_as_none(tmp_path: Path, photos, exif: bytes) -> None:
    found = look(tmp_path, pillow(photos(3), "JPEG", exif=exif))
    assert (found.problem, found.exif_rotated) == ("", False)


def test_grey_and_transparent_are_told(tmp_path: Path, photos) -> None:
    pixels = photos(4)
    grey, alpha = pixels[..., 0], np.dstack([pixels, pixels[..., 0]])
    assert look(tmp_path, pillow(grey, "PNG"))[4:6] == (True, False)
    assert look(tmp_path, pillow(grey, "JPEG"))[4:6] == (True, False)
    assert look(tmp_path, pillow(alpha, "PNG"))[4:6] == (False, True)
    assert look(tmp_path, pillow(np.dstack([grey, grey]), "PNG"))[4:6] == (True, True)


@pytest.mark.parametrize(("level", "flat"), [(0, True), (255, True), (2, True), (40, False)])
def test_one_shade_is_told_from_a_picture(tmp_path: Path, level: int, flat: bool) -> None:
    pixels = np.zeros((50, 50, 3), np.uint8)
    pixels[:25] = level if level != 255 else 0
    assert look(tmp_path, pillow(pixels, "PNG")).flat == flat


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"hello", "is not an image"),
        (b"\xff\xd8\xff", "is truncated"),
    ],
)
def test_what_is_no_image_is_a_problem(tmp_path: Path, content: bytes, problem: str) -> None:
    assert look(tmp_path, content) == FileScan(problem)


def test_missing_large_and_truncated_files_are_problems(tmp_path: Path, photos, encode) -> None:
    assert scan_file(tmp_path / "none").problem == "No such file or directory"
    assert scan_file(tmp_path).problem
    content = encode(photos(5))
    assert look(tmp_path, content, max_pixels=96 * 128 - 1).problem.startswith("128x96 has more")
    assert look(tmp_path, content, max_pixels=96 * 128).problem == ""
    assert look(tmp_path, content[: len(content) // 2]).problem == "is truncated"
    png = encode(photos(5), ".png")
    assert look(tmp_path, png[: len(png) // 2]).problem == "is truncated"


def test_same_bytes_have_the_same_digest_and_others_do_not(make_data, photos, encode) -> None:
    same, other = encode(photos(6)), encode(photos(6), quality=91)
    end = same[:-4] + bytes([same[-4] ^ 1]) + same[-3:]  # looks the same, as large, one bit apart
    names = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    files = dict(zip(names, (same, other, same, end), strict=True))
    collection = read_collection(make_data({"train": [[name, []] for name in names]}, files))
    digests = scan_files(collection, threads=2).facts_N["digest"].tolist()
    assert digests[0] == digests[2]
    assert len({*digests}) == 3


CHANGES = {
    "saved poorly": lambda pixels, encode: encode(pixels, quality=30),
    "another format": lambda pixels, encode: encode(pixels, ".png"),
    "smaller": lambda pixels, encode: encode(
        cv2.resize(pixels, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    ),
    "larger": lambda pixels, encode: encode(cv2.resize(pixels, None, fx=3, fy=3)),
    "squashed": lambda pixels, encode: encode(cv2.resize(pixels, (224, 224))),
    "brighter": lambda pixels, encode: encode(cv2.convertScaleAbs(pixels, alpha=1.1, beta=5)),
    "grey": lambda pixels, encode: encode(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_near_and_other_pictures_are_not(
    tmp_path: Path, photos, encode, change: str
) -> None:
    originals = [photos(seed, 240, 320) for seed in range(20)]
    first = [look(tmp_path, encode(pixels)) for pixels in originals]
    second = [look(tmp_path, CHANGES[change](pixels, encode)) for pixels in originals]
    for one, other in zip(first, second, strict=True):
        assert distance(one, other) <= 6
        assert distance(one, other, 16) <= fine_limit(6)
    for one, other in itertools.permutations(range(20), 2):
        close = distance(first[one], second[other]) <= 6
        assert not (close and distance(first[one], second[other], 16) <= fine_limit(6))


@pytest.mark.parametrize("size", [(40, 60), (130, 200), (500, 700), (1100, 1600)])
def test_a_reduced_decode_shows_the_same_picture(
    tmp_path: Path, photos, encode, size: tuple[int, int]
) -> None:
    pixels = photos(7, *size)
    path = tmp_path / "image.jpg"
    path.write_bytes(encode(pixels, quality=98))
    reduced = read_image(path, part=lambda size: part_of(size, (64, 64)))
    assert min(size) >= min(reduced.shape[:2]) >= min(64, *size)
    expected = cv2.resize(pixels, reduced.shape[1::-1], interpolation=cv2.INTER_AREA)[..., ::-1]
    assert np.abs(reduced.astype(int) - expected).mean() < 3


def test_rows_are_those_of_the_collection(make_data, photos, encode) -> None:
    sizes = [(30 + 5 * n, 90) for n in range(7)]
    names = [f"{n}.png" for n in range(7)]
    files = {
        name: encode(photos(1, *size), ".png") for name, size in zip(names, sizes, strict=True)
    }
    files["2.png"] = None
    entries = [[name, []] for name in names]
    collection = read_collection(make_data({"train": entries[:4], "val": entries[4:]}, files))
    told: list[tuple[int, int]] = []
    found = scan_files(collection, threads=3, progress=lambda *step: told.append(step))
    assert found.problems == {2: "is missing"}
    assert found.facts_N["height"].tolist() == [30, 35, 0, 45, 50, 55, 60]
    assert found.usable_N.tolist() == [True, True, False, True, True, True, True]
    assert told == [(n, 7) for n in range(1, 8)]


def test_paths_that_lead_out_are_problems_unless_allowed(make_data) -> None:
    root = make_data({"train": [["../out.jpg", []], ["in.jpg", []]]})
    collection = read_collection(root)
    assert scan_files(collection, threads=1).problems == {0: "leads out of the image folder"}
    assert scan_files(collection, threads=1, allow_outside=True).problems == {}


def test_damage_inside_is_told_though_the_image_can_be_used(tmp_path: Path, photos, encode) -> None:
    content = encode(photos(5))
    found = look(tmp_path, content[: len(content) // 2] + b"\xff\xd9")
    assert found.problem == ""
    assert found.damage.startswith("Corrupt JPEG data")
    assert look(tmp_path, content).damage == ""
