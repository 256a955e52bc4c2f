"""What is asked of a cluster: nothing lost or twice when parts of it die, and the price of it.

python -m tests.benchmarks.cluster kills      # 20,000 images, three nodes of Ray
python -m tests.benchmarks.cluster rate       # images/s of Ray and of one process, in turns
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


def kills(arguments: argparse.Namespace) -> None:
    """Kill the command and a node among many images: each is there once, as by one process."""
    images = arguments.images
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos, many, one = folder / "photos", str(folder / "many"), str(folder / "one")
        write_images(photos, images, 128)
        make_model(folder / "model.xml", arguments.backbone, arguments.size)
        model = ("--checkpoint", str(folder / "model.xml"))
        seconds("predict", str(photos), *model, "-o", one)
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
        assert_same(records(many), records(one))
        show(
            "Each image once and as by one process, after a kill of the command and of a node",
            ("images", "before the kill"),
            [[images, before * 100]],
        )


def rate(arguments: argparse.Namespace) -> None:
    """Time that further images take one process, and Ray on the same cores, in turns."""
    images = arguments.images
    with tempfile.TemporaryDirectory() as name:
        folder, further = Path(name), images // 2
        make_model(folder / "model.xml", arguments.backbone, arguments.size)
        given = ["--checkpoint", str(folder / "model.xml"), "--format", "json"]
        engines: dict[str, list[str]] = {"one": [], "ray": ["--engine", "ray"]}
        for number in (images, images - further):
            write_images(folder / str(number), number, 128)
        rows = []
        for turn in range(arguments.turns):
            took = dict.fromkeys(engines, 0.0)
            for engine, extra in engines.items():
                for number, sign in ((images, 1), (images - further, -1)):
                    out = str(folder / f"{engine}-{turn}-{number}")
                    call = ["predict", str(folder / str(number)), *given, *extra, "-o", out]
                    took[engine] += sign * seconds(*call)
            per_second = [further / took[engine] for engine in engines]
            rows.append([turn, *(f"{value:.0f}" for value in per_second)])
            rows[-1].append(f"{per_second[1] / per_second[0]:.2f}")
            print(rows[-1], flush=True)
        assert_same(
            records(str(folder / f"ray-0-{images}")), records(str(folder / f"one-0-{images}"))
        )
        show(
            f"{further} images more",
            ("turn", "one process, images/s", "ray, images/s", "ratio"),
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


KINDS: dict[str, tuple[Callable[[argparse.Namespace], None], int]] = {
    "kills": (kills, 20_000),
    "rate": (rate, 20_000),
    "metrics": (metrics, 5_000_000),
    "elastic": (elastic, 10),
}
"""What is measured, with the number of images or of kills."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=tuple(KINDS))
    parser.add_argument("--images", type=int, help="or how often a process is killed")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--folder", help="on a disk with room for the scores")
    arguments = parser.parse_args()
    work, number = KINDS[arguments.what]
    arguments.images = arguments.images or number
    work(arguments)


if __name__ == "__main__":
    main()
