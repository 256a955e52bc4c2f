"""The one place that knows the arithmetic of models."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch

from mlc_cli.errors import UsageError

Precision = Literal["fp32", "bf16", "fp16"]


def pick_precision(name: str, device: torch.device) -> Precision:
    """Turn `auto` into the precision of the device; others are taken as they are.

    A GPU without bf16 of its own gets fp16: torch would emulate bf16 there, slowly and not for all
    operations.

    Raises:
        UsageError: There is no such precision.
    """
    if name not in ("auto", *get_args(Precision)):
        raise UsageError(f"precision: expected auto, fp32, bf16 or fp16, got {name!r}")
    if name != "auto":
        return name  # type: ignore[return-value]
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Context in which forward passes run in the given precision."""
    if precision == "fp32":
        return nullcontext()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    return torch.autocast(device.type, dtype=dtype)


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Context in which nothing is cast down (`meta` knows no casting in the first place)."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def allow_tf32(*, on: bool) -> None:
    """Choose whether a GPU may round the factors of fp32 products to 10 bits of mantissa."""
    if torch.cuda.is_available():  # elsewhere the setting would reach the kernels of the CPU
        torch.set_float32_matmul_precision("high" if on else "highest")
        torch.backends.cudnn.allow_tf32 = on
