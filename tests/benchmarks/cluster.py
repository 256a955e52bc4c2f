"""What is asked of a cluster: nothing lost or twice when parts of it die, and the price of it.

python -m tests.benchmarks.cluster ray        # 20,000 images, three nodes of Ray
python -m tests.benchmarks.cluster metrics    # mAP of 5 million images x 100 classes
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, f1_score

from mlc_cli.core.evaluation.metrics import average_precision_C
from mlc_cli.core.evaluation.objectives import Objective
from mlc_cli.core.evaluation.thresholds import fit_overall, fit_thresholds
from tests.conftest import TINY, write_dataset
from tests.core.inference.test_cluster import (
    assert_same,
    parts_done,
    records,
    start,
    three_nodes,
    wait_for,
    write_images,
)
from tests.jobs.test_elastic import ELASTIC, SETTINGS, kill_one, launch, weights

sys.path.append(str(Path(__file__).parent))
from samples import make_model
from timing import show


def seconds(*arguments: str) -> float:
    """Of a command of mlc."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "mlc_cli", *arguments], check=True, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - started


def ray(arguments: argparse.Namespace) -> None:
    """Kill the command and a node among many images; then compare the time that images take."""
    images = arguments.images
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos, half = folder / "photos", folder / "half"
        write_images(photos, images, 128)
        write_images(half, images // 2, 128)
        make_model(folder / "model.xml", arguments.backbone, arguments.size)
        model = ("--checkpoint", str(folder / "model.xml"))
        alone = seconds("predict", str(photos), *model, "-o", str(folder / "one"))
        alone -= seconds("predict", str(half), *model, "-o", str(folder / "one.half"))
        many = str(folder / "many")
        with three_nodes() as cluster:
            call = (str(photos), *model, "--address", cluster.address)
            first = start(many, *call, part=100)
            wait_for(many, images // 400, first)
            first.kill()
            first.communicate()
            before = parts_done(many)
            second = start(many, *call, part=100)
            wait_for(many, images // 200, second)
            cluster.remove_node(cluster.victim, allow_graceful=False)
            assert second.wait() == 0
        assert_same(records(many), records(str(folder / "one")))
        both = [
            seconds("predict", str(of), *model, "--engine", "ray", "-o", f"{of}.out")
            for of in (photos, half)
        ]
        assert_same(records(f"{photos}.out"), records(str(folder / "one")))
        rows = [[images, before * 100, f"{images / 2 / alone:.0f}"]]
        rows[0] += [f"{images / 2 / (both[0] - both[1]):.0f}", f"{alone / (both[0] - both[1]):.2f}"]
        show(
            "Each image once and as by one process, after a kill of the command and of a node",
            ("images", "before the kill", "one process, images/s", "ray, images/s", "ratio"),
            rows,
        )


class _Memory(threading.Thread):
    """Looks at the memory of this process that is no part of a file, and keeps the most, in MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self.start()

    def run(self) -> None:
        while True:
            status = Path("/proc/self/status").read_text()
            own = int(status.partition("RssAnon:")[2].split()[0]) // 1024
            self.most = max(self.most, own)
            time.sleep(0.01)


def metrics(arguments: argparse.Namespace) -> None:
    """Average precision and thresholds of scores in files that are not read as a whole."""
    images, classes = arguments.images, arguments.classes
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        kinds, shape = {"scores": np.float32, "targets": np.int8}, (images, classes)
        arrays = {
            name: np.lib.format.open_memmap(
                Path(folder, f"{name}.npy"), "w+", kind, shape, fortran_order=True
            )
            for name, kind in kinds.items()
        }
        random = np.random.default_rng(0)
        for c in range(classes):
            targets_N = random.random(images) < 0.03
            arrays["targets"][:, c] = np.where(random.random(images) < 0.01, -1, targets_N)
            logits_N = random.normal(3 * targets_N - 4, 1, images)
            arrays["scores"][:, c] = 1 / (1 + np.exp(-logits_N))
        del arrays
        scores_NC, targets_NC = (np.load(Path(folder, f"{n}.npy"), mmap_mode="r") for n in kinds)
        memory, rows = _Memory(), []
        f1 = Objective.parse("f1")

        def timed(name: str, work: Callable[[], Any]) -> Any:
            memory.most, started = 0, time.perf_counter()
            made = work()
            rows.append([name, f"{time.perf_counter() - started:.0f}", memory.most])
            return made

        ap_C = timed("average precision", lambda: average_precision_C(scores_NC, targets_NC))
        found = timed("thresholds", lambda: fit_thresholds(scores_NC, targets_NC, f1, 10))
        timed("one threshold", lambda: fit_overall(scores_NC, targets_NC, f1))
        known_N = targets_NC[:, 7] >= 0
        exact = average_precision_score(targets_NC[known_N, 7], scores_NC[known_N, 7])
        assert abs(ap_C[7] - exact) < 1e-9
        f1_of = [
            f1_score(targets_NC[known_N, 7], scores_NC[known_N, 7] >= cut)
            for cut in (found.per_class_C[7], found.per_class_C[7] * 0.98, 0.5)
        ]
        assert f1_of[0] == max(f1_of)
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) // 2**20
        title = f"{images} images x {classes} classes, {size} MB; mAP {ap_C.mean():.6f}"
        show(title, ("", "seconds", "memory MB"), rows)


def elastic(arguments: argparse.Namespace) -> None:
    """Kill any of three processes at any step, and compare the weights with those of no kill."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_dataset(Path("data"), 31, 17)
        given = (*TINY, *SETTINGS)
        command = ["train", "--data", "data", "--device", "cpu"]
        command += [argument for setting in given for argument in ("--set", setting)]
        assert launch(command, "whole", **ELASTIC).wait() == 0
        for seed in range(arguments.images):
            run = Path(f"runs/torn{seed}-1")
            launched = launch(command, f"torn{seed}", **ELASTIC)
            step = kill_one(launched, run, random.Random(seed))
            launched.communicate()
            found = (weights(run) - weights(Path("runs/whole-1"))).abs().max().item()
            rows.append([step, launched.returncode, f"{found:.1e}"])
            print(rows[-1], flush=True)
    show("One of three processes killed", ("step", "exit code", "weights differ by"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("ray", "metrics", "elastic"))
    parser.add_argument("--images", type=int, help="or how often a process is killed")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--folder", help="on a disk with room for the scores")
    arguments = parser.parse_args()
    numbers = {"ray": 20_000, "metrics": 5_000_000, "elastic": 10}
    arguments.images = arguments.images or numbers[arguments.what]
    {"ray": ray, "metrics": metrics, "elastic": elastic}[arguments.what](arguments)


if __name__ == "__main__":
    main()
