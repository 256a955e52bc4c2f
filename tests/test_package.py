"""The wheel and the sdist, away from the checkout."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def build(source: Path, kind: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a wheel that was built from the sdist, with nothing of the checkout."""
    folder = tmp_path_factory.mktemp("package")
    with tarfile.open(build(ROOT, "sdist", folder / "sdist")) as archive:
        archive.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    with zipfile.ZipFile(build(source, "wheel", folder / "wheel")) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_every_file_that_is_read_at_run_time_is_in_it(installed: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "mlc_cli", "presets"],
        cwd=ROOT, check=False, capture_output=True, text=True,
    ).stdout.split() or [
        str(path.relative_to(ROOT))
        for folder in ("mlc_cli", "presets")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]  # fmt: skip
    names = {name.replace("presets/", "mlc_cli/_presets/", 1) if name.startswith("presets/")
             else name for name in tracked}  # fmt: skip
    packed = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert names - packed == set()
    assert "mlc_cli/py.typed" in packed


def test_the_metadata_says_what_an_index_shows(installed: Path) -> None:
    (metadata,) = installed.glob("*.dist-info/METADATA")
    text = metadata.read_text(encoding="utf-8")
    for field in ("Author: mlc contributors", "License-Expression: Apache-2.0", "Keywords: ",
                  "Classifier: Typing :: Typed", "Provides-Extra: int8"):  # fmt: skip
        assert field in text


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--help"], "dataset-convert"),
        (["presets"], "effnetv2s-coco"),
        (["settings", "train", "epochs"], "Passes over"),
        (["settings", "train", "--schema"], '"effnetv2s-coco"'),
    ],
)
def test_it_runs_without_the_checkout(
    installed: Path, tmp_path: Path, arguments: list[str], shown: str
) -> None:
    script = "import mlc_cli, sys; print(mlc_cli.__file__); from mlc_cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "200"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(str(installed))
    assert shown in done.stdout
