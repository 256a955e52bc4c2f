"""Settings of `mlc eval`."""

from pydantic import model_validator

from mlc_cli.settings.base import Probability
from mlc_cli.settings.scoring import SlicedSettings


class EvalSettings(SlicedSettings):
    """One evaluation."""

    thresholds: str | None = None
    """File of thresholds, one for each class in sorted order (`.npy`)."""
    min_map: Probability | None = None
    """Exit with code 3 when the mAP is below."""
    min_slice_map: Probability | None = None
    """Exit with code 3 when the mAP of the worst slice is below; slices of fewer than 20 images
    are only named."""
    guard_formulas: bool = True
    """Put `'` before names in tables that a spreadsheet would take for a formula."""
    report: bool = False
    """Write `report.html` too: one page for people, with curves, mistakes and pictures."""

    @model_validator(mode="after")
    def _a_gate_has_slices(self) -> "EvalSettings":
        if self.min_slice_map is not None and not self.slices:
            raise ValueError("min_slice_map is a gate for slices: name some with --slices")
        return self
