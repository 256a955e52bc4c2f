"""Prediction on three nodes of Ray: one is killed, and the command is killed and called again."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from ray.cluster_utils import Cluster

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
pytestmark = pytest.mark.filterwarnings("ignore")
SMALL_PARTS = "from mlc_cli.core.inference import cluster; cluster.PART_IMAGES = {};"
RAYS_OWN = re.compile(r"^[\[(].*", re.MULTILINE)
CALL = "from mlc_cli.main import main; main()"


@contextmanager
def three_nodes() -> Iterator[Any]:
    """A cluster of Ray with a core on each of three nodes, the first of which nobody kills."""
    options = {"num_cpus": 1, "object_store_memory": 200 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    try:
        cluster.add_node(num_cpus=1, object_store_memory=200 * 2**20)
        cluster.victim = cluster.add_node(num_cpus=1, object_store_memory=200 * 2**20)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def start(output: str, *arguments: str, part: int = 10) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SMALL_PARTS.format(part) + CALL, "predict", *arguments]
    command += ["--engine", "ray", "--output", output]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def parts_done(output: str) -> int:
    manifest = Path(output) / "_manifest.jsonl"
    return manifest.read_text().count("\n") - 1 if manifest.exists() else 0


def wait_for(output: str, parts: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 180
    while parts_done(output) < parts:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, f"{parts_done(output)} parts"
        time.sleep(0.01)


def records(output: str) -> list[dict[str, Any]]:
    files = sorted(Path(output).glob("part-*")) if Path(output).is_dir() else [Path(output)]
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Each image once and in its place, with its labels, its probabilities or its error."""
    assert [one["image"] for one in found] == [one["image"] for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.get("labels") == other.get("labels")
        assert one.get("error") == other.get("error")
        assert one.get("probabilities") == pytest.approx(other.get("probabilities"), abs=1e-6)


def write_images(folder: Path, number: int, side: int) -> None:
    """So many names for a few images, and a file that is none."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for k in range(5):
        pixels = random.integers(0, 256, (side, side, 3), np.uint8)
        cv2.imwrite(f"{folder}-{k}.png", pixels)
    for k in range(number - 1):
        (folder / f"{k:06}.png").symlink_to(Path(f"{folder}-{k % 5}.png").absolute())
    (folder / "broken.png").write_text("no image")


@pytest.mark.usefixtures("run")
def test_killed_command_and_killed_node_lose_nothing(mlc: Callable[..., Any]) -> None:
    write_images(Path("photos"), 400, 250)
    assert mlc("export", "--onnx").code == 0
    exported = ("photos", "--checkpoint", "runs/train-1/export/model.onnx")  # begins without torch
    assert mlc("predict", *exported, "--output", "one.jsonl").code == 0
    with three_nodes() as cluster:
        arguments = (*exported, "--address", cluster.address)
        first = start("many", *arguments)
        wait_for("many", 3, first)
        first.kill()
        first.communicate()
        stopped = start("many", *arguments)
        wait_for("many", parts_done("many") + 1, stopped)
        stopped.terminate()
        assert "Continue many with the same command" in stopped.communicate(timeout=60)[1]
        assert stopped.returncode == 130
        before = parts_done("many")
        assert before < 40
        second = start("many", *arguments)
        wait_for("many", before + 3, second)
        cluster.remove_node(cluster.victim, allow_graceful=False)
        printed, said = second.communicate(timeout=300)
        assert printed == ""
        assert second.returncode == 0, said
        table = start("table", *arguments, "--format", "parquet", "--topk", "1", part=150)
        assert RAYS_OWN.findall(said + table.communicate(timeout=300)[1]) == []
        assert table.returncode == 0
    assert f"400 images, {10 * before} of them before" in said
    assert "photos/broken.png: is not an image" in said
    expected = records("one.jsonl")
    assert_same(records("many"), expected)
    rows = pq.read_table("table").to_pylist()
    assert [row["image"] for row in rows] == [one["image"] for one in expected]
    assert [row["labels"] for row in rows] == [one.get("labels") for one in expected]
    best = [max(one.get("probabilities", {"": 0}).values()) for one in expected]
    listed = [
        [p for p in (row["probabilities"] or {"": 0}).values() if p is not None] for row in rows
    ]
    np.testing.assert_allclose(np.ravel(listed), best, atol=1e-6)
    again = mlc("predict", "photos", "--thresholds", "0.3", "--engine", "ray", "--output", "many")
    assert again.code == 1
    assert "many: holds predictions of other images" in again.err


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--address", "auto"), "are of the engine ray"),
        (("--format", "parquet"), "are of the engine ray"),
        (("--engine", "ray"), "needs --output"),
        (("--engine", "ray", "-o", "many", "--draw", "drawn"), "does not go with --draw"),
        (("--engine", "ray", "-o", "many", "--address", "127.0.0.1:1"), "no cluster of Ray can be"),
    ],
)
def test_what_does_not_go_together_is_told(
    mlc: Callable[..., Any], arguments: tuple[str, ...], message: str
) -> None:
    outcome = mlc("predict", "data/images/val", *arguments)
    assert outcome.code in (1, 2)
    assert message in outcome.err
