"""Runs that are copied to a store while they go on, and taken up from there."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mlc_cli.core.runs.folder import RunFolder
from mlc_cli.core.runs.mirror import Mirror
from mlc_cli.core.system import remote
from mlc_cli.core.training.events import EpochReport
from mlc_cli.errors import DownloadError
from mlc_cli.jobs.train import train
from mlc_cli.settings.train import TrainSettings
from tests import store
from tests.store import Store

Mlc = Callable[..., Any]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Store]:
    with store.serving() as made:
        yield made
    remote._store.cache_clear()


def test_a_run_that_is_lost_goes_on_from_its_mirror(
    bucket: Store,
    make_dataset: Callable[..., Path],
    tiny_settings: Callable[..., TrainSettings],
    mlc: Mlc,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    data = make_dataset()
    for _ in train(tiny_settings(data, "epochs=3", "name=whole")):
        pass
    settings = tiny_settings(data, "epochs=3", "name=lost", f"mirror={bucket.url}/runs")
    with closing(train(settings)) as events:
        next(event for event in events if isinstance(event, EpochReport) and event.epoch == 2)
    shutil.rmtree("runs/lost-1")
    assert mlc("train", "--resume", f"{bucket.url}/runs/nothing-1").code == 1
    outcome = mlc("train", "--resume", f"{bucket.url}/runs/lost-1")
    assert outcome.code == 0, outcome.err
    one, other = (load_file(f"runs/{name}-1/last.safetensors") for name in ("whole", "lost"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    here = {path.name for path in Path("runs/lost-1").iterdir() if path.is_file()}
    there = {path.name for path in remote.matching(Path(bucket.url) / "runs/lost-1")}
    assert there == here - {"run.lock"}
    assert not list(Path("runs/lost-1").glob(".mirror*"))
    again = mlc("train", "--resume", f"{bucket.url}/runs/lost-1")
    assert again.code == 1
    assert "runs/lost-1: is there already" in again.err


def test_a_newer_state_takes_the_place_of_one_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    copied: list[tuple[str, str]] = []

    def upload(file: Path, place: Path) -> None:
        copied.append((place.name, file.read_text()))
        if len(copied) == 1:
            raise DownloadError("the store is away")

    monkeypatch.setattr(remote, "upload", upload)
    run = RunFolder(tmp_path / "train-1")
    run.path.mkdir()
    mirror = Mirror(run, "s3://bucket/runs")
    for state in range(4):
        for file in (run.trainer, run.best):
            file.unlink(missing_ok=True)
            file.write_text(f"{state}")
        mirror.copy()
    mirror.close()
    assert copied[-2:] == [("best.safetensors", "3"), ("trainer.pt", "3")]
    assert len(copied) < 2 * 5
    assert "this state is not copied: the store is away" in caplog.text
