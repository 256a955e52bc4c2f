"""A data set looked through: numbers, duplicates and findings."""

from dataclasses import dataclass

from mlc_cli.core.datasets.inspection.collection import Collection
from mlc_cli.core.datasets.inspection.duplicates import Duplicates, find_duplicates
from mlc_cli.core.datasets.inspection.image_checks import duplicate_checks, image_checks
from mlc_cli.core.datasets.inspection.issues import SEVERITIES, Finding, Severity, ordered
from mlc_cli.core.datasets.inspection.label_checks import label_checks
from mlc_cli.core.datasets.inspection.scan import Files
from mlc_cli.core.datasets.inspection.statistics import Statistics, count


@dataclass(frozen=True)
class Inspection:
    """All that is known of a data set; findings come worst first.

    Files and duplicates are `None` where no file was opened.
    """

    collection: Collection
    statistics: Statistics
    files: Files | None
    duplicates: Duplicates | None
    findings: tuple[Finding, ...]

    def number_of(self, severity: Severity) -> int:
        """Findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def passed(self) -> bool:
        """Whether there is neither an error nor a warning."""
        return not self.number_of("error") and not self.number_of("warning")

    @property
    def verdict(self) -> str:
        """How many findings there are of each severity, in words."""
        return ", ".join(
            f"{number} {severity}{'' if number == 1 else 's'}"
            for severity in SEVERITIES
            for number in [self.number_of(severity)]
        )


def inspect(collection: Collection, files: Files | None, near: int) -> Inspection:
    """Examine a data set, its files only if they were scanned.

    `near` is the number of bits of 64 in which hashes of nearly equal pictures differ at most.
    """
    statistics = count(collection)
    findings = list(label_checks(collection, statistics))
    duplicates = None
    if files is not None:
        duplicates = find_duplicates(collection, files, near)
        findings += image_checks(collection, files)
        findings += duplicate_checks(collection, duplicates)
    return Inspection(collection, statistics, files, duplicates, ordered(findings))
