"""Fixtures that tests of several folders share."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mlc_cli.core.inference.runtime.signal_stack import kept_signal_stack
from mlc_cli.core.system.distributed import current, joined
from mlc_cli.main import main
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings
from tests import launch
from tests.web import Web, serving

launch.use_one_core()


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def signal_stack() -> Iterator[None]:
    """Stock clients make cores of their own, in any order."""
    with kept_signal_stack():
        yield


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests and the fixtures of a session keep is not among what the user keeps."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "kept"))
        yield


@pytest.fixture
def mlc(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Run `mlc` in this process, as the executable does."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["mlc", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Web]:
    """A server on this machine; what is fetched goes to a folder of the test, without pauses."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("mlc_cli.core.system.downloads.transfer.PAUSE", 0.001)
    with serving() as running:
        yield running


@pytest.fixture(scope="session")
def together() -> Callable[..., list[Any]]:
    """Do the same in several processes that have joined a group; what each gave, by rank."""

    def run(work: Callable[[Any], Any], size: int = 2) -> list[Any]:
        def join() -> Any:
            with joined():
                return work(current())

        return launch.start_together(join, size).results()

    return run


@pytest.fixture
def start_mlc(monkeypatch: pytest.MonkeyPatch) -> Callable[..., launch.Started]:
    """Start `mlc` in two processes as torchrun does; their results are `Outcome`s."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str | Path) -> launch.Started:
        def command() -> Outcome:
            sys.argv = ["mlc", *map(str, arguments)]
            sys.stdin = io.StringIO()
            out, err, code = io.StringIO(), io.StringIO(), 0
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    main()
                except SystemExit as end:
                    code = end.code if isinstance(end.code, int) else 1
            return Outcome(code, out.getvalue(), err.getvalue())

        return launch.start_together(command)

    return run


Entry = tuple[str, Sequence[str | int]] | tuple[str, Sequence[str | int], Sequence[str | int]]


def write_annotation(path: Path, classes: Sequence[str | int], images: Sequence[Entry]) -> Path:
    """Write an annotation file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"classes": list(classes), "images": images}), encoding="utf-8")
    return path


def write_image(path: Path, pixels: np.ndarray | tuple[int, int] = (24, 32), seed: int = 0) -> Path:
    """Write an image file; a size stands for random pixels of that height and width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(pixels, tuple):
        pixels = np.random.default_rng(seed).integers(0, 256, (*pixels, 3), np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


COLOURS = {"blue": (255, 0, 0), "green": (0, 255, 0), "red": (0, 0, 255)}


def write_dataset(root: Path, train: int, val: int, *, unknown: bool = False) -> Path:
    """Write a learnable data set: patches of colours on noise; labels are the colours."""
    for split, count in (("train", train), ("val", val), ("test", val)):
        rng = np.random.default_rng(len(split) * 1000 + count)
        entries: list[Entry] = []
        for number in range(count):
            pixels = rng.integers(0, 60, (32, 32, 3), np.uint8)
            labels = [label for label in COLOURS if rng.random() < 0.5]
            for place, label in enumerate(labels):
                pixels[place * 10 : place * 10 + 10, 8:24] = COLOURS[label]
            path = f"images/{split}/{number:03d}.png"
            write_image(root / path, pixels)
            others = [label for label in COLOURS if label not in labels]
            entries.append((path, labels, others[:1]) if unknown else (path, labels))
        write_annotation(root / f"{split}.json", list(COLOURS), entries)
    return root


@pytest.fixture(scope="session")
def dataset_at() -> Callable[..., Path]:
    """Make a learnable data set in any folder."""
    return write_dataset


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Make a learnable data set."""

    def make(train: int = 24, val: int = 12, *, name: str = "data", unknown: bool = False) -> Path:
        return write_dataset(tmp_path / name, train, val, unknown=unknown)

    return make


TINY = (
    "data.input_size=32",
    "data.workers=0",
    "model.backbone=test_resnet",
    "model.pretrained=false",
    "batch_size=8",
    "eval_batch_size=8",
)


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Flags for a training of a second: a tiny model, no worker processes."""
    return [argument for setting in TINY for argument in ("--set", setting)]


@pytest.fixture
def tiny_settings(tmp_path: Path) -> Callable[..., TrainSettings]:
    """Settings of a tiny training of a data set, with assignments `section.key=value`."""

    def make(data: Path, *assignments: str) -> TrainSettings:
        flags = {"data.root": str(data), "output": str(tmp_path / "runs"), "device": "cpu"}
        content = gather(TrainSettings, "train", flags=flags, assignments=[*TINY, *assignments])
        return validate(TrainSettings, content)

    return make


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data, named by MLC_REAL_DATA."""
    folder = os.environ.get("MLC_REAL_DATA")
    if not folder:
        pytest.skip("MLC_REAL_DATA is not set")
    return Path(folder)


@pytest.fixture
def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_dataset: Callable[..., Path],
    mlc: Callable[..., Outcome],
    tiny: list[str],
) -> Path:
    """A finished run of two epochs in the working folder."""
    make_dataset(16, 12)
    monkeypatch.chdir(tmp_path)
    outcome = mlc("train", "--data", "data", "--epochs", "2", *tiny)
    assert outcome.code == 0, outcome.err
    return Path("runs/train-1")
