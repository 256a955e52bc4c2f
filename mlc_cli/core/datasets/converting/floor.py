"""What a conversion must not lose without a word."""

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.converting.collect import Findings
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

SHARE = 0.1
"""What may be dropped of the images, rows or labels before a warning says so."""
_IMAGES = ("images", "rows", "tasks", "frames", "names")


def check_floor(annotation: Annotation, findings: Findings) -> None:
    """Refuse a result without any label: nothing can be learnt or measured with it.

    Raises:
        DataError: No image has a label; names the most frequent reason to drop some.
    """
    if annotation.positives.sizes_N().any():
        return
    dropped = findings.dropped.counts
    if not dropped:
        raise DataError(
            f"{annotation.source}: none of its {len(annotation)} images has a label",
            "Are the labels in other files, or is it another format? Name it in place of auto.",
        )
    kind = max(dropped, key=lambda name: dropped[name])
    raise DataError(
        f"{annotation.source}: none of the labels would be left. {findings.dropped.lines()}",
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
