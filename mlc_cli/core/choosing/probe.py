"""Linear heads on frozen features: several learning rates and all folds in one pass.

Each head is trained as the warm start of a training trains its head: AdamW, one-cycle, dropout on
the features, binary cross-entropy over the labels that are known.

Names of arrays: N images to learn from, M others, D channels, C classes, R rates, K folds.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mlc_cli.core.datasets.stratify import stratify
from mlc_cli.core.evaluation.metrics import Floats, mean_ap_of
from mlc_cli.core.system.device import seed_step
from mlc_cli.core.training.optim.schedules import OneCycle


@dataclass(frozen=True)
class Recipe:
    """How heads are trained.

    Attributes:
        rates: Peak learning rates that are tried.
        folds: Parts of the images.
        seed: Of the folds, the order and of dropout.
    """

    rates: tuple[float, ...]
    epochs: int
    weight_decay: float
    batch_size: int
    dropout: float
    folds: int
    seed: int


@dataclass(frozen=True)
class Probe:
    """What the head with the best rate says.

    Attributes:
        rate: That learning rate, by the mean average precision out of fold.
        out_of_fold_NC: Logits of each image by the head that has not seen its fold.
        others_MC: Logits of other images by the head that has seen all.
    """

    rate: float
    out_of_fold_NC: Floats
    others_MC: Floats


def probe(
    features_NVD: Tensor, targets_NC: NDArray[np.int8], others_MD: Tensor, recipe: Recipe
) -> Probe:
    """Train the heads on a vector for each view of an image, and score the first.

    No head learns from the others.
    """
    fold_N = torch.from_numpy(stratify(targets_NC, [1.0] * recipe.folds, recipe.seed))
    device = features_NVD.device
    heads = _Heads(features_NVD.shape[2], targets_NC, fold_N, recipe, device)
    heads.train(features_NVD, torch.from_numpy(targets_NC))
    logits_NRKC = heads.logits(features_NVD[:, 0])
    own_NRC = logits_NRKC[torch.arange(len(fold_N)), :, fold_N].double().numpy()
    maps = [mean_ap_of(own_NRC[:, r], targets_NC) for r in range(len(recipe.rates))]
    best = int(np.nanargmax(maps)) if np.isfinite(maps).any() else 0
    others_MC = heads.logits(others_MD)[:, best, recipe.folds].double().numpy()
    return Probe(recipe.rates[best], own_NRC[:, best], others_MC)


class _Heads:
    """Heads for each rate: one for each fold, which it does not see, and one that sees all."""

    def __init__(
        self,
        channels: int,
        targets_NC: NDArray[np.int8],
        fold_N: Tensor,
        recipe: Recipe,
        device: torch.device,
    ) -> None:
        present, known = (targets_NC == 1).sum(0), np.maximum((targets_NC >= 0).sum(0), 1)
        prior_C = torch.from_numpy((present / known).clip(1e-4, 1 - 1e-4)).logit().float()
        heads, classes = recipe.folds + 1, targets_NC.shape[1]
        self._recipe, self._fold_N, self._device = recipe, fold_N, device
        self._weights = [
            torch.zeros(heads * classes, channels, device=device, requires_grad=True)
            for _ in recipe.rates
        ]
        self._biases = [prior_C.repeat(heads).to(device).requires_grad_() for _ in recipe.rates]
        self._shape = (len(recipe.rates), heads, classes)

    def _all(self, features_ND: Tensor) -> Tensor:
        weight, bias = torch.cat(self._weights), torch.cat(self._biases)
        return F.linear(features_ND, weight, bias).view(-1, *self._shape)

    @torch.no_grad()
    def logits(self, features_ND: Tensor) -> Tensor:
        """Of all heads, N×R×(K+1)×C, on the CPU."""
        return torch.cat([self._all(part).cpu() for part in torch.split(features_ND, 4096)])

    def train(self, features_NVD: Tensor, targets_NC: Tensor) -> None:
        """Train all heads on the same batches; each leaves out the images of its fold."""
        recipe, views = self._recipe, features_NVD.shape[1]
        decays = [recipe.weight_decay] * len(recipe.rates) + [0.0] * len(recipe.rates)
        groups = [
            {"params": [p], "weight_decay": decay}
            for p, decay in zip([*self._weights, *self._biases], decays, strict=True)
        ]
        optimizer = torch.optim.AdamW(groups, lr=0.0)
        draws = len(features_NVD) * views
        steps = recipe.epochs * -(-draws // recipe.batch_size)
        schedule = OneCycle(steps, pct_start=0.2, div=100, final_div=1000)
        order = np.random.default_rng((recipe.seed, 1))
        step = 0
        for _ in range(recipe.epochs):
            drawn = torch.from_numpy(order.permutation(draws))
            for chosen in torch.split(drawn, recipe.batch_size):
                seed_step(recipe.seed, step)
                for group, rate in zip(optimizer.param_groups, recipe.rates * 2, strict=True):
                    group["lr"] = rate * schedule.factor(step)
                image, view = chosen // views, chosen % views
                taken = F.dropout(features_NVD[image, view], recipe.dropout)
                loss = self._loss(self._all(taken), targets_NC[image], self._fold_N[image])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                step += 1

    def _loss(self, logits_BRKC: Tensor, targets_BC: Tensor, fold_B: Tensor) -> Tensor:
        """Mean over the known labels of each head, summed over the heads."""
        sees_BK = fold_B[:, None] != torch.arange(self._shape[1])
        counts_BKC = (sees_BK[:, :, None] & (targets_BC >= 0)[:, None]).float()
        weights_BKC = counts_BKC / counts_BKC.sum((0, 2), keepdim=True).clamp_min(1)
        targets = (
            targets_BC.clamp_min(0).float().to(self._device)[:, None, None].expand_as(logits_BRKC)
        )
        weights = weights_BKC.to(self._device)[:, None].expand_as(logits_BRKC)
        return F.binary_cross_entropy_with_logits(logits_BRKC, targets, weights, reduction="sum")
