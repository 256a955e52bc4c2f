"""One optimiser step, with everything that may take part in it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlc_cli.core.images.scaled import SizeHW
from mlc_cli.core.inference.torch_engine import TorchEngine
from mlc_cli.core.loading.dataset import Batch
from mlc_cli.core.loading.mixing import Mix
from mlc_cli.core.loading.normalise import Normalise
from mlc_cli.core.system.device import seed_step
from mlc_cli.core.system.distributed import lost_processes_named
from mlc_cli.core.system.precision import Precision, autocast
from mlc_cli.core.training.losses.base import MultilabelLoss
from mlc_cli.core.training.optim.sam import Sam, frozen_bn_statistics
from mlc_cli.core.training.parallel import Together
from mlc_cli.core.training.state import TrainState
from mlc_cli.core.training.teachers import Teach
from mlc_cli.errors import TrainingError

Part = tuple[Tensor, Tensor, Tensor | None]
"""Normalised images, targets, and what the teachers say."""


@dataclass(frozen=True)
class Step:
    """How a step is made.

    Attributes:
        forward: The model as it is called in training: itself, compiled, or `together.model`.
        loss: Of scaled logits and targets.
        normalise: From uint8 batches to the model's input, on the device.
        lr: Peak learning rate.
        sam_from: First step with it.
        clip_norm: Largest norm of all gradients together, if limited.
        seed: Of everything random.
        sizes: Height and width to which images are brought, for each `size_steps` steps; none: as
            they come.
        size_steps: Steps of an epoch.
        rank: Of this process among those that make the step together.
        together: How they do, if there are several: each takes the gradient of its images, and all
            move by the sum, to weights that are the same to the bit.
    """

    forward: Callable[[Tensor], Tensor]
    loss: MultilabelLoss
    normalise: Normalise
    precision: Precision
    lr: float
    mix: Mix | None
    sam: Sam | None
    sam_from: int
    clip_norm: float | None
    seed: int
    sizes: Sequence[SizeHW] = ()
    size_steps: int = 1
    rank: int = 0
    together: Together | None = None
    teach: Teach | None = None

    @property
    def pixels(self) -> float:
        """Of an image, on average over the epochs, as a part of those of the last."""
        areas = [height * width for height, width in self.sizes] or [1]
        return sum(areas) / len(areas) / areas[-1]

    def engine(self, model: nn.Module) -> TorchEngine:
        """A model in training as it is evaluated, in the mode for that."""
        return TorchEngine(model.eval(), self.normalise, self.normalise.device, self.precision)

    def __call__(
        self, state: TrainState, batches: Sequence[Batch], step: int, images: int | None = None
    ) -> Tensor:
        """Make step number `step` over one or more batches; the loss before it.

        They are this process's part of each batch; one without images counts for nothing. All
        processes together have so many `images`, by default those of the batches.

        Raises:
            TrainingError: Batch normalisation has a single value to normalise.
        """
        self._set_rates(state, step)
        seed_step(self.seed, step, self.rank)
        size = None
        if self.sizes:
            size = self.sizes[min(step // self.size_steps, len(self.sizes) - 1)]
        parts = [
            self._prepare(batch, np.random.default_rng((self.seed, step, part, self.rank)), size)
            for part, batch in enumerate(b for b in batches if len(b.indices_N))
        ]
        if images is None:
            images = sum(len(part[0]) for part in parts)
        if not parts:  # other processes have images
            nothing = state.learning[0].new_zeros((0, 3, 1, 1))
            parts = [(nothing, nothing, None)]
        sam = self.sam if step >= self.sam_from else None
        state.optimizer.zero_grad()
        with _lone_values_named(), lost_processes_named():
            loss = self._backward(state, parts, images, alone=bool(sam and sam.per_process))
            if sam:
                frozen = not sam.moves_statistics
                statistics = frozen_bn_statistics(state.batch_norms) if frozen else nullcontext()
                with statistics, sam.perturbed(state.learning):
                    state.optimizer.zero_grad()
                    self._backward(state, parts, images, first=loss)
        if self.together:
            loss = self.together.collect()
        self._apply(state)
        return loss

    def _set_rates(self, state: TrainState, step: int) -> None:
        lr, momentum = self.lr * state.schedule.factor(step), state.schedule.momentum(step)
        for group in state.optimizer.param_groups:
            group["lr"] = lr * group["lr_scale"]
            if momentum is not None and "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            elif momentum is not None:
                group["momentum"] = momentum

    def _prepare(self, batch: Batch, rng: np.random.Generator, size: SizeHW | None) -> Part:
        """Normalised images and float targets on the device, resized and mixed if wanted."""
        images = self.normalise(batch.images_NHWC)
        if size and size != images.shape[2:]:
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        targets = batch.targets_NC.to(images.device, non_blocking=True).float()
        if self.mix:
            images, targets = self.mix(images, targets, rng)
        return images, targets, self.teach(images) if self.teach else None

    def _backward(
        self,
        state: TrainState,
        parts: Sequence[Part],
        images: int,
        *,
        alone: bool = False,
        first: Tensor | None = None,
    ) -> Tensor:
        """Add up the gradients of all parts; their share in the loss of `images` images.

        Processes exchange gradients while those of the last part are taken, unless it is `alone`;
        the loss that goes along is that of the `first` pass.
        """
        total = torch.zeros((), device=parts[0][0].device)
        for number, part in enumerate(parts, 1):
            quiet = self.together and (alone or number < len(parts))
            with self.together.model.no_sync() if self.together and quiet else nullcontext():
                loss = self._loss(*part, images)
                total = total + loss.detach()
                terms = [state.scaler.scale(loss)]
                if self.together and not quiet:
                    terms.append(self.together.carry(total if first is None else first))
                torch.autograd.backward(terms)
        return total

    def _loss(self, inputs: Tensor, targets: Tensor, taught: Tensor | None, images: int) -> Tensor:
        with autocast(inputs.device, self.precision):
            logits = self.forward(inputs)
        if not len(inputs):
            return logits
        share = len(inputs) / images if self.loss.reduction == "batch_mean" else 1.0
        return self.loss(logits, targets, taught) * share

    def _apply(self, state: TrainState) -> None:
        if self.clip_norm:
            state.scaler.unscale_(state.optimizer)
            nn.utils.clip_grad_norm_(state.learning, self.clip_norm)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        if state.ema:
            state.ema.update()


def epoch_sizes(parts: tuple[float, float], size: SizeHW, epochs: int) -> list[SizeHW]:
    """Height and width in each epoch, from the first to the last part of `size` in steps of 32.

    Empty where they are always those of the images.
    """
    if parts == (1.0, 1.0):
        return []
    height, width = size
    even = np.linspace(*parts, epochs).tolist()
    return [(_in_32(height * part), _in_32(width * part)) for part in even]


def _in_32(side: float) -> int:
    return max(32, round(side / 32) * 32)


@contextmanager
def _lone_values_named() -> Iterator[None]:
    """Inside, what torch says of a variance of one value gets a message."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith("Expected more than 1 value per channel"):
            raise
        raise TrainingError(
            "batch normalisation gets one value for each channel: a batch of one image whose"
            " feature map is 1x1",
            "Use more images a batch (`--batch-size 2`), larger ones (`--set data.input_size=N`) or"
            " fixed statistics (`--set model.freeze_bn=true`). If the batch is one for lack of"
            " readable images, repair those.",
        ) from error
