"""Settings of `mlc calibrate`."""

from typing import Annotated, Literal

from pydantic import Field

from mlc_cli.settings.scoring import ScoringSettings


class CalibrateSettings(ScoringSettings):
    """One calibration."""

    method: Literal["auto", "platt", "temperature"] = "auto"
    """`platt` fits scale and bias of the logits of each class, `temperature` one scale for all;
    `auto` takes what has the lowest log loss out of fold, or leaves probabilities as they are."""
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    """Parts of the split: each is judged by what the others give."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the parts and of the intervals."""
