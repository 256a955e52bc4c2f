"""The page of `mlc train --show-augmented`."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Outcome


def test_the_page_has_each_image_as_it_is_and_changed_with_its_labels(
    mlc: Callable[..., Outcome], make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_dataset(30, 6)
    page = tmp_path / "seen.html"
    options = ["--set", "data.input_size=32", "--set", "augment.level=strong"]
    assert mlc("train", "--data", str(root), *options, "--show-augmented", str(page)).code == 0
    rows = page.read_text(encoding="utf-8").split("<figure")[1:]
    assert len(rows) == 24
    for row in rows:
        views = re.findall(r'src="(data:image/jpeg;base64,[^"]+)"', row)
        assert len(views) == 6
        assert len(set(views)) == 6
    assert not (tmp_path / "runs").exists()


def test_a_run_that_goes_on_shows_nothing(mlc: Callable[..., Outcome], tmp_path: Path) -> None:
    assert mlc("train", "--resume", str(tmp_path), "--show-augmented", "a.html").code == 2
