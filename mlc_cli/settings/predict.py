"""Settings of `mlc predict`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlc_cli.settings.base import Count, Positive
from mlc_cli.settings.scoring import CheckpointSettings


class PredictSettings(CheckpointSettings):
    """Which images, what is decided on them, and how it is written."""

    sources: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        json_schema_extra={"flag": "SOURCE"}
    )
    """Images, folders, patterns, videos, `.txt` lists of paths, or `-` for standard input."""
    every: Count = 30
    """Take every n-th frame of a video."""
    videos: bool = False
    """Take the videos of folders, too."""
    thresholds: str | float | None = None
    """Thresholds in place of the checkpoint's: a file (`.npy`), or one number for all classes."""
    topk: Count | None = None
    """List only so many probabilities of an image, the largest; decisions do not change."""
    format: Literal["jsonl", "json", "csv", "onehot", "parquet"] = "jsonl"
    """How predictions are written; `parquet` by the engine `ray` alone."""
    guard_formulas: bool = True
    """Put `'` before texts in CSV that a spreadsheet would take for a formula."""
    output: str | None = None
    """File that predictions are written to, in place of standard output; of the engine `ray` a
    folder, for parts and a manifest of those that are done. Called again, it does the others."""
    engine: Literal["local", "ray"] = "local"
    """`ray` shares the images out to the machines of a Ray cluster, which see the same disk."""
    address: str | None = None
    """Of the cluster: `auto` for the one of this machine, or HOST:PORT; without it one is started
    on this machine, and ends with the command."""
    resume: bool = False
    """Continue the file at `output` behind its last complete record."""
    draw: str | None = None
    """Folder for copies of the pictures with their labels on them."""
    gallery: str | None = None
    """HTML file to look through the predictions."""
    explain: bool = False
    """Add a heat map for each predicted label to the drawn pictures and the gallery."""
    strict: bool = False
    """Exit with code 3 if an image could not be read."""
    on_damaged: Literal["warn", "error", "skip"] = "warn"
    """`warn` predicts a picture with a hole in its data, grey or shifted from there on, and names
    it; `error` stops at it, `skip` counts it among those that cannot be read."""
    batch_size: Count = 32
    """Images a batch."""
    threads: Count | Literal["auto"] = "auto"
    """Threads that read images."""
    max_megapixels: Positive = 200.0
    """Larger images are refused before they are decoded."""
    draw_side: Annotated[int, Field(ge=64, le=8192)] = 1280
    """Longest side of drawn pictures, in pixels; smaller ones keep their size."""
    gallery_most: Count = 10_000
    """Pictures that the gallery holds; further ones are left out of it."""
    font: str | None = None
    """Font file for the labels, if no known font of the system has their characters."""

    @model_validator(mode="after")
    def _engines_have_outputs_of_their_own(self) -> "PredictSettings":
        if self.engine == "local" and (self.address or self.format == "parquet"):
            raise ValueError("address and format parquet are of the engine ray: add --engine ray")
        alone = ("resume", "draw", "gallery", "explain", "videos")
        found = [f"--{name}" for name in alone if getattr(self, name)]
        if self.engine == "ray" and found:
            raise ValueError(f"the engine ray does not go with {', '.join(found)}")
        if self.engine == "ray" and (not self.output or ":/" in self.output):
            raise ValueError("the engine ray needs --output, a folder that all machines see")
        return self
