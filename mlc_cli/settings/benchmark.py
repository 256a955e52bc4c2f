"""Settings of `mlc benchmark`."""

from typing import Literal

from mlc_cli.settings.base import Count, Positive
from mlc_cli.settings.scoring import ModelChoiceSettings


class BenchmarkSettings(ModelChoiceSettings):
    """Which models, and how long each is measured."""

    models: tuple[str, ...] = ()
    """Model files; by default the checkpoint and all that is in the folder `export` beside it."""
    batch_size: Count = 64
    """Images that are handed over at once when throughput is measured."""
    seconds: Positive = 5.0
    """Time for each model and measure, spread over the rounds."""
    rounds: Count = 5
    """Models are measured in turns, so often, and the median round counts."""
    device: str = "cpu"
    """`cpu`, `cuda` or `cuda:N`."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic; `auto` leaves it to the device."""
    output: str | None = None
    """JSON file for the result."""
