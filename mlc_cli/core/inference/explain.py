"""Where in an image the evidence for a class lies.

Names of arrays: N images, D channels, K chosen classes, G groups, H×W positions of the map.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mlc_cli.core.models.heads.base import Head, Pool
from mlc_cli.core.models.heads.graph import GraphHead
from mlc_cli.core.models.heads.ml_decoder import MLDecoder
from mlc_cli.core.models.heads.pooled import CosineHead, LinearHead
from mlc_cli.core.system.precision import full_precision
from mlc_cli.errors import MlcError


def evidence(head: Head, map_NDHW: Tensor, classes_K: Sequence[int]) -> Tensor:
    """Heat maps of classes, float32 N×K×H×W.

    Linear and cosine heads: class activation maps. A logit is taken apart without rest: the mean
    of a map is the logit without its bias. With average pooling a position counts with its own
    features. With max pooling each channel counts only where it is strongest, since nothing else
    enters the logit; with both, both are added. Graph heads: the same on the weighted channels.

    ML-Decoder: the cross-attention of the query that the class belongs to, averaged over the
    attention heads; its sum over positions is one. Classes that share a query share a map: with
    more classes than groups it tells where the model looks, not for which of them.

    Raises:
        MlcError: The head is of another kind.
    """
    with full_precision(map_NDHW.device):
        map_NDHW = map_NDHW.float()
        match head:
            case LinearHead():
                weight_KD = head.linear.weight[list(classes_K)] * head.scale
                return _activation(_spread(map_NDHW, head.pool), weight_KD)
            case CosineHead():
                spread_NDHW = _spread(map_NDHW, head.pool)
                length_N = spread_NDHW.mean((2, 3)).norm(dim=1).clamp_min(1e-12)
                weight_KD = F.normalize(head.weight[list(classes_K)]) * head.scale
                return _activation(spread_NDHW / length_N[:, None, None, None], weight_KD)
            case GraphHead():
                weights_D11 = head.weights()[:, None, None]
                return evidence(head.pooled, map_NDHW * weights_D11, classes_K)
            case MLDecoder():
                return head.attention_maps(map_NDHW)[:, [head.group_of(c) for c in classes_K]]
    raise MlcError(f"heat maps are not known for a head of type {type(head).__name__}")


def _activation(map_NDHW: Tensor, weight_KD: Tensor) -> Tensor:
    return torch.einsum("ndhw,kd->nkhw", map_NDHW, weight_KD)


def _spread(map_NDHW: Tensor, pool: Pool) -> Tensor:
    """A map whose mean over positions is the pooled vector."""
    if pool == "avg":
        return map_NDHW
    flat_NDT = map_NDHW.flatten(2)
    strongest_ND1 = flat_NDT.argmax(2, keepdim=True)
    peaks_NDT = torch.zeros_like(flat_NDT).scatter_(
        2, strongest_ND1, flat_NDT.gather(2, strongest_ND1) * flat_NDT.shape[2]
    )
    peaks_NDHW = peaks_NDT.view_as(map_NDHW)
    return peaks_NDHW if pool == "max" else map_NDHW + peaks_NDHW
