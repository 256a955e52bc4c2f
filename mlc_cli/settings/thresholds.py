"""Settings of `mlc thresholds`."""

from typing import Annotated, Literal

from pydantic import Field

from mlc_cli.settings.base import Count, NotNegative
from mlc_cli.settings.scoring import ScoringSettings

OBJECTIVE = r"^(f1|fbeta=[0-9.]+|(precision|recall)>=[0-9.]+)$"


class ThresholdSettings(ScoringSettings):
    """One estimation of thresholds."""

    scores: str | None = None
    """Saved scores (`scores.npz` of `mlc eval`) in place of a model; no checkpoint is changed."""
    objective: Annotated[str, Field(pattern=OBJECTIVE)] = "f1"
    """What to maximise: `f1`, `fbeta=B`, `precision>=P` or `recall>=R`."""
    min_positives: Count = 5
    """A class with fewer positives takes the threshold that is best for all classes together."""
    shrinkage: NotNegative | Literal["auto"] = "auto"
    """Pull towards that threshold, in positives: a class with as many goes half of the way.
    `auto` takes what does best out of fold for `f1` and `fbeta`, and is 0 for the others."""
    folds: Annotated[int, Field(ge=0, le=100)] = 5
    """Parts for the estimate on images that thresholds were not chosen on; 0 leaves it out."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the parts."""
