import numpy as np
import pytest
import torch
from timm.layers.ml_decoder import MLDecoder as Reference
from torch import nn
from torch.nn import functional as F

from mlc_cli.core.models.heads.ml_decoder import CrossAttention, MLDecoder

CHANNELS = 24
CASES = [(1, None), (7, None), (80, None), (100, None), (101, None), (250, None), (23, 5), (5, 40)]


def feature_map() -> torch.Tensor:
    return torch.randn(3, CHANNELS, 3, 4, generator=torch.Generator().manual_seed(0))


def reference(classes: int, groups: int | None) -> Reference:
    """timm's module; its layer is called directly, as torch's wrapper asks for what it lacks."""
    torch.manual_seed(classes)
    module = Reference(classes, groups or -1, 768, CHANNELS)
    layer = module.decoder.layers[0]

    class Layer(nn.Module):
        def forward(self, queries: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
            return layer(queries, memory)

    module.decoder = Layer()
    module.layer = layer
    nn.init.normal_(module.duplicate_pooling_bias)
    return module.eval()


@torch.no_grad()
def copy_weights(source: Reference, target: MLDecoder) -> None:
    layer = source.layer
    for own, other in (
        (target.embed, source.embed_standart),
        (target.query_norm, layer.norm1),
        (target.attention_norm, layer.norm2),
        (target.ffn_norm, layer.norm3),
        (target.ffn[0], layer.linear1),
        (target.ffn[3], layer.linear2),
        (target.attention.out, layer.multihead_attn.out_proj),
    ):
        own.load_state_dict(other.state_dict())
    weight, bias = layer.multihead_attn.in_proj_weight, layer.multihead_attn.in_proj_bias
    target.attention.query.weight.copy_(weight[:768])
    target.attention.query.bias.copy_(bias[:768])
    target.attention.key_value.weight.copy_(weight[768:])
    target.attention.key_value.bias.copy_(bias[768:])
    target.queries.copy_(source.query_embed.weight)
    target.class_vectors.copy_(source.duplicate_pooling.mT)
    target.class_bias.copy_(source.duplicate_pooling_bias)


@torch.no_grad()
@pytest.mark.parametrize(("classes", "groups"), CASES)
def test_linear_form_equals_that_of_timm(classes: int, groups: int | None) -> None:
    source = reference(classes, groups)
    head = MLDecoder(CHANNELS, classes, groups=groups, scale=2.5).eval()
    copy_weights(source, head)
    found = head(feature_map())
    assert found.shape == (3, classes)
    torch.testing.assert_close(found, 2.5 * source(feature_map()), atol=1e-5, rtol=1e-5)


def literal_decode(head: MLDecoder, features: torch.Tensor, image: int) -> torch.Tensor:
    """Vectors of the groups of one image, G×E, head by head and query by query."""
    dim, width = head.queries.shape[1], head.queries.shape[1] // head.heads
    tokens = F.leaky_relu(head.embed(features[image].flatten(1).T), 0.2)
    keys, values = head.attention.key_value(tokens).split(dim, 1)
    rows = []
    for query in head.query_norm(2 * head.queries):
        asked = head.attention.query(query)
        parts = []
        for start in range(0, dim, width):
            part = slice(start, start + width)
            weights = torch.softmax(keys[:, part] @ asked[part] / width**0.5, 0)
            parts.append(weights @ values[:, part])
        x = head.attention_norm(query + head.attention.out(torch.cat(parts)))
        rows.append(head.ffn_norm(x + head.ffn[3](torch.relu(head.ffn[0](x)))))
    return torch.stack(rows)


@torch.no_grad()
@pytest.mark.parametrize(("classes", "groups"), [(1, None), (7, 3), (12, 4), (130, None)])
@pytest.mark.parametrize("bias", [True, False])
def test_cosine_form_equals_a_loop_over_groups(
    classes: int, groups: int | None, bias: bool
) -> None:
    torch.manual_seed(0)
    head = MLDecoder(
        CHANNELS,
        classes,
        groups=groups,
        dim=32,
        heads=4,
        ffn_dim=48,
        cosine=True,
        bias=bias,
        scale=9.0,
    ).eval()
    if bias:
        nn.init.normal_(head.class_bias)
    members = -(-classes // len(head.queries))
    expected = np.empty((3, classes))
    for image in range(3):
        vectors = literal_decode(head, feature_map(), image)
        for c in range(classes):
            group, member = divmod(c, members)
            pair = vectors[group].double(), head.class_vectors[group, member].double()
            expected[image, c] = 9 * torch.cosine_similarity(*pair, dim=0)
            expected[image, c] += 9 * float(head.class_bias[c]) if bias else 0
    np.testing.assert_allclose(head(feature_map()), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("classes", "groups", "shape"),
    [(1, None, (1, 1)), (80, None, (80, 1)), (101, None, (100, 2)), (500, 7, (7, 72))],
)
def test_groups_are_a_hundred_at_most(
    classes: int, groups: int | None, shape: tuple[int, int]
) -> None:
    head = MLDecoder(8, classes, groups=groups, dim=16, heads=2, ffn_dim=8)
    assert head.class_vectors.shape == (*shape, 16)
    assert head.queries.shape == (shape[0], 16)


def test_queries_are_fixed_but_saved() -> None:
    head = MLDecoder(8, 5, dim=16, heads=2, ffn_dim=8)
    assert not head.queries.requires_grad
    assert "queries" in head.state_dict()


def test_every_learnt_parameter_has_a_gradient() -> None:
    head = MLDecoder(8, 5, groups=3, dim=16, heads=2, ffn_dim=8, cosine=True)
    head(torch.randn(2, 8, 2, 2)).square().sum().backward()
    for name, parameter in head.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_dropout_acts_in_training_alone() -> None:
    head = MLDecoder(CHANNELS, 5, dim=16, heads=2, ffn_dim=8, dropout=0.5)
    head.train()
    assert not torch.equal(head(feature_map()), head(feature_map()))
    head.eval()
    assert torch.equal(head(feature_map()), head(feature_map()))


@torch.no_grad()
def test_images_of_a_batch_do_not_see_each_other() -> None:
    head = MLDecoder(CHANNELS, 5, dim=16, heads=2, ffn_dim=8).eval()
    alone = torch.cat([head(image[None]) for image in feature_map()])
    torch.testing.assert_close(head(feature_map()), alone)


@torch.no_grad()
def test_attention_starts_as_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = CrossAttention(96, 8, 0.1), nn.MultiheadAttention(96, 8)
    stacked = torch.cat([ours.query.weight, ours.key_value.weight])
    assert float(stacked.abs().max()) == pytest.approx(
        float(theirs.in_proj_weight.abs().max()), rel=1e-3
    )
    assert float(stacked.std()) == pytest.approx(float(theirs.in_proj_weight.std()), rel=0.02)
    assert float(ours.out.weight.std()) == pytest.approx(
        float(theirs.out_proj.weight.std()), rel=0.03
    )
    biases = (ours.query.bias, ours.key_value.bias, ours.out.bias)
    assert not any(bias.any() for bias in (*biases, theirs.in_proj_bias, theirs.out_proj.bias))
