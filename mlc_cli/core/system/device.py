"""The one place that knows devices."""

import os
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mlc_cli.core.system.cores import CPU_SLICE, keep_freed_memory, usable_cores
from mlc_cli.core.system.processes import dist_info, own_gpu
from mlc_cli.errors import UsageError


def pick_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device, and make ready for it.

    A GPU has a number and is the current one; of several processes on a machine each takes its own.

    Raises:
        UsageError: The name is unknown, there is no such GPU, or it is that of another process.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if dist_info().size > 1 and name.startswith("cuda"):
        own = f"cuda:{own_gpu()}"
        if name not in ("cuda", own):
            raise UsageError(
                f"device '{name}': several processes were started, and each takes a GPU of its own",
                "Use --device cuda; CUDA_VISIBLE_DEVICES says which GPUs there are.",
            )
        name = own
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"device '{name}' is unknown", "Use auto, cpu, cuda or cuda:N.") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(
            f"device '{name}' is not supported: nothing here was ever run on one",
            "Use auto, cpu, cuda or cuda:N.",
        )
    if device.type == "cpu":
        keep_freed_memory()
        return device
    number = device.index or 0
    if number >= torch.cuda.device_count():
        raise UsageError(
            f"device '{name}': this machine has {torch.cuda.device_count()} CUDA devices",
            "Use --device auto or --device cpu; a CUDA build of torch is needed for GPUs. Each"
            " process of torchrun takes one: --nproc_per_node is at most their number.",
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def in_slices(run: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Run a model without gradients over a batch, on a CPU in parts that fit its cache.

    There an image takes two thirds of the time in a batch of 8 that it takes in one of 64.
    """
    if images.device.type != "cpu" or len(images) <= CPU_SLICE:
        return run(images)
    return torch.cat([run(part) for part in torch.split(images, CPU_SLICE)])


def pick_workers(wanted: int | Literal["auto"], device: torch.device) -> int:
    """Processes that read images.

    A GPU is fed by most of the cores, at most 16. A training on the CPU needs the cores itself:
    one reader for each two of them keeps ahead of it.
    """
    if wanted != "auto":
        return wanted
    cores = usable_cores()
    return max(1, min(16, cores - 1)) if device.type == "cuda" else max(1, min(4, cores // 2))


def make_deterministic(*, on: bool) -> None:
    """Choose between deterministic and fastest algorithms on the GPU."""
    torch.backends.cudnn.deterministic = on
    torch.backends.cudnn.benchmark = not on
    if on:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(on, warn_only=True)


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Seed torch for one step of a training, in the process of this rank.

    Everything random in a step (dropout, stochastic depth) depends on the seed, the step and the
    rank alone, so that a training taken up in the middle goes on as if it had never stopped.
    """
    state = np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0] >> np.uint64(1)))
