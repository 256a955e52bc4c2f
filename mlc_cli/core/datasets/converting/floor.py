"""What a conversion must not lose without a word."""

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.converting.collect import Findings
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

SHARE = 0.1
"""What may be dropped of the images, rows or labels before a warning says so."""
_IMAGES = ("images", "rows", "tasks", "frames", "names")


def check_floor(annotation: Annotation, findings: Findings) -> None:
    """Refuse a result without any label where the source had some.

    Raises:
        DataError: All labels were dropped; names the most frequent reason.
    """
    dropped = findings.dropped.counts
    if dropped and not annotation.positives.sizes_N().any():
        kind = max(dropped, key=lambda name: dropped[name])
        raise DataError(
            f"{annotation.source}: has labels, but none of them would be left."
            f" {findings.dropped.lines()}",
            f"The likely cause: {kind}.",
        )


def large_losses(dropped: IssueLog, images: int, labels: int) -> str:
    """One line on what lost more than a tenth; empty if nothing did."""
    parts = []
    for kind, count in dropped.counts.items():
        whole = count + (images if kind.startswith(_IMAGES) else labels)
        if count > SHARE * whole:
            parts.append(f"{count} {kind} ({count / whole:.0%})")
    return f"warning: much was dropped: {'; '.join(parts)}" if parts else ""
