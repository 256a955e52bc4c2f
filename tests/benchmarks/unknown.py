"""What is made of unknown labels: test mAP of heads on frozen features of coco18, three seeds.

    python tests/benchmarks/unknown.py DATA WEIGHTS     # tf_efficientnet_lite0 at 160 px

Half of the labels are hidden at random, or all but one that is present are. `probe`: the likeliest
5 % of the hidden labels by heads of the other folds stay unknown, the rest is absent.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from timing import show
from torch import Tensor

from mlc_cli.core.evaluation.metrics import average_precision_C
from mlc_cli.core.loading.build import build_eval_batches, read_split
from mlc_cli.core.models.heads.pooled import LinearHead, PooledHead
from mlc_cli.core.training.build import prepare
from mlc_cli.core.training.losses.build import build_loss
from mlc_cli.core.training.warm_start import WarmStart
from mlc_cli.settings.loss import BceSettings, LossSettings
from mlc_cli.settings.optim import WarmStartSettings
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings

SEEDS, FOLDS, PART = 3, 5, 0.05
Split = tuple[Tensor, NDArray[np.int8]]


def features(root: str, weights: str) -> dict[str, Split]:
    backbone = {"backbone": "tf_efficientnet_lite0", "weights": weights}
    data = {"root": root, "input_size": 160, "cache": "none"}
    flags = {"data": data, "model": backbone, "device": "cpu", "epochs": 0, "warm_start": {}}
    settings = validate(TrainSettings, gather(TrainSettings, "train", flags=flags))
    training = prepare(settings)
    model, found = training.built.classifier.eval(), {}
    for split in ("train", "val", "test"):
        images = read_split(settings.data, f"{split}.json")
        batches = build_eval_batches(
            settings.data, images, batch_size=32, device=torch.device("cpu")
        )
        with torch.no_grad():
            parts = [
                model.head.reduce(model.backbone(training.plan.step.normalise(b.images_NHWC)))
                for b in batches.epoch()
            ]
        found[split] = torch.cat(parts), images.targets_NC(range(len(images)))
    training.close()
    return found


def fitted(
    split: Split,
    settings: LossSettings,
    seed: int,
    kind: type[PooledHead] = LinearHead,
    scale: float = 1.0,
) -> PooledHead:
    torch.manual_seed(seed)
    inputs, targets = split
    head = kind(inputs.shape[1], targets.shape[1], pool="avg", dropout=0.0, scale=scale)
    wanted = WarmStartSettings().model_dump(exclude={"max_gigabytes"})
    start = WarmStart(**wanted, batches=None, prior=kind is LinearHead, max_bytes=0, seed=seed)  # type: ignore[arg-type]
    positives, negatives = (targets == 1).sum(0), (targets == 0).sum(0)
    loss = build_loss(
        settings,
        scale=scale,
        positives_C=positives,
        negatives_C=negatives,
        device=torch.device("cpu"),
    )
    start._train_head(head, loss, inputs, torch.tensor(targets), lambda *_: None)
    return head.eval()


@torch.no_grad()
def logits(head: PooledHead, inputs: Tensor) -> NDArray[np.float64]:
    return head.classify(inputs).double().numpy()


def hidden(targets: NDArray[np.int8], how: str, rng: np.random.Generator) -> NDArray[np.int8]:
    if how == "half":
        return np.where(rng.random(targets.shape) < 0.5, targets, -1).astype(np.int8)
    kept = np.full_like(targets, -1)
    for row, states in enumerate(targets):
        if (states == 1).any():
            kept[row, rng.choice(np.flatnonzero(states == 1))] = 1
    return kept


def probed(split: Split, seed: int) -> NDArray[np.int8]:
    """The likeliest unknown labels by heads of the other folds stay unknown, the rest is absent."""
    inputs, targets = split
    fold = np.random.default_rng(seed).permutation(len(targets)) % FOLDS
    scores = np.zeros(targets.shape)
    for one in range(FOLDS):
        others = fold != one
        head = fitted((inputs[others], targets[others]), BceSettings(unknown="absent"), seed)
        scores[~others] = logits(head, inputs[~others])
    likely = scores >= np.quantile(scores[targets == -1], 1 - PART)
    return np.where((targets == -1) & ~likely, 0, targets).astype(np.int8)


def main() -> None:
    splits = features(*sys.argv[1:3])
    if len(sys.argv) > 3:
        torch.save(splits, Path(sys.argv[3]))
    report(splits)


def report(splits: dict[str, Split]) -> None:
    (inputs, targets), (test_inputs, test_targets) = splits["train"], splits["test"]
    rows: dict[tuple[str, str], list[float]] = {}

    def measure(labels: str, how: str, states: NDArray[np.int8], unknown: str, seed: int) -> None:
        head = fitted((inputs, states), BceSettings(unknown=unknown), seed)
        ap = average_precision_C(logits(head, test_inputs), test_targets)
        rows.setdefault((labels, how), []).append(float(np.nanmean(ap)))

    for seed in range(SEEDS):
        measure("all", "", targets, "ignore", seed)
        for labels in ("half", "one"):
            states = hidden(targets, labels, np.random.default_rng(seed))
            for how in ("ignore", "absent", "selective"):
                measure(labels, how, states, how, seed)
            measure(labels, "probe", probed((inputs, states), seed), "ignore", seed)
    show(
        f"test mAP, {SEEDS} seeds",
        ("labels", "unknown", "mean", "lowest", "highest"),
        [
            (*names, *(f"{value:.4f}" for value in (np.mean(all_), min(all_), max(all_))))
            for names, all_ in rows.items()
        ],
    )


if __name__ == "__main__":
    main()
