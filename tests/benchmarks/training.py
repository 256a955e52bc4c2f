"""Images a second of an epoch of `mlc train`, against a bare loop over batches in memory.

The bare loop steps the same model with the same optimiser over batches that are already
normalised floats in memory, warmed up and in turns with the epochs: what reading, augmenting,
normalising and bookkeeping cost is the difference. The first epoch reads and decodes the files;
later ones find them in the cache.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from timing import show

from mlc_cli.core.system.files import write_json
from mlc_cli.core.system.precision import autocast
from mlc_cli.core.training import loop
from mlc_cli.core.training.build import Training, prepare
from mlc_cli.core.training.events import EpochReport
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings

STEPS = 30


def make_data(root: Path, images: int) -> None:
    """JPEG files of the size of small photographs."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    names = [f"class {c:02}" for c in range(18)]
    for split, count in (("train", images), ("val", 32)):
        entries = []
        for number in range(count):
            small = rng.integers(0, 256, (24, 32, 3), np.uint8)
            path = f"images/{split}{number}.jpg"
            cv2.imwrite(str(root / path), cv2.resize(small, (320, 240)))
            entries.append([path, [names[c] for c in rng.integers(0, 18, 2)]])
        write_json(root / f"{split}.json", {"classes": names, "images": entries})


class BareLoop:
    """Steps over batches in memory, of a training's own model, optimiser and precision.

    With SAM a step has two passes, and nothing of what lies between them.

    Args:
        training: That has not begun.
        batches: Kept in memory, and gone through in turn.
    """

    def __init__(self, training: Training, batches: int) -> None:
        self._plan, self._state = training.plan, training.state
        some = itertools.islice(self._plan.train.epoch(99), batches)
        normalise = self._plan.step.normalise
        self._device = normalise.device
        self._ready = [
            (normalise(batch.images_NHWC), batch.targets_NC.to(self._device).float())
            for batch in some
        ]

    def rate(self, steps: int) -> float:
        """Images a second."""
        step, state, images_seen = self._plan.step, self._state, 0
        state.model.train()
        started = time.perf_counter()
        for images, targets in itertools.islice(itertools.cycle(self._ready), steps):
            for _ in range(2 if step.sam else 1):
                state.optimizer.zero_grad()
                with autocast(self._device, step.precision):
                    logits = step.forward(images)
                torch.autograd.backward(state.scaler.scale(step.loss(logits, targets)))
            state.scaler.step(state.optimizer)
            state.scaler.update()
            images_seen += len(images)
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return images_seen / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        make_data(root, arguments.images)
        flags = {
            "data.root": str(root),
            "data.input_size": arguments.size,
            "model.backbone": arguments.backbone,
            "model.pretrained": False,
            "epochs": arguments.epochs,
        }
        training = prepare(validate(TrainSettings, gather(TrainSettings, "train", flags=flags)))
        rows, ratios = [], []
        loop_of_steps = BareLoop(training, 10)
        loop_of_steps.rate(10)  # the first steps allocate, and are a third slower
        bare = loop_of_steps.rate(STEPS)
        for report in loop.train(training.plan, training.state, lambda _: None):
            assert isinstance(report, EpochReport)
            training.plan.train.readers.follow(())  # nothing is read beside the bare loop
            after = loop_of_steps.rate(STEPS)
            ratio = report.images_per_second / ((bare + after) / 2)
            rows.append(
                (report.epoch, f"{report.images_per_second:.1f}", f"{(bare + after) / 2:.1f}",
                 f"{ratio:.3f}")
            )  # fmt: skip
            ratios.append(ratio)
            bare = after
        rows.append(("median", "", "", f"{statistics.median(ratios):.3f}"))
    show(
        f"training {arguments.backbone} at {arguments.size} (images a second)",
        ("epoch", "mlc train", "bare loop", "ratio"),
        rows,
    )


if __name__ == "__main__":
    main()
