"""Damage inside of a JPEG: told for each file, in any thread, and never printed."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mlc_cli.core.images.decode import look
from mlc_cli.core.images.scaled import GREY_FLAGS


def jpeg(seed: int, **options: object) -> bytes:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (20, 25, 3), np.uint8)
    pixels = cv2.resize(small, (400, 320), interpolation=cv2.INTER_CUBIC)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def damaged(content: bytes, kind: str) -> bytes:
    middle = (content.rindex(b"\xff\xda") + len(content)) // 2
    if kind == "hole":
        return content[:middle] + content[middle + 500 :]
    if kind == "cut and closed":
        return content[:middle] + b"\xff\xd9"
    if kind == "zeroed":
        return content[:middle] + bytes(1000) + content[middle + 1000 :]
    return content


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("kind", ["hole", "cut and closed", "zeroed"])
def test_damage_is_told_and_the_rest_is_read(
    tmp_path: Path, kind: str, options: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    content = jpeg(1, **options)
    (tmp_path / "a.jpg").write_bytes(damaged(content, kind))
    (tmp_path / "b.jpg").write_bytes(content)
    for more in ({}, {"part": lambda _: 2}, {"flags": GREY_FLAGS}):
        found, whole = (look(tmp_path / name, **more) for name in ("a.jpg", "b.jpg"))
        assert found.damage.startswith("Corrupt JPEG data")
        assert whole.damage == ""
        assert found.pixels.shape == whole.pixels.shape
    assert capfd.readouterr() == ("", "")


def test_damage_is_told_of_the_file_that_has_it_whichever_thread_reads_it(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.jpg" for number in range(64)]
    for number, path in enumerate(paths):
        kind = "cut and closed" if number % 5 == 0 else "none"
        path.write_bytes(damaged(jpeg(number), kind))
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            found = [bool(one.damage) for one in pool.map(look, paths)]
            assert found == [number % 5 == 0 for number in range(64)]


def test_what_libraries_print_afterwards_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jpg").write_bytes(damaged(jpeg(0), "hole"))
    look(tmp_path / "a.jpg")
    content = np.frombuffer(damaged(jpeg(0), "hole"), np.uint8)
    cv2.imdecode(content, cv2.IMREAD_COLOR)  # by somebody else
    assert "Corrupt JPEG data" in capfd.readouterr().err


def test_a_forked_process_hears_for_itself(tmp_path: Path) -> None:
    for name, kind in (("a.jpg", "hole"), ("b.jpg", "none")):
        (tmp_path / name).write_bytes(damaged(jpeg(0), kind))
    look(tmp_path / "b.jpg")
    child = os.fork()
    if not child:
        ok = look(tmp_path / "a.jpg").damage and not look(tmp_path / "b.jpg").damage
        os._exit(0 if ok else 1)
    for _ in range(20):
        assert look(tmp_path / "b.jpg").damage == ""
        assert look(tmp_path / "a.jpg").damage
    assert os.waitpid(child, 0)[1] == 0
