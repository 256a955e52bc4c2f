"""Settings of the model: backbone, weights and head."""

from typing import Annotated, Literal

from pydantic import Field

from mlc_cli.settings.base import Count, Mean, Positive, Probability, Settings, Std

Pool = Literal["avg", "max", "avgmax"]
Scale = Positive | Literal["auto"]


class PooledHeadSettings(Settings):
    """What heads on pooled features share."""

    pool: Pool = "avg"
    """Pooling over positions: average, maximum, or the sum of both."""
    dropout: Probability = 0.0
    """Part of the pooled features that are dropped in training."""
    scale: Scale = 1.0
    """Factor on the logits; `auto` derives it from the number of classes."""


class LinearHeadSettings(PooledHeadSettings):
    """Pooling and one linear layer."""

    name: Literal["linear"] = "linear"


class CosineHeadSettings(PooledHeadSettings):
    """Pooling and the cosine between features and class vectors."""

    name: Literal["cosine"] = "cosine"
    scale: Scale = "auto"
    """Factor from cosine to logit; `auto` derives it from the number of classes."""


class MLDecoderHeadSettings(Settings):
    """Cross-attention of group queries over positions (Ridnik et al. 2021)."""

    name: Literal["ml_decoder"] = "ml_decoder"
    cosine: bool = False
    """Compare by cosine, as for the AAM loss, rather than by a linear product."""
    scale: Scale = 1.0
    """Factor on the logits; `auto` derives it from the number of classes."""
    bias: bool = True
    """Add a learnt bias to each class."""
    groups: Count | None = None
    """Queries; by default one for each class, at most 100."""
    dim: Count = 768
    """Width of the decoder."""
    heads: Count = 8
    """Attention heads; must divide `dim`."""
    ffn_dim: Count = 2048
    """Width of the hidden layer in the feed-forward part."""
    dropout: Probability = 0.1
    """Dropout inside the decoder."""


class GraphHeadSettings(PooledHeadSettings):
    """Channels weighted by a graph of labels (Chen et al. 2019), then as linear or cosine."""

    name: Literal["graph"] = "graph"
    layer: Literal["gcn", "gat"] = "gcn"
    """Graph convolution, or graph attention."""
    hidden: Count | None = None
    """Width between the two graph layers; by default the channels of the backbone."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Part of the training images of a label from which another that is there too is linked."""
    neighbours: Probability = 0.25
    """What the links into a label weigh together, against 1 for itself."""
    adjacency: str | None = None
    """File (`.npy`, C×C) of how often label j is there where label i is, in row i, in place of
    counting the training images; a `.txt` of the same name lists its classes, one a line."""
    vectors: str | None = None
    """Vectors of the labels: word vectors as text (GloVe, fastText), an `.npz` with an array for
    each label, or an `.npy` in sorted order; by default how often the labels come together."""
    cosine: bool = False
    """Compare by cosine, as for the AAM loss, rather than by a linear product."""


HeadSettings = Annotated[
    LinearHeadSettings | CosineHeadSettings | MLDecoderHeadSettings | GraphHeadSettings,
    Field(discriminator="name"),
]


class ModelSettings(Settings):
    """Backbone, its weights, and the head."""

    backbone: str = "tf_efficientnetv2_s.in21k"
    """Any model name of timm, with its weights tag."""
    pretrained: bool = True
    """Start from timm's weights, fetched from the hub; `weights` takes precedence."""
    weights: str | None = None
    """Start from this `.safetensors`, `.pth` or `.pth.tar-N` file, or from an address with
    `weights_sha256` or `download.trust`. Checkpoints of mlc, deep-object-reid and ML_Decoder
    bring their head."""
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")] | None = None
    """Checksum of the file behind an address."""
    weight_classes: str | None = None
    """Classes of `weights`, in the order of its logits, where the file does not name them: a text
    file with a name a line, a `.json` file with a list, or a known list."""
    on_class_change: Literal["keep", "error", "reset_head"] = "keep"
    """What to do when `weights` is a checkpoint for other classes: keep what the head knows of the
    classes that stay, by name; refuse it; or train a new head."""
    head: HeadSettings = LinearHeadSettings()
    mean: Mean | None = None
    """Mean of RGB in 0..1, subtracted from images; by default the backbone's own."""
    std: Std | None = None
    """Standard deviation of RGB in 0..1; by default the backbone's own."""
    drop_path: Probability = 0.0
    """Stochastic depth of the backbone, where it has any."""
    freeze_bn: bool = False
    """Keep the running statistics of batch normalisation as loaded."""
    freeze_stages: Annotated[int, Field(ge=0)] = 0
    """Leading stages of the backbone that stay as loaded, stem first."""
