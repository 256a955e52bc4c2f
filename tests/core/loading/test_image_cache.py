"""Images that are read once."""

import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.loading import dataset, image_cache
from mlc_cli.core.loading.build import build_eval_batches
from mlc_cli.core.loading.dataset import ImageDataset
from mlc_cli.core.loading.image_cache import ImageCache, cache_name
from mlc_cli.core.system.downloads.cache import Cache
from mlc_cli.settings.data import DataSettings

MakeSplit = Callable[..., Annotation]
SIZE = (16, 24)
PIXELS = np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3), np.uint8)


@pytest.mark.parametrize("mapped", [False, True])
def test_what_is_put_is_there(tmp_path: Path, mapped: bool) -> None:
    cache = ImageCache(4, SIZE, tmp_path / "images-a" if mapped else None)
    assert cache.get(2) is None
    cache.put(2, PIXELS[2])
    np.testing.assert_array_equal(cache.get(2), PIXELS[2])
    assert cache.get(1) is None


def test_a_file_is_found_again_and_by_other_processes(tmp_path: Path) -> None:
    first = ImageCache(4, SIZE, tmp_path / "images-a")
    first.put(0, PIXELS[0])
    for again in (ImageCache(4, SIZE, tmp_path / "images-a"), pickle.loads(pickle.dumps(first))):
        np.testing.assert_array_equal(again.get(0), PIXELS[0])
        again.put(3, PIXELS[3])
    np.testing.assert_array_equal(first.get(3), PIXELS[3])
    assert (tmp_path / "images-a").stat().st_size == ImageCache.bytes_needed(4, SIZE)


def test_an_image_that_was_cut_short_or_has_rotted_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "images-a"
    ImageCache(4, SIZE, path).put(1, PIXELS[1])
    content = bytearray(path.read_bytes())
    content[4 * 4 + 16 * 24 * 3 + 5] ^= 1
    path.write_bytes(content)
    assert ImageCache(4, SIZE, path).get(1) is None


def test_a_black_image_is_kept(tmp_path: Path) -> None:
    cache = ImageCache(1, SIZE, tmp_path / "images-a")
    cache.put(0, np.zeros_like(PIXELS[0]))
    assert cache.get(0) is not None


def test_the_name_changes_with_files_and_geometry(make_split: MakeSplit) -> None:
    split = make_split(3)
    name = cache_name(split, Geometry(SIZE), 1e6)
    assert name == cache_name(split, Geometry(SIZE), 1e6)
    others = {cache_name(split, Geometry(SIZE[::-1]), 1e6), cache_name(split, Geometry(SIZE), 2e6)}
    others |= {cache_name(split, Geometry(SIZE, way), 1e6) for way in ("crop", "letterbox")}
    os.utime(split.path(1), (1, 1))
    others.add(cache_name(split, Geometry(SIZE), 1e6))
    assert len(others | {name}) == 6


def batches_of(split: Annotation, store: Cache | None, **changes: object):
    wanted = {"root": str(split.folder), "input_size": SIZE, "workers": 0, **changes}
    data = DataSettings.model_validate(wanted)
    return build_eval_batches(data, split, batch_size=2, device=torch.device("cpu"), store=store)


def test_a_second_training_decodes_nothing(
    make_split: MakeSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, store = make_split(5), Cache(tmp_path / "cache", 1e9)
    first = [batch.images_NHWC.numpy() for batch in batches_of(split, store).epoch()]
    monkeypatch.setattr(dataset, "look", lambda *_: pytest.fail("it is decoded"))
    second = [batch.images_NHWC.numpy() for batch in batches_of(split, store).epoch()]
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(second))


def test_without_room_on_the_disk_it_is_memory_and_without_that_it_is_said(
    make_split: MakeSplit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    split, store = make_split(5), Cache(tmp_path / "cache", 1e9)

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(image_cache.os, "posix_fallocate", full)
    for folder in (store, Cache(tmp_path / "small", 10)):
        dataset = batches_of(split, folder).dataset
        assert isinstance(dataset, ImageDataset)
        assert dataset.cache is not None
        assert [*tmp_path.glob("*/images-*")] == []
    assert caplog.text == ""
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 100}))
    assert batches_of(split, store).dataset.cache is None
    assert "neither" in caplog.text


def test_older_files_make_room(make_split: MakeSplit, tmp_path: Path) -> None:
    split = make_split(5)
    store = Cache(tmp_path / "cache", ImageCache.bytes_needed(5, SIZE) + 100)
    store.folder.mkdir()
    (store.folder / "0123-weights.pth").write_bytes(bytes(200))
    batches_of(split, store)
    assert [path.name[:7] for path in store.folder.glob("*-*")] == ["images-"]
