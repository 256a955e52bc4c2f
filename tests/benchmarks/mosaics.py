"""Decisions on large photographs by the way they are shrunk: linear, area, decoded at a part.

Usage: python tests/benchmarks/mosaics.py RUN DATA [COUNT]

Mosaics of about 12 megapixels are made of the photographs of DATA's test split at their native
resolution, with the labels united: pictures made large from small ones always agree. Decisions are
compared at the thresholds that are best for F1 with `area`, and at the median probability that it
gives a class, where most of them are near and each difference shows.
"""

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from timing import show

import mlc_cli as mlc
from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.evaluation.metrics import average_precision_C, mean_average_precision
from mlc_cli.core.evaluation.objectives import Objective
from mlc_cli.core.evaluation.probabilities import probabilities
from mlc_cli.core.evaluation.thresholds import fit_thresholds
from mlc_cli.core.images.decode import read_image
from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.system.cores import usable_cores

HEIGHT, WIDTH, BATCH = 3000, 4000, 16


def mosaic(paths: list[Path], rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """Rows of photographs in random order until the picture is full, and which ones."""
    canvas, used, top = np.zeros((HEIGHT, WIDTH, 3), np.uint8), [], 0
    while top < HEIGHT:
        left = lowest = 0
        while left < WIDTH:
            used.append(int(rng.integers(len(paths))))
            photo = cv2.imread(str(paths[used[-1]]))
            part = photo[: HEIGHT - top, : WIDTH - left]
            canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
            left, lowest = left + photo.shape[1], max(lowest, part.shape[0])
        top += lowest
    return canvas, used


def shrunk(way: Geometry, file: Path) -> np.ndarray:
    """A file as the input of a model."""
    return way.fit(read_image(file, part=way.part))


def main(run: str, data: str, count: int = 1000) -> None:
    """Print a row for each way."""
    model = mlc.load(run)
    split = read_annotation(Path(data, "test.json"))
    paths = [split.path(row) for row in range(len(split))]
    present_NC = split.targets_NC(range(len(split))) == 1
    size = model.input_size
    ways = {
        "area": Geometry(size, interpolation="area"),
        "area, scaled": Geometry(size, interpolation="area", decode="scaled"),
        "linear": Geometry(size),
    }
    rng = np.random.default_rng(0)
    logits: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    seconds = dict.fromkeys(ways, 0.0)
    targets = np.zeros((count, len(split.class_names)), np.int8)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, count, BATCH):
            files = []
            for number in range(start, min(start + BATCH, count)):
                canvas, used = mosaic(paths, rng)
                targets[number] = present_NC[used].any(0)
                files.append(Path(folder, f"{number}.jpg"))
                cv2.imwrite(str(files[-1]), canvas)
            for name, way in ways.items():
                started = time.perf_counter()
                images = [*pool.map(partial(shrunk, way), files)]
                seconds[name] += time.perf_counter() - started
                logits[name].append(model.logits(np.stack(images)))
            for file in files:
                file.unlink()
    scores = {name: probabilities(np.concatenate(parts)) for name, parts in logits.items()}
    area_NC = scores["area"]
    best_C = fit_thresholds(area_NC, targets, Objective.parse("f1"), 5).per_class_C
    rows = []
    for name, scores_NC in scores.items():
        agree = (
            100 * ((scores_NC >= at_C) == (area_NC >= at_C)).mean()
            for at_C in (best_C, np.median(area_NC, 0))
        )
        mean_ap = mean_average_precision(average_precision_C(scores_NC, targets))
        rate = f"{1e3 * seconds[name] / count:.0f}"
        rows.append([name, rate, f"{mean_ap:.4f}", *(f"{percent:.2f}" for percent in agree)])
    title = f"{count} mosaics of {WIDTH}x{HEIGHT} pixels, {model}; decisions as area, %"
    show(title, ("way", "ms a picture", "mAP", "at best F1", "at the median"), rows)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1000)
