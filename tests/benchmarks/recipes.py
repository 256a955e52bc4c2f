"""Test mAP of three recipes on the same backbone, weights, size and minutes.

    python tests/benchmarks/recipes.py DATA WEIGHTS [--size 160] [--minutes 4] [--seeds 3]

`mlc train --preset finetune --minutes`; a plain loop over timm (all weights, AdamW, one-cycle,
random crops and flips); and what fastai's `fine_tune` does (`pip install fastai`), with as many
epochs as fit. The last two read alike, and the mAP of all is taken by one function.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from timing import show
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import io
from torchvision.transforms import v2

import mlc_cli as mlc
from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.evaluation.metrics import average_precision_C
from mlc_cli.core.loading.build import read_split
from mlc_cli.settings.data import DataSettings

BACKBONE = "tf_efficientnet_lite0"
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
BATCH = 32
RATES = {"timm, AdamW and one-cycle": 5e-4, "fastai, fine_tune": 2e-3}


class Images:
    """Images of a split with their targets, changed at random or just brought to the size."""

    def __init__(self, split: Annotation, root: Path, size: int, *, train: bool) -> None:
        self.files = [root / path for path in split.paths]
        self.targets_NC = split.targets_NC(range(len(split)))
        crop = [v2.RandomResizedCrop(size, (0.5, 1.0)), v2.RandomHorizontalFlip()]
        plain = [v2.Resize((size, size))]
        self.change = v2.Compose(
            [
                *(crop if train else plain),
                v2.ToDtype(torch.float, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = io.decode_image(str(self.files[index]), io.ImageReadMode.RGB)
        return self.change(image), torch.from_numpy(self.targets_NC[index]).float()


def loader(images: Images, *, train: bool) -> DataLoader:  # type: ignore[type-arg]
    return DataLoader(images, BATCH, shuffle=train, drop_last=train, num_workers=2)  # type: ignore[arg-type]


def network(weights: str, classes: int) -> nn.Module:
    model = timm.create_model(BACKBONE, num_classes=classes)
    known = {k: v for k, v in load_file(weights).items() if not k.startswith("classifier.")}
    model.load_state_dict(known, strict=False)
    return model


@torch.no_grad()
def mean_ap(model: nn.Module, images: Images) -> float:
    model.eval()
    scores = torch.cat([model(inputs) for inputs, _ in loader(images, train=False)])
    return mean_of(scores.numpy(), images.targets_NC)


def mean_of(scores_NC: NDArray[np.float32], targets_NC: NDArray[np.int8]) -> float:
    return float(np.nanmean(average_precision_C(scores_NC, targets_NC)))


def plain_timm(weights: str, train: Images, seconds: float) -> nn.Module:
    """Steps until the time is over, of which the schedule learns from the first."""
    model, batches = network(weights, train.targets_NC.shape[1]).train(), endless(train)
    loss = nn.BCEWithLogitsLoss()
    started, own = time.perf_counter(), RATES["timm, AdamW and one-cycle"]
    optimizer = torch.optim.AdamW(model.parameters(), own, weight_decay=0.01)
    done, schedule = 0, None
    while time.perf_counter() - started < seconds:
        if done == 20:
            pace = (time.perf_counter() - started) / done
            steps = max(1, int(seconds / pace) - done)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, own, total_steps=steps + 20)
        inputs, targets = next(batches)
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()
        done += 1
        if schedule and done < schedule.total_steps:
            schedule.step()
    return model


def endless(train: Images) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader(train, train=True)


def with_fastai(weights: str, train: Images, val: Images, seconds: float) -> nn.Module:
    """One epoch of the head, then as many of all weights as the time allows."""
    import fastai.callback.all  # type: ignore[import-not-found]  # noqa: F401, PLC0415 - adds methods
    from fastai.data.core import DataLoaders  # type: ignore[import-not-found]  # noqa: PLC0415
    from fastai.learner import Learner, params  # type: ignore[import-not-found]  # noqa: PLC0415

    def split(model: nn.Module) -> list[list[nn.Parameter]]:
        head = set(params(model.get_classifier()))  # type: ignore[operator]
        return [[p for p in params(model) if p not in head], [*head]]

    model = network(weights, train.targets_NC.shape[1])
    data = DataLoaders(loader(train, train=True), loader(val, train=False))
    learner = Learner(data, model, loss_func=nn.BCEWithLogitsLoss(), splitter=split)
    own = RATES["fastai, fine_tune"]
    started = time.perf_counter()
    learner.freeze()
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(1, slice(own), pct_start=0.99)
    used = time.perf_counter() - started
    # an epoch of all weights takes about twice as long as one of the head
    epochs = max(1, round((seconds - used) / (2 * used)))
    learner.unfreeze()
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(epochs, slice(own / 2 / 100, own / 2), pct_start=0.3, div=5.0)
    return model


def with_mlc(data: str, weights: str, size: int, minutes: float, seed: int) -> tuple[float, float]:
    run = mlc.train(
        preset="finetune", seed=seed, minutes=minutes, name=f"recipes-{seed}",
        data={"root": data, "input_size": size}, model={"backbone": BACKBONE, "weights": weights},
    )  # fmt: skip
    test = mlc.evaluate(run=str(run.run.path), split="test")
    return run.evaluation.mean_ap, test.evaluation.mean_ap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("weights")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--without", nargs="*", default=[], choices=("mlc", "timm", "fastai"))
    given = parser.parse_args()
    root = Path(given.data)
    splits = {
        n: read_split(DataSettings(root=given.data), f"{n}.json") for n in ("train", "val", "test")
    }
    train = Images(splits["train"], root, given.size, train=True)
    val, test = (Images(splits[n], root, given.size, train=False) for n in ("val", "test"))
    rows = []
    for name in (own for own in ("mlc", "timm", "fastai") if own not in given.without):
        reached, took = [], []
        for seed in range(given.seeds):
            torch.manual_seed(seed)
            started = time.perf_counter()
            if name == "mlc":
                reached.append(with_mlc(given.data, given.weights, given.size, given.minutes, seed))
                took.append(time.perf_counter() - started)
                continue
            seconds = 60 * given.minutes
            if name == "timm":
                model = plain_timm(given.weights, train, seconds)
            else:
                model = with_fastai(given.weights, train, val, seconds)
            took.append(time.perf_counter() - started)
            reached.append((mean_ap(model, val), mean_ap(model, test)))
        means = [statistics.mean(own) for own in zip(*reached, strict=True)]
        rows.append((name, *(f"{own:.4f}" for own in means), f"{statistics.mean(took) / 60:.1f}"))
    show(
        f"{BACKBONE} at {given.size}, {given.minutes:g} minutes, {given.seeds} seeds",
        ("recipe", "val mAP", "test mAP", "minutes"),
        rows,
    )


if __name__ == "__main__":
    main()
