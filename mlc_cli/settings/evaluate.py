"""Settings of `mlc eval`."""

from mlc_cli.settings.base import Probability
from mlc_cli.settings.scoring import ScoringSettings


class EvalSettings(ScoringSettings):
    """One evaluation."""

    thresholds: str | None = None
    """File of thresholds, one for each class in sorted order (`.npy`)."""
    min_map: Probability | None = None
    """Exit with code 3 when the mAP is below."""
    guard_formulas: bool = True
    """Put `'` before names in tables that a spreadsheet would take for a formula."""
    report: bool = False
    """Write `report.html` too: one page for people, with curves, mistakes and pictures."""
