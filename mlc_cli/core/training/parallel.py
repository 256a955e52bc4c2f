"""A model that several processes train together: torch's DistributedDataParallel, which adds up.

A loss is divided by the images of all processes, so that gradients are summed, not averaged. With
them goes all else that processes add up in a step, as the gradient of one more parameter: there
are no other messages.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.utils import _sync_module_states
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.nn.parallel import DistributedDataParallel

from mlc_cli.core.system.distributed import torch_distributed
from mlc_cli.core.training.optim.sam import frozen_bn_statistics

BUCKET_BYTES = 2**28
"""Of a model, that are handed round in one message."""


class _Carrier(nn.Module):
    """A model and the parameter whose gradient is what goes along."""

    def __init__(self, model: nn.Module, learning: Sequence[nn.Parameter], extra: int) -> None:
        super().__init__()
        self.model = model
        self.learning = tuple(learning)
        self.carried = nn.Parameter(learning[0].new_zeros(extra))

    def forward(self, images: Tensor) -> Tensor:
        """Logits; of no images a zero to which every parameter contributes."""
        if len(images):
            logits: Tensor = self.model(images)
            return logits
        return torch.stack([p.sum() for p in self.learning]).sum() * 0


class Together:
    """The model of this process as one of several that make a step.

    Args:
        forward: The model as it is called in training, in training mode: itself, or compiled.
        model: The model itself.
        optimizer: Of the parameters that a step changes.
        size: Height and width of its images, to find parameters of which nothing depends: they get
            no gradient, and DistributedDataParallel would wait for it.
        static: Whether all passes backward are alike: each process always has images, and none
            keeps its gradients to itself, which torch refuses in the first step of a static graph.
    """

    def __init__(
        self,
        forward: nn.Module,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        size: tuple[int, int],
        *,
        static: bool = False,
    ) -> None:
        learning = [p for group in optimizer.param_groups for p in group["params"]]
        layers = [m for m in model.modules() if isinstance(m, BatchNorm)]
        used = _used(model, learning, layers, size)
        moving = [(m.running_mean, m.running_var) for m in layers if m.training]
        self._statistics = [b for both in moving for b in both if b is not None]
        self._sizes = [statistic.numel() for statistic in self._statistics]
        carrier = _Carrier(forward, used, 1 + sum(self._sizes))
        self._carried = carrier.carried
        exchanged = {id(p) for p in (*used, self._carried)}
        others = {n for n, p in carrier.named_parameters() if id(p) not in exchanged}
        others |= {name for name, _ in carrier.named_buffers()}
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(  # type: ignore[no-untyped-call]  # noqa: SLF001
            carrier, others
        )
        with torch_distributed():
            self.model = DistributedDataParallel(
                carrier, init_sync=False, gradient_as_bucket_view=True, static_graph=static
            )
        self.model.register_comm_hook(None, _sum)

    def carry(self, loss: Tensor) -> Tensor:
        """A term of a loss that takes this process's share of it along, and the running statistics.

        Each process normalises with the statistics of its own images; the running ones become their
        means.
        """
        self._carried.grad = None
        values = [loss.reshape(1), *self._statistics]
        return (self._carried * torch.cat([v.to(self._carried.dtype) for v in values])).sum()

    @torch.no_grad()
    def collect(self) -> Tensor:
        """The loss of all processes, after a backward pass; running statistics are exchanged."""
        assert self._carried.grad is not None
        loss: Tensor = self._carried.grad[0].clone()
        if self._statistics:
            means = self._carried.grad[1:] / dist.get_world_size()
            torch._foreach_copy_(self._statistics, list(torch.split(means, self._sizes)))
        return loss


def _used(
    model: nn.Module,
    learning: Sequence[nn.Parameter],
    layers: Sequence[BatchNorm],
    size: tuple[int, int],
) -> list[nn.Parameter]:
    """Those parameters that the logits depend on."""
    with frozen_bn_statistics(layers):
        logits = model(learning[0].new_zeros(2, 3, *size))
    gradients = torch.autograd.grad(logits.sum(), learning, allow_unused=True)
    return [p for p, gradient in zip(learning, gradients, strict=True) if gradient is not None]


def _sum(_state, bucket):  # type: ignore[no-untyped-def] # torch would look at annotations
    """Start adding up the gradients of a bucket; without it torch takes their mean."""
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    return work.get_future().then(lambda done: done.value()[0])


def broadcast_module(model: nn.Module) -> None:
    """Give a model the weights and buffers that it has in the leading process, if there is one."""
    if processes := dist.group.WORLD:
        with torch_distributed():
            _sync_module_states(model, processes, BUCKET_BYTES, 0, ())
