"""Settings that commands which run a model have in common."""

from typing import Annotated, Literal

from pydantic import Field

from mlc_cli.settings.base import Count, Settings


class ModelChoiceSettings(Settings):
    """Which model."""

    run: str = "runs/latest"
    """Run folder whose best checkpoint is taken."""
    checkpoint: str | None = None
    """Model file in place of a run's best: a checkpoint, also of deep-object-reid, ML_Decoder or
    ASL, an ONNX file or an OpenVINO IR."""
    like: str | None = None
    """Training preset, or YAML file as for `mlc train --config`, for what a checkpoint of another
    system does not say: backbone, head, scale, pixels and their normalisation."""
    weight_classes: str | None = None
    """Classes of such a checkpoint, in the order of its logits, where it does not name them: a text
    file with a name a line, a `.json` file with a list, or a known list."""


class SplitChoiceSettings(Settings):
    """Which images, and where results go."""

    data: str | None = None
    """Folder of the data set; by default the one that the checkpoint was trained on."""
    split: str = "val"
    """`train`, `val`, `test`, or the name of an annotation file in the data folder."""
    output: str | None = None
    """Folder for the results; by default the folder of the checkpoint."""
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Processes that read images."""
    on_bad_image: Literal["error", "skip"] = "error"
    """Stop at an image that cannot be read, or name it, count it and go on without it."""
    on_damaged: Literal["warn", "error", "skip"] = "warn"
    """`warn` uses a picture with a hole in its data, grey or shifted from there on, and names it;
    `error` stops at it, `skip` leaves it out."""


class CheckpointSettings(ModelChoiceSettings):
    """Which model, and how it is run."""

    batch_size: Count = 64
    """Images a batch."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`; for an IR any device of OpenVINO."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of the forward pass."""
    matmul: Literal["highest", "high"] = "high"
    """Convolutions and products of a checkpoint in fp32 on a GPU: `high` allows TF32."""
    tta: Literal["none", "flip"] = "none"
    """`flip` runs the model on each picture and on its mirror image, and takes the mean of both
    logits: twice the time."""
    tiles: Annotated[int, Field(ge=0, le=16)] = 0
    """Cut each picture into N by N tiles that overlap by half, and take the largest probability of
    the tiles and the whole, for what is small in large pictures. 0 and 1 leave it whole."""


class ScoringSettings(CheckpointSettings, SplitChoiceSettings):
    """A model over a split."""


class SlicedSettings(ScoringSettings):
    """A model over a split and over groups of its images."""

    slices: tuple[str, ...] = ()
    """Measure groups of images apart, by a column that `mlc dataset-convert --keep-columns` kept,
    by `folder`, by `camera` (EXIF) or by `size`. Several give several tables."""
