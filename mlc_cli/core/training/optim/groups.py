"""Which learning rate and weight decay each parameter has."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

ScaleOf = Callable[[str], float]


def parameter_groups(
    parameters: Iterable[tuple[str, nn.Parameter]],
    *,
    weight_decay: float,
    bias_lr_scale: float,
    lr_scale_of: ScaleOf,
) -> list[dict[str, Any]]:
    """Group the parameters that learn by learning-rate scale and decay.

    Parameters of one dimension (biases, normalisation) have no weight decay.

    Args:
        parameters: Names and parameters.
        weight_decay: Of all others.
        bias_lr_scale: Factor on the learning rate of biases.
        lr_scale_of: Factor on the learning rate by name.

    Returns:
        Groups for a torch optimiser, each with its `lr_scale`.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        if not parameter.requires_grad:
            continue
        scale = lr_scale_of(name) * (bias_lr_scale if name.endswith("bias") else 1.0)
        if scale == 0:
            continue
        decay = 0.0 if parameter.ndim <= 1 else weight_decay
        groups.setdefault((scale, decay), []).append(parameter)
    return [
        {"params": members, "lr_scale": scale, "weight_decay": decay}
        for (scale, decay), members in groups.items()
    ]
