"""Training steps of the paper's preset against its update rules, written out in float64.

The rules are those of deep-object-reid: parameter groups, SGD under SAM whose passes both move the
statistics of batch normalisation, one-cycle per step with cycled momentum, and a moving average of
constant decay over weights and statistics. Nothing of mlc is used on that side.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlc_cli.core.loading.dataset import Batch
from mlc_cli.core.loading.normalise import Normalise
from mlc_cli.core.models.heads.pooled import CosineHead
from mlc_cli.core.training.losses.build import build_loss
from mlc_cli.core.training.optim.build import build_optimizer, build_schedule
from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.optim.sam import Sam
from mlc_cli.core.training.state import LossMeter, TrainState
from mlc_cli.core.training.step import Step
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings

CPU = torch.device("cpu")
STEPS, TOTAL, IMAGES, CLASSES = 8, 20, 6, 4
PUBLISHED = {
    "effnetv2s-voc": {"lr": 0.005, "decay": 0.9993, "scale": 17.0},
    "effnetv2s-coco": {"lr": 0.007, "decay": 0.9997, "scale": 23.0},
}


class Net(nn.Module):
    """All kinds of parameters: matrices, biases, weights of a normalisation, and cosines."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, stride=2)
        self.bn = nn.BatchNorm2d(5)
        self.head = CosineHead(5, CLASSES, pool="avg", dropout=0.0, scale=scale)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu(self.bn(self.conv(images.double()))))
        return logits


def batch(number: int) -> Batch:
    rng = np.random.default_rng(number)
    return Batch(
        torch.from_numpy(rng.integers(0, 256, (IMAGES, 9, 9, 3), np.uint8)),
        torch.from_numpy(rng.integers(0, 2, (IMAGES, CLASSES)).astype(np.int8)),
        torch.arange(IMAGES),
        [],
    )


@dataclass
class Literal:
    """The published rules."""

    weights: dict[str, Tensor]
    statistics: dict[str, Tensor]
    lr: float
    decay: float
    scale: float
    momenta: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.average = {k: v.clone() for k, v in {**self.weights, **self.statistics}.items()}

    def loss(self, at: dict[str, Tensor], images: Tensor, targets: Tensor) -> Tensor:
        """AAM of margin 0 and k 0.7, a sum; moves the statistics."""
        maps = nn.functional.conv2d(images, at["conv.weight"], at["conv.bias"], stride=2)
        mean, var = maps.mean((0, 2, 3)), maps.var((0, 2, 3), unbiased=False)
        count = maps.numel() / maps.shape[1]
        for name, now in (("mean", mean), ("var", var * count / (count - 1))):
            key = f"bn.running_{name}"
            self.statistics[key] = 0.9 * self.statistics[key] + 0.1 * now.detach()
        unit = (maps - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
        shown = unit * at["bn.weight"][:, None, None] + at["bn.bias"][:, None, None]
        pooled = shown.clamp(min=0).mean((2, 3))
        vectors = at["head.weight"]
        z = (pooled / pooled.norm(dim=1, keepdim=True)) @ (
            vectors / vectors.norm(dim=1, keepdim=True)
        ).T
        s = self.scale
        present = targets * torch.log(1 / (1 + torch.exp(-s * z)))
        absent = (1 - targets) * torch.log(1 / (1 + torch.exp(s * z)))
        return -(0.7 / s * present + 0.3 / s * absent).sum()

    def gradients(self, at: dict[str, Tensor], *data: Tensor) -> dict[str, Tensor]:
        leaves = {name: value.clone().requires_grad_() for name, value in at.items()}
        found = torch.autograd.grad(self.loss(leaves, *data), list(leaves.values()))
        return dict(zip(leaves, found, strict=True))

    def rates(self, step: int) -> tuple[float, float]:
        """Learning rate and momentum: cosines to a peak at 0.2 of the steps, and away from it."""
        top = 0.2 * TOTAL - 1
        if step <= top:
            part, ends = step / top, ((self.lr / 100, self.lr), (0.95, 0.85))
        else:
            part = (step - top) / (TOTAL - 1 - top)
            ends = ((self.lr, self.lr / 100 / 1000), (0.85, 0.95))
        turn = (1 + math.cos(math.pi * part)) / 2
        first, second = (end + (start - end) * turn for start, end in ends)
        return first, second

    def step(self, number: int, images: Tensor, targets: Tensor) -> None:
        lr, momentum = self.rates(number)
        gradient = self.gradients(self.weights, images, targets)
        norm = math.sqrt(sum(float((g * g).sum()) for g in gradient.values()))
        worst = {k: w + 0.05 * gradient[k] / (norm + 1e-12) for k, w in self.weights.items()}
        gradient = self.gradients(worst, images, targets)
        for name, weight in self.weights.items():
            decays = name in ("conv.weight", "head.weight")
            push = gradient[name] + (5e-4 * weight if decays else 0)
            before = self.momenta.get(name)
            self.momenta[name] = push if before is None else momentum * before + push
            rate = 2 * lr if name.endswith("bias") else lr
            self.weights[name] = weight - rate * self.momenta[name]
        for name, value in {**self.weights, **self.statistics}.items():
            self.average[name] = self.decay * self.average[name] + (1 - self.decay) * value


def published_step(settings: TrainSettings, model: Net) -> Step:
    sam = settings.optim.sam
    assert sam
    return Step(
        forward=model,
        loss=build_loss(
            settings.loss,
            scale=float(model.head.scale),
            positives_C=np.ones(CLASSES),
            negatives_C=np.ones(CLASSES),
            device=CPU,
        ),
        normalise=Normalise((0.5,) * 3, (0.5,) * 3, CPU),
        precision="fp32",
        lr=settings.optim.lr,
        mix=None,
        sam=Sam(sam.rho, sam.adaptive, moves_statistics=sam.statistics == "both"),
        sam_from=0,
        clip_norm=settings.optim.clip_norm,
        seed=0,
    )


@pytest.mark.parametrize("preset", PUBLISHED)
def test_eight_steps_of_the_preset_are_those_of_the_published_rules(preset: str) -> None:
    settings = validate(TrainSettings, gather(TrainSettings, "train", preset=preset))
    numbers = PUBLISHED[preset]
    torch.manual_seed(0)
    model = Net(numbers["scale"]).double().train()
    state = {k: v.clone() for k, v in model.state_dict().items() if v.is_floating_point()}
    weights = {name: state[name] for name, _ in model.named_parameters()}
    statistics = {k: v for k, v in state.items() if "running" in k}
    rules = Literal(weights, statistics, **numbers)
    assert settings.ema
    training = TrainState(
        model=model,
        optimizer=build_optimizer(settings.optim, model, {}),
        schedule=build_schedule(settings.schedule, TOTAL, TOTAL // 4),
        ema=Ema(model, settings.ema.decay, settings.ema.warmup),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        early_stop=None,
        losses=LossMeter(1),
    )
    step = published_step(settings, model)
    for number in range(STEPS):
        data = batch(number)
        images = step.normalise(data.images_NHWC).double()  # float32 on both sides
        rules.step(number, images, data.targets_NC.double())
        step(training, [data], number)
    ours, average = model.state_dict(), training.ema.model.state_dict()
    for name, expected in {**rules.weights, **rules.statistics}.items():
        torch.testing.assert_close(ours[name], expected, rtol=0, atol=1e-9)
        torch.testing.assert_close(average[name], rules.average[name], rtol=0, atol=1e-9)
    moved = max(float((ours[k] - state[k]).abs().max()) for k in weights)
    assert moved > 1e-4
