"""Channels re-weighted by a graph of labels, then a pooled head.

After ML-GCN (Chen et al. 2019, arXiv 1904.03582) as Prokofiev & Sovrasov 2022 use it: two graph
layers turn the vectors of labels into a vector of D channels each; the sigmoid of their maximum
over the labels weighs the channels of the feature map, for all images alike.

Names of arrays: N images, C classes, D channels, A, B widths of a layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlc_cli.core.models.heads.base import Head
from mlc_cli.core.system.precision import full_precision


@dataclass(frozen=True)
class LabelGraph:
    """Labels as nodes.

    Attributes:
        vectors_CE: Where each label starts; fixed.
        links_CC: Weight of what row i takes from column j, itself included.
        notes: How links were counted, and what was assumed of files.
    """

    vectors_CE: Tensor
    links_CC: Tensor
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, state: Mapping[str, Tensor], prefix: str = "") -> "LabelGraph":
        """The graph of a head, below a prefix."""
        return cls(state[f"{prefix}weights.vectors_CE"], state[f"{prefix}weights.links_CC"])

    @property
    def links(self) -> int:
        """Links between different labels."""
        return int(self.links_CC.count_nonzero()) - len(self.links_CC)


class GraphHead(Head):
    """A pooled head on weighted channels.

    The weights are positive and the same at all positions, so that they can wait until after the
    pooling, be it of averages or maxima. `weights` gives the weight of each of D channels.
    """

    def __init__(self, weights: nn.Module, pooled: Head) -> None:
        super().__init__(1.0)
        self.scale = pooled.scale
        self.weights = weights
        self.pooled = pooled
        self.kind = f"{getattr(weights, 'kind', '')}, {pooled.kind}"

    def reduce(self, map_NDHW: Tensor) -> Tensor:
        """Pooled features, N×D, not weighted yet."""
        return self.pooled.reduce(map_NDHW)

    def set_prior(self, prior_C: Tensor) -> None:
        """Start biases, where there are any, at the logits of the classes' frequencies."""
        self.pooled.set_prior(prior_C)

    def classify(self, reduced: Tensor) -> Tensor:
        """Logits N×C."""
        return self.pooled.classify(reduced * self.weights())

    @torch.no_grad()
    def folded(self) -> "GraphHead":
        """The same with the weights as constants: the graph does not depend on the image."""
        return GraphHead(Constant(self.weights().detach()), self.pooled)


class GraphWeights(nn.Module):
    """Weight of each channel, in 0..1, from the graph of labels by way of two layers."""

    vectors_CE: Tensor
    links_CC: Tensor

    def __init__(self, graph: LabelGraph, first: "GraphLayer", second: "GraphLayer") -> None:
        super().__init__()
        self.register_buffer("vectors_CE", graph.vectors_CE)
        self.register_buffer("links_CC", graph.links_CC)
        self.first = first
        self.second = second
        self.kind = first.kind

    def forward(self) -> Tensor:
        """Weights of D channels, float32."""
        with full_precision(self.vectors_CE.device):
            hidden_CA = self.first(self.vectors_CE, self.links_CC)
            channels_CD: Tensor = self.second(hidden_CA, self.links_CC)
            return channels_CD.amax(0).sigmoid()


class Constant(nn.Module):
    """Gives what it was given."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def forward(self) -> Tensor:  # noqa: D102
        return self.value


class GraphConvolution(nn.Module):
    """LeakyReLU(links · nodes · W) (Kipf & Welling 2017), with a slope of 0.2; from A to B."""

    kind = "GCN"

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_in, width_out))
        nn.init.uniform_(self.weight, -(width_out**-0.5), width_out**-0.5)

    def forward(self, nodes_CA: Tensor, links_CC: Tensor) -> Tensor:
        """Nodes C×B."""
        return F.leaky_relu(links_CC @ (nodes_CA @ self.weight), 0.2)


class GraphAttention(nn.Module):
    """LeakyReLU of the ELU of the neighbours' mean, weighted by attention (Velickovic et al. 2018).

    The attention of node i to its neighbour j is the softmax over neighbours of
    LeakyReLU(a · [W h_i, W h_j]); how strong a link is does not matter. Both slopes are 0.2. The
    outer LeakyReLU is not in the paper on attention: Prokofiev & Sovrasov put one after each layer
    of the graph, whichever kind it is. In training a tenth of the attention is dropped.
    """

    kind = "GAT"

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_in, width_out))
        self.attention = nn.Parameter(torch.empty(width_out, 2))
        self.dropout = nn.Dropout(0.1)
        nn.init.xavier_uniform_(self.weight, gain=2**0.5)
        nn.init.xavier_uniform_(self.attention.view(1, -1), gain=2**0.5)  # one column, as published

    def forward(self, nodes_CA: Tensor, links_CC: Tensor) -> Tensor:
        """Nodes C×B."""
        nodes_CB = nodes_CA @ self.weight
        own_C, other_C = (nodes_CB @ self.attention).unbind(1)
        scores_CC = F.leaky_relu(own_C[:, None] + other_C, 0.2)
        shares_CC = scores_CC.masked_fill(links_CC == 0, -torch.inf).softmax(1)
        return F.leaky_relu(F.elu(self.dropout(shares_CC) @ nodes_CB), 0.2)


GraphLayer = GraphConvolution | GraphAttention


def normalised(weights_CC: Any) -> Any:
    """D^-1/2 A^T D^-1/2 of a graph A, where D are the sums of its rows; of torch or numpy."""
    root_C = weights_CC.sum(1) ** -0.5
    return root_C[:, None] * weights_CC.T * root_C
