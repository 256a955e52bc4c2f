"""Processes that read images for several splits."""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.loading.dataset import ImageDataset
from mlc_cli.core.loading.image_cache import ImageCache
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.loading.readers import Readers
from tests import launch
from tests.core.loading.test_loader import make_batches

MakeSplit = Callable[..., Annotation]
SIZE = (16, 24)


@pytest.fixture
def readers() -> Iterator[Readers]:
    made = Readers(1)
    yield made
    made.close()


@pytest.fixture
def two(make_split: MakeSplit, readers: Readers) -> tuple[Batches, Batches]:
    """A split that is shuffled, and its images in their order."""
    dataset = ImageDataset(make_split(12), Geometry(SIZE))
    return make_batches(dataset, 4, workers=readers, seed=1), make_batches(
        dataset, 3, workers=readers
    )


def places(batches: Batches, epoch: int = 0) -> list[list[int]]:
    return [batch.indices_N.tolist() for batch in batches.epoch(epoch)]


def test_splits_share_the_processes(two: tuple[Batches, Batches]) -> None:
    train, val = two
    train.readers.follow(itertools.chain(train.requests(3), val.requests(), train.requests(4)))
    assert sorted(itertools.chain(*places(train, 3))) == [*range(12)]
    before = {child.pid for child in psutil.Process().children()}
    assert places(val) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert sorted(itertools.chain(*places(train, 4))) == [*range(12)]
    assert {child.pid for child in psutil.Process().children()} == before


def test_what_follows_is_read_while_the_end_of_what_comes_first_is_used(
    two: tuple[Batches, Batches],
) -> None:
    train, val = two
    train.readers.follow(itertools.chain(train.requests(), val.requests()))
    places(train)
    until = time.monotonic() + 60
    while not all(f.done() for _, futures in train.readers._ahead for f in futures):
        assert time.monotonic() < until
        time.sleep(0.01)
    for index in range(9):  # with one process, three batches behind the one that is taken
        train.dataset.annotation.path(index).unlink()
    read = val.epoch()
    assert [next(read).indices_N.tolist() for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_what_was_not_expected_is_read_all_the_same(two: tuple[Batches, Batches]) -> None:
    train, val = two
    expected = places(train, 5)
    train.readers.follow(itertools.chain(val.requests(), train.requests(1)))
    assert places(train, 5) == expected
    val_epoch, train_epoch = val.epoch(), train.epoch(5)
    pairs = zip(val_epoch, train_epoch, strict=False)
    assert [one.indices_N.tolist() for _, one in pairs] == expected


def test_beside_cuda_processes_are_not_forked_and_still_share_the_cache(
    make_split: MakeSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch.start(lambda: None)  # other tests need the server with what they import
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    split = make_split(6)
    cache = ImageCache(6, SIZE)
    batches = make_batches(ImageDataset(split, Geometry(SIZE), cache=cache), 2, workers=2)
    first = list(batches.epoch())
    names = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    assert any("forkserver" in " ".join(name) for name in names)
    for index in range(6):
        assert cache.get(index) is not None
        split.path(index).unlink()
    for one, other in zip(batches.epoch(1), first, strict=True):
        assert torch.equal(one.images_NHWC, other.images_NHWC)
    batches.close()


PROGRAM = """
import sys, torch
from pathlib import Path
from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.loading.dataset import ImageDataset
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.loading.sampling import EpochSampler
torch.cuda.is_initialized = lambda: True
dataset = ImageDataset(read_annotation(Path(sys.argv[1])), Geometry((8, 8)))
batches = Batches(dataset, EpochSampler(len(dataset), 2), workers=2)
print("begins")
print(sum(len(batch.indices_N) for batch in batches.epoch()), "images")
"""


def test_a_program_without_a_guard_is_not_begun_again(
    make_split: MakeSplit, tmp_path: Path
) -> None:
    source = make_split(5).source
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, program, source], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "begins\n5 images\n", done.stderr


def test_readers_end_with_the_process_that_started_them(
    make_split: MakeSplit, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        PROGRAM.replace("torch.cuda.is_initialized = lambda: True\n", "") + "import os, psutil\n"
        "batches.readers.follow(()); next(batches.epoch())\n"
        "print(*[child.pid for child in psutil.Process().children()], flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, program, make_split(5).source],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    readers = [int(pid) for pid in done.stdout.splitlines()[-1].split()]
    assert len(readers) == 2, done.stderr
    until = time.monotonic() + 30
    while any(psutil.pid_exists(pid) for pid in readers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(pid) for pid in readers)
