"""Settings of `mlc thresholds`."""

from typing import Annotated, Literal

from pydantic import Field

from mlc_cli.settings.base import Count, NotNegative
from mlc_cli.settings.scoring import SlicedSettings


class ThresholdSettings(SlicedSettings):
    """One estimation of thresholds."""

    scores: str | None = None
    """Saved scores (`scores.npz` of `mlc eval`) in place of a model; no checkpoint is changed."""
    objective: str = "f1"
    """What to maximise, and floors to keep, joined by `;`: `f1`, `fbeta=B`, `precision>=P`,
    `recall>=R` or `fpr<=F`. A floor alone is an estimate; `recall>=0.9@95%` promises it, for other
    images of the same source, with a confidence of 95 %."""
    band: str | None = None
    """Two thresholds a class in place of an objective, and a person looks at what is between: a
    floor of precision for what is present, and one of recall, below which a class is absent, such
    as `precision>=0.95@95%,recall>=0.95@95%`."""
    cost: str | None = None
    """What errors cost, in place of an objective: `fn=5,fp=1` where a missed label costs as much as
    five wrong ones; `cat:fn=10` for one class. Thresholds make the sum least."""
    jointly: bool = False
    """Promise for all classes at once, in place of each by itself."""
    strict: bool = False
    """Exit with code 3 if a promise cannot be made for a class."""
    min_positives: Count = 5
    """A class with fewer positives takes the threshold that is best for all classes together."""
    shrinkage: NotNegative | Literal["auto"] = "auto"
    """Pull towards that threshold, in positives: a class with as many goes half of the way.
    `auto` takes what does best out of fold for `f1` and `fbeta`, and is 0 with a floor."""
    folds: Annotated[int, Field(ge=0, le=100)] = 5
    """Parts for the estimate on images that thresholds were not chosen on; 0 leaves it out."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the parts."""
