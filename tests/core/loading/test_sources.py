"""Files, folders, patterns, lists and videos as one stream of images."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mlc_cli.core.images.decode import read_image
from mlc_cli.core.loading.sources import IMAGES, Item, Sources, distinct_output_names
from mlc_cli.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def write(path: Path, pixels: np.ndarray = PIXELS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def names(*sources: str | Path, **options: object) -> list[str]:
    return [item.name for item in Sources([str(source) for source in sources], **options)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.JPG", "sub/c.bmp", "sub/deep/d.webp", ".hidden.png", ".x/e.png"):
        write(tmp_path / "photos" / name)
    (tmp_path / "photos/notes.txt").write_text("no image")
    return tmp_path / "photos"


@pytest.mark.usefixtures("folder")
def test_a_folder_is_searched_sorted_and_without_hidden_files() -> None:
    expected = ["a.JPG", "b.png", "sub/c.bmp", "sub/deep/d.webp"]
    assert names("photos") == [f"photos/{name}" for name in expected]
    assert Sources(["photos"]).count() == 4


@pytest.mark.parametrize(
    "ending", sorted(IMAGES - {".jp2", ".pbm", ".pgm", ".avif", ".exr", ".heic", ".heif"})
)
def test_every_ending_that_a_folder_is_searched_for_can_be_read(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"image{ending}"
    write(tmp_path / "image.jpg").rename(path) if ending == ".jfif" else write(path)
    assert names(tmp_path) == [str(path)]
    assert read_image(path).shape == (20, 30, 3)


def test_a_file_without_an_ending_is_taken_by_its_content_and_the_rest_is_told(
    folder: Path,
) -> None:
    write(folder / "z.jpg").rename(folder / "IMG_1")
    (folder / "LICENSE").write_text("no image either")
    (folder / "clip.mp4").write_bytes(b"")
    assert names(folder)[0] == str(folder / "IMG_1")
    passed = [str(Path(name).relative_to(folder)) for name in Sources([str(folder)]).passed_over()]
    assert passed == ["LICENSE", "clip.mp4", "notes.txt"]


@pytest.mark.usefixtures("folder")
def test_files_and_patterns_keep_their_order_and_duplicates() -> None:
    assert names("photos/b.png", "photos/*.JPG", "photos/b.png") == [
        "photos/b.png",
        "photos/a.JPG",
        "photos/b.png",
    ]
    assert names("photos/**/*.[bw]*") == ["photos/sub/c.bmp", "photos/sub/deep/d.webp"]


def test_a_file_with_the_signs_of_a_pattern_in_its_name_is_that_file(folder: Path) -> None:
    odd = write(folder / "[a]*.png")
    assert names(odd) == [str(odd)]


@pytest.mark.usefixtures("folder")
def test_lists_and_standard_input_name_a_path_a_line() -> None:
    Path("list.txt").write_bytes("\ufeffphotos/b.png\r\n\r\nnot there ü.png\n".encode())
    assert names("list.txt") == ["photos/b.png", "not there ü.png"]
    assert Sources(["list.txt"]).count() == 2
    lines = ["photos/b.png\n", "\n", "x.png"]
    assert names("-", "photos/a.JPG", lines=lines) == ["photos/b.png", "x.png", "photos/a.JPG"]
    assert Sources(["-"]).count() is None


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("nowhere", "there is no such file or folder"),
        ("photos/none.png", "there is no such file or folder"),
        ("photos/*.tif", "no image or video matches this pattern"),
        ("photos/*.txt", "no image or video matches this pattern"),
        ("empty", "holds no images"),
        ("empty.txt", "lists no paths"),
        ("x" * 5000, "there is no such file or folder"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_is_missing_or_empty_is_named(source: str, problem: str) -> None:
    Path("empty").mkdir()
    Path("empty.txt").write_text("\n \n")
    with pytest.raises(DataError, match=problem) as caught:
        Sources(["photos", source]).check()
    assert source in caught.value.message


@pytest.mark.usefixtures("folder")
def test_what_is_there_passes_the_check() -> None:
    Sources(["photos", "photos/*.png", "photos/b.png", "-"]).check()


def write_video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((48, 64, 3), (0, 0, 20 * number), np.uint8))
    writer.release()
    return path


def test_every_nth_frame_of_a_video_in_rgb(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 11)
    items = list(Sources([str(path)], every=4))
    assert [item.name for item in items] == [f"{path}#{number}" for number in (0, 4, 8)]
    assert [str(item.output_name) for item in items] == ["clip-0", "clip-4", "clip-8"]
    for number, item in zip((0, 4, 8), items, strict=True):
        assert item.frame is not None
        assert item.frame.shape == (48, 64, 3)
        np.testing.assert_allclose(item.frame.mean((0, 1)), (20 * number, 0, 0), atol=6)
    assert Sources([str(path)]).count() is None


def test_a_broken_video_is_one_item_with_an_error(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video")
    (item,) = Sources([str(path)])
    assert item.name == str(path)
    assert "no frame" in item.error


def test_a_video_that_a_list_names_and_that_is_missing_is_an_item(tmp_path: Path) -> None:
    (item,) = Sources(["-"], lines=["http://127.0.0.1:1/clip.mp4\n"])
    assert item.frame is None
    assert not (tmp_path / "clip.mp4").exists()


def test_names_that_are_not_utf8_can_be_written(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    path.rename(odd)
    (item,) = Sources([str(tmp_path)])
    assert item.name.encode().endswith(b"\\xff.png")
    assert read_image(item.path).shape == (20, 30, 3)


def test_places_are_made_distinct() -> None:
    items = [Item(str(n), Path("x"), Path(name)) for n, name in enumerate(["a", "b/a", "a", "A"])]
    places = [str(item.output_name) for item in distinct_output_names(items)]
    assert places == ["a", "b/a", "a-2", "A-3"]
