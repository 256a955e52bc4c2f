"""Training of the head alone, on features of the loaded backbone that are computed once.

A pooled head keeps one vector of each image, ML-Decoder the feature map. On small data sets this
is worth more than any loss or schedule: it takes one forward pass over the images and gives the
fine-tuning a head that does not tear the backbone's features apart.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.heads.base import Head
from mlc_cli.core.models.weights.class_order import BY_CLASS, BY_GROUP
from mlc_cli.core.system.device import in_slices, seed_step
from mlc_cli.core.system.precision import autocast
from mlc_cli.core.training.losses.base import MultilabelLoss, Selective
from mlc_cli.core.training.optim.schedules import OneCycle
from mlc_cli.core.training.parallel import broadcast_module
from mlc_cli.errors import TrainingError

if TYPE_CHECKING:
    from mlc_cli.core.training.step import Step

OnBatch = Callable[[int, int], Any]
Part = tuple[Tensor, Tensor, Tensor, Tensor]
"""Features, targets, places in the split, and what teachers say, of a batch."""
FOLDS = 5


@dataclass(frozen=True)
class WarmStart:
    """How the head is trained; the settings say what is not explained here.

    Attributes:
        batches: Training images in the order of the file, without random changes.
        prior: Whether biases start at the frequencies of the classes, as for a new head.
        kept: Places of classes that the head knows; only what it holds of the others is trained.
        unsure: Part of the unknown labels that are left out, the likeliest by heads that were
            trained on other images; the others count as absent.
    """

    batches: Batches
    prior: bool
    epochs: int
    lr: float
    weight_decay: float
    batch_size: int
    dropout: float
    flip: bool
    max_bytes: float
    seed: int
    kept: tuple[int, ...] | None = None
    unsure: float | None = None

    def run(self, model: Classifier, step: "Step", on_batch: OnBatch) -> None:
        """Train the head of `model`, which takes the new weights at the very end.

        Images, loss and teachers are those of a `step` of the whole model.

        Until then the model is as it was, so that `on_batch` may raise, or save it, at any time.
        Where processes share the images, each computes its part of the features, and the leading
        one trains on all of them.

        Raises:
            TrainingError: The features need more than the memory allowed.
        """
        group, loss = self.batches.group, step.loss
        features, targets, indices, taught = self._features(model, step, on_batch)
        steps = self.epochs * -(-group.broadcast(lambda: len(features)) // self.batch_size)
        head = copy.deepcopy(model.head)
        if group.is_main:
            if self.unsure is not None and (targets < 0).any():
                targets = self._probed(head, loss, features, targets, indices)
                loss = replace(loss, unknown=None)
            said = taught if step.teach else None
            self._train_head(head, loss, features, targets, on_batch, said)
        else:
            for done in range(steps):
                on_batch(done + 1, steps)
        broadcast_module(head)
        model.head.load_state_dict(head.state_dict())

    @torch.no_grad()
    def _features(self, model: Classifier, step: "Step", on_batch: OnBatch) -> Part:
        """Reduced features of all images (and the mirrored ones), targets, places, and teaching.

        They are in the order of the batches, and all in the leading process alone.
        """
        model.eval()

        def reduce(images: Tensor) -> Tensor:
            return model.head.reduce(model.backbone(images))

        group, home = self.batches.group, torch.device("cpu")
        computed: list[list[Part]] = []
        for number, batch in enumerate(self.batches.epoch(), 1):
            computed.append([])
            if len(batch.indices_N):
                images = step.normalise(batch.images_NHWC)
                for view in (images, images.flip(3)) if self.flip else (images,):
                    with autocast(images.device, step.precision):
                        reduced = in_slices(reduce, view)  # maps are large, vectors are not
                        reduced = reduced.float() if reduced.ndim == 2 else reduced.half()
                    home = self._home(reduced[0])
                    kept = reduced.to(home if group.size == 1 else "cpu")
                    taught = step.teach(view).cpu() if step.teach else torch.empty(len(kept), 0)
                    computed[-1].append((kept, batch.targets_NC, batch.indices_N, taught))
            on_batch(number, len(self.batches))
        dealt_out = zip(*group.gather_to_main(computed), strict=True)
        parts = [part for batches in dealt_out for batch in batches for part in batch]
        if not parts:
            return torch.empty(0), torch.empty(0), torch.empty(0), torch.empty(0)
        features, targets, indices, said = map(torch.cat, zip(*parts, strict=True))
        return features.to(home), targets.to(home), indices, said.to(home)

    def _home(self, image: Tensor) -> torch.device:
        """Where features so large are kept: by the model as long as they fit, three times."""
        needed = image.nbytes * len(self.batches.dataset) * (2 if self.flip else 1)
        if needed > self.max_bytes:
            raise TrainingError(
                f"the features of the warm start need {needed / 1e9:.1f} GB,"
                f" more than warm_start.max_gigabytes = {self.max_bytes / 1e9:g}",
                "Raise it, halve it with `--set warm_start.flip=false`, take a pooled head, or"
                " start without: `--set warm_start=null`.",
            )
        device = image.device
        fits = device.type != "cuda" or 3 * needed < torch.cuda.mem_get_info(device)[0]
        return device if fits else torch.device("cpu")

    def _probed(
        self, new: Head, loss: MultilabelLoss, features: Tensor, targets: Tensor, indices: Tensor
    ) -> Tensor:
        """Targets where only the likeliest unknown labels are still unknown.

        An image and its mirror are in the same fold.
        """
        places = np.random.default_rng(self.seed).permutation(int(indices.max()) + 1) % FOLDS
        fold = torch.from_numpy(places)[indices].to(features.device)
        absent = replace(loss, unknown=Selective(loss.elements))
        scores = torch.empty(targets.shape, device=features.device)
        for number in range(FOLDS):
            inside, head = fold == number, copy.deepcopy(new)
            rest = features[~inside], targets[~inside]
            self._train_head(head, absent, *rest, lambda _done, _total: None)
            with torch.no_grad():
                logits = head.eval().classify(features[inside].to(head.scale.device).float())
            scores[inside] = logits.float().to(scores.device)
        unknown = targets < 0
        count = round((self.unsure or 0) * int(unknown.sum()))
        order = scores.masked_fill(~unknown, -torch.inf).flatten().topk(count).indices
        left_out = torch.zeros(targets.numel(), dtype=torch.bool, device=order.device)
        left_out[order] = True
        return targets.masked_fill(unknown & ~left_out.view_as(unknown), 0)

    def _train_head(
        self,
        head: Head,
        loss: MultilabelLoss,
        features: Tensor,
        targets: Tensor,
        on_batch: OnBatch,
        taught: Tensor | None = None,
    ) -> None:
        head.train()
        known = [] if self.kept is None else _rows(head, self.kept)
        if self.prior:
            head.set_prior(_frequencies(targets).to(head.scale.device))
        device = head.scale.device
        learnt = [p for p in head.parameters() if p.requires_grad]
        if known:  # what classes share stays, so that the rows of one do not move another
            learnt = [p for p, _ in known]
        groups = [
            {"params": [p for p in learnt if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.lr)
        steps = self.epochs * -(-len(features) // self.batch_size)
        schedule = OneCycle(steps, pct_start=0.2, div=100, final_div=1000)
        for step, chosen in enumerate(self._order(len(features))):
            seed_step(self.seed, step)
            for group in optimizer.param_groups:
                group["lr"] = self.lr * schedule.factor(step)
            rows = chosen.to(features.device, non_blocking=True)
            reduced = features[rows].to(device, non_blocking=True).float()
            logits = head.classify(F.dropout(reduced, self.dropout))
            optimizer.zero_grad()
            said = None if taught is None else taught[rows].to(device, non_blocking=True)
            wanted = targets[rows].to(device, non_blocking=True)
            torch.autograd.backward(loss(logits, wanted, said))
            optimizer.step()
            on_batch(step + 1, steps)
        with torch.no_grad():
            for parameter, rows in known:
                parameter[list(self.kept or ())] = rows

    def _order(self, images: int) -> Iterator[Tensor]:
        for epoch in range(self.epochs):
            order = np.random.default_rng((self.seed, epoch)).permutation(images)
            for start in range(0, images, self.batch_size):
                yield torch.from_numpy(order[start : start + self.batch_size])


def _rows(head: Head, kept: tuple[int, ...]) -> list[tuple[nn.Parameter, Tensor]]:
    """Parameters that have a row for each class, and a copy of what they hold of some classes."""
    named = head.named_parameters()
    own = [p for name, p in named if p.requires_grad and name in BY_CLASS | BY_GROUP]
    return [(p, p.detach()[list(kept)].clone()) for p in own]


def _frequencies(targets_NC: Tensor) -> Tensor:
    """Part of the known images that have each class, kept away from 0 and 1.

    Where none is known to lack it, part of all images.
    """
    present, known = (targets_NC == 1).sum(0), (targets_NC >= 0).sum(0)
    known = known.where(known > present, len(targets_NC))
    return (present / known.clamp(min=1)).clamp(1e-4, 1 - 1e-4)
