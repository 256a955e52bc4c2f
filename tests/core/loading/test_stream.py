"""Reading ahead: in order, bounded, and over when it should be."""

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from mlc_cli.core.images.decode import read_image
from mlc_cli.core.images.geometry import Geometry, resize
from mlc_cli.core.loading.sources import Item
from mlc_cli.core.loading.stream import Picture, PictureReader, in_background, read_batches
from mlc_cli.errors import BadImageError


def items(count: int) -> list[Item]:
    return [Item(str(number), Path(str(number)), Path(str(number))) for number in range(count)]


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (8, [4, 4]), (9, [4, 4, 1])])
def test_batches_keep_the_order_whatever_takes_longest(count: int, sizes: list[int]) -> None:
    def read(item: Item) -> Picture:
        time.sleep(0.01 * (int(item.name) % 3 == 0))
        return Picture(item, None)

    batches = list(read_batches(items(count), read, batch_size=4, threads=3))
    assert [len(batch) for batch in batches] == sizes
    assert [p.item.name for batch in batches for p in batch] == [str(n) for n in range(count)]


def test_a_live_source_is_not_waited_for() -> None:
    release = threading.Event()

    def some() -> Iterator[Item]:
        yield from items(3)
        release.wait(10)
        yield from items(1)

    batches = read_batches(
        some(), lambda item: Picture(item, None), batch_size=8, threads=1, live=True
    )
    assert len(next(batches)) == 3
    release.set()
    assert len(next(batches)) == 1
    assert list(batches) == []


def test_no_more_than_some_batches_are_read_ahead() -> None:
    started: list[str] = []

    def read(item: Item) -> Picture:
        started.append(item.name)
        return Picture(item, None)

    endless = (Item(str(n), Path(), Path()) for n in itertools.count())
    batches = read_batches(endless, read, batch_size=4, threads=2)
    next(batches)
    time.sleep(0.3)
    assert len(started) <= 4 * 4 + 2 * 2
    batches.close()
    time.sleep(0.3)
    count = len(started)
    time.sleep(0.2)
    assert len(started) == count


def test_an_error_in_the_background_is_raised_in_front() -> None:
    def work() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    results = in_background(work(), 2)
    assert next(filter(None, results)) == 1
    with pytest.raises(ZeroDivisionError):
        list(results)


def test_a_wish_to_stop_ends_the_wait() -> None:
    stop = threading.Event()
    release = threading.Event()

    def work() -> Iterator[int]:
        yield 1
        release.wait(10)

    results = in_background(work(), 1, stop.is_set)
    assert next(filter(None, results)) == 1
    stop.set()
    assert list(results) == []
    release.set()


def test_a_thread_that_waits_for_standard_input_keeps_no_program_alive() -> None:
    script = (
        "from mlc_cli.core.loading.stream import in_background, stdin_lines\n"
        "lines = filter(None, in_background(stdin_lines(), 1))\n"
        "print(next(lines).strip(), flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin
        process.stdin.write("a line\n")
        process.stdin.flush()
        assert process.wait(timeout=60) == 0
        assert process.stdout
        assert process.stderr
        assert process.stdout.read() == "a line\n"
        assert process.stderr.read() == ""


def test_pictures_are_what_the_evaluation_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8))
    picture = PictureReader(Geometry((32, 48)), preview_side=40)(Item("a", path, Path("a")))
    np.testing.assert_array_equal(picture.pixels, resize(read_image(path), (32, 48)))
    preview = cv2.imdecode(np.frombuffer(picture.preview, np.uint8), cv2.IMREAD_COLOR)
    assert preview.shape == (29, 40, 3)
    assert PictureReader(Geometry((32, 48)))(Item("a", path, Path("a"))).preview == b""


def test_what_cannot_be_read_comes_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("no image")
    read = PictureReader(Geometry((32, 32)), max_pixels=100)
    assert read(Item("a", path, Path("a"))).error == "is not an image"
    assert "No such file" in read(Item("b", tmp_path / "b.png", Path("b"))).error
    assert read(Item("c", path, Path("c"), error="broken")).error == "broken"
    cv2.imwrite(str(path), np.zeros((20, 20, 3), np.uint8))
    assert "megapixels" in read(Item("a", path, Path("a"))).error


def test_a_frame_that_is_there_is_taken_as_it_is() -> None:
    frame = np.full((4, 4, 3), 7, np.uint8)
    picture = PictureReader(Geometry((2, 2)))(Item("a", Path("none"), Path("a"), frame=frame))
    assert picture.pixels is not None
    assert picture.pixels.shape == (2, 2, 3)


def test_a_damaged_image_is_used_or_left_out_or_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    content = cv2.imencode(".jpg", pixels)[1].tobytes()
    path.write_bytes(content[: len(content) // 2] + b"\xff\xd9")
    item = Item("a", path, Path("a"))
    used = PictureReader(Geometry((32, 32)))(item)
    assert used.pixels is not None
    assert used.damage.startswith("Corrupt JPEG data")
    assert used.error == ""
    left_out = PictureReader(Geometry((32, 32)), on_damaged="skip")(item)
    assert left_out.pixels is None
    assert left_out.error == used.damage
    with pytest.raises(BadImageError, match="a: Corrupt JPEG data"):
        PictureReader(Geometry((32, 32)), on_damaged="error")(item)
