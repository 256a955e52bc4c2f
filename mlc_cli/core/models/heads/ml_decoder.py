"""ML-Decoder (Ridnik et al. 2021, arXiv 2111.12933) with linear or cosine groups.

Queries are fixed random vectors, one for each group of classes. They attend once to all
positions; each group's vector is then compared with the vectors of its classes.

Names of arrays: N images, T positions, D channels, G groups, E width, M classes of a group.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlc_cli.core.models.heads.base import Head, cosine

MOST_GROUPS = 100


def decoder_kind(attention_heads: int, *, cosine: bool) -> str:
    """What an ML-Decoder is apart from its sizes, in words."""
    return f"{'cosine' if cosine else 'linear'} ML-Decoder of {attention_heads} attention heads"


class MLDecoder(Head):
    """Cross-attention of G group queries over the positions of a feature map, in a width of `dim`.

    The settings of the head say what the arguments mean; biases come before the scale.
    """

    def __init__(  # noqa: PLR0913 - one argument for each setting
        self,
        channels: int,
        classes: int,
        *,
        groups: int | None = None,
        dim: int = 768,
        heads: int = 8,
        ffn_dim: int = 2048,
        dropout: float = 0.1,
        cosine: bool = False,
        bias: bool = True,
        scale: float = 1.0,
    ) -> None:
        super().__init__(scale)
        groups = min(groups or MOST_GROUPS, classes)
        self.classes = classes
        self.heads = heads
        self.kind = decoder_kind(heads, cosine=cosine)
        self.use_cosine = cosine
        self.embed = nn.Linear(channels, dim)
        self.activation = nn.LeakyReLU(0.2) if cosine else nn.ReLU()
        self.queries = nn.Parameter(torch.randn(groups, dim), requires_grad=False)
        self.query_dropout = nn.Dropout(dropout)
        self.query_norm = nn.LayerNorm(dim)
        self.attention = CrossAttention(dim, heads, dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.ffn = nn.Sequential(
            nn.Linear(dim, ffn_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(ffn_dim, dim),
            nn.Dropout(dropout),
        )
        self.ffn_norm = nn.LayerNorm(dim)
        self.class_vectors = nn.Parameter(torch.empty(groups, -(-classes // groups), dim))
        nn.init.xavier_normal_(self.class_vectors.mT)
        self.class_bias = nn.Parameter(torch.zeros(classes)) if bias else None

    def reduce(self, map_NDHW: Tensor) -> Tensor:
        """The whole map: the decoder needs every position."""
        return map_NDHW

    @torch.no_grad()
    def set_prior(self, prior_C: Tensor) -> None:
        """Start biases at the logits of the classes' frequencies."""
        if self.class_bias is not None:
            self.class_bias.copy_(prior_C.logit() / self.scale)

    def classify(self, reduced: Tensor) -> Tensor:
        """Logits N×C."""
        groups_GNE = self.decode(reduced).transpose(0, 1)  # one batched product for all groups
        if self.use_cosine:
            similar_GNM = cosine(groups_GNE, self.class_vectors)
        else:
            similar_GNM = groups_GNE @ self.class_vectors.mT
        logits_NC = similar_GNM.transpose(0, 1).flatten(1)[:, : self.classes]
        if self.class_bias is not None:
            logits_NC = logits_NC + self.class_bias
        return logits_NC * self.scale

    def decode(self, map_NDHW: Tensor) -> Tensor:
        """Vector of each group, N×G×E.

        The queries are the same for all images up to the attention, so that they are dropped
        out, normalised and projected once for the batch.
        """
        queries_GE, tokens_NTE = self._queries_and_tokens(map_NDHW)
        attended = self.attention_norm(queries_GE + self.attention(queries_GE, tokens_NTE))
        vectors: Tensor = self.ffn_norm(attended + self.ffn(attended))
        return vectors

    def attention_maps(self, map_NDHW: Tensor) -> Tensor:
        """Where the query of each group looks, N×G×H×W; the sum over positions is one."""
        weights_NGT = self.attention.weights(*self._queries_and_tokens(map_NDHW))
        return weights_NGT.view(*weights_NGT.shape[:2], *map_NDHW.shape[2:])

    def group_of(self, class_index: int) -> int:
        """The group that decides on a class."""
        return class_index // self.class_vectors.shape[1]

    def _queries_and_tokens(self, map_NDHW: Tensor) -> tuple[Tensor, Tensor]:
        """Both as they enter the attention: G×E, N×T×E."""
        queries_GE = self.query_norm(self.queries + self.query_dropout(self.queries))
        return queries_GE, self.activation(self.embed(map_NDHW.flatten(2).mT))


class CrossAttention(nn.Module):
    """Multi-head attention of queries that all images share.

    `heads` must divide `dim`; dropout is on the attention weights and on the result.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.dropout = dropout
        for layer in (self.query, self.key_value):  # as torch's attention: Xavier of all three
            nn.init.uniform_(layer.weight, -((1.5 / dim) ** 0.5), (1.5 / dim) ** 0.5)
        for layer in (self.query, self.key_value, self.out):
            nn.init.zeros_(layer.bias)

    def forward(self, queries_GE: Tensor, tokens_NTE: Tensor) -> Tensor:
        """Attended values, N×G×E."""
        images, positions, dim = tokens_NTE.shape
        groups, width = len(queries_GE), dim // self.heads
        query = self.query(queries_GE).view(groups, self.heads, width).transpose(0, 1)
        key, value = (
            self.key_value(tokens_NTE)
            .view(images, positions, 2, self.heads, width)
            .permute(2, 0, 3, 1, 4)
        )
        dropout = self.dropout if self.training else 0.0
        query = query.expand(images, -1, -1, -1)
        attended = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        merged = attended.transpose(1, 2).reshape(images, groups, dim)
        return F.dropout(self.out(merged), self.dropout, self.training)

    def weights(self, queries_GE: Tensor, tokens_NTE: Tensor) -> Tensor:
        """Attention of each query to each position, the mean over the heads: N×G×T."""
        images, positions, dim = tokens_NTE.shape
        width = dim // self.heads
        query_HGE = self.query(queries_GE).view(-1, self.heads, width).transpose(0, 1)
        key_NTE = self.key_value(tokens_NTE)[..., :dim]
        key_NHTE = key_NTE.reshape(images, positions, self.heads, width).transpose(1, 2)
        similar_NHGT: Tensor = query_HGE @ key_NHTE.mT / width**0.5
        return similar_NHGT.softmax(-1).mean(1)
