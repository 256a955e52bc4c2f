"""`mlc dataset-check`."""

from typing import TYPE_CHECKING

from mlc_cli.commands import flags, progress, screen
from mlc_cli.commands.flags import Flag, Given, settings_command
from mlc_cli.settings.check import CheckSettings
from mlc_cli.text import plain

if TYPE_CHECKING:
    from mlc_cli.core.datasets.inspection.inspect import Inspection
    from mlc_cli.core.datasets.inspection.issues import Finding
    from mlc_cli.core.datasets.inspection.statistics import Statistics
    from mlc_cli.jobs.check import Cleaned

MOST_CLASSES = 100
SHOWN_PAIRS = 8


@settings_command(
    CheckSettings,
    "dataset-check",
    Flag("data", metavar="DATA", argument=True),
    Flag("images", flags.DATA, ("--images/--no-images",)),
    Flag("near", flags.DATA),
    Flag("html", flags.RESULT, metavar="FILE.html"),
    Flag("fix", flags.RESULT, metavar="DEST"),
    flags.STRICT,
)
def dataset_check(given: Given[CheckSettings], *, as_json: flags.Json = False) -> None:
    """Example: mlc dataset-check datasets/mine --html mine.html"""
    settings = given.settings()
    from mlc_cli.core.datasets.inspection.summary import as_dict
    from mlc_cli.errors import GateMissed
    from mlc_cli.jobs import check as job

    with progress.ImagesBar() as bar:
        inspection = job.check(settings, bar)
    if as_json:
        screen.result_json(as_dict(inspection))
    else:
        _show(inspection)
    collection = inspection.collection
    screen.note(f"{collection.source}: {len(collection):,} images, {inspection.verdict}")
    if settings.html:
        screen.note(f"page: {settings.html}")
    if settings.fix:
        with progress.ImagesBar() as bar:
            cleaned = job.clean(settings, inspection, bar)
        _tell(cleaned, settings.fix)
    if settings.strict and not inspection.passed:
        raise GateMissed(f"--strict: {inspection.verdict}")


def _show(inspection: "Inspection") -> None:
    statistics = inspection.statistics
    if statistics.splits:
        _show_splits(statistics)
        _show_classes(statistics)
        _show_together(statistics)
    if inspection.files is not None:
        _show_files(inspection)
    screen.result("")
    for finding in inspection.findings:
        _show_finding(finding)


def _show_splits(statistics: "Statistics") -> None:
    from mlc_cli.core.datasets.counts import MOST_LABELS

    screen.show_splits(statistics.splits)
    splits = statistics.splits.values()
    used = range(1 + max(n for split in splits for n in range(MOST_LABELS + 1)
                         if split.histogram[n]))  # fmt: skip
    screen.table(
        ("images by labels", *(f"{n}+" if n == MOST_LABELS else str(n) for n in used)),
        [
            (name, *(f"{split.histogram[n]:,}" for n in used))
            for name, split in statistics.splits.items()
        ],
    )


def _show_classes(statistics: "Statistics") -> None:
    order = (-statistics.positives_C).argsort(kind="stable").tolist()
    shown = order
    if len(order) > MOST_CLASSES:
        shown = order[: MOST_CLASSES // 2] + order[-MOST_CLASSES // 2 :]
    splits = list(statistics.splits)
    screen.table(
        ("class", *splits, *(f"share of {name}" for name in splits)),
        [
            (
                str(statistics.classes[c]),
                *(f"{number:,}" for number in statistics.positives_SC[:, c].tolist()),
                *(f"{share:.1%}" for share in statistics.shares_SC[:, c].tolist()),
            )
            for c in shown
        ],
    )
    if len(shown) < len(order):
        screen.result(
            f"{len(order):,} classes, of which the most and the least frequent are shown;"
            " --json and --html have all"
        )
    imbalance = statistics.imbalance()
    if imbalance is not None:
        screen.result(f"most to least frequent class: {imbalance:,.1f} : 1")


def _show_together(statistics: "Statistics") -> None:
    names = statistics.classes
    pairs = [(names[pair.first], names[pair.second], pair) for pair in statistics.pairs()]
    columns = {
        "of the images with": "{0[0]}",
        "so many have": "{0[1]}",
        "share": "{0[2].share:.0%}",
        "images": "{0[2].images:,}",
        "lift": "{0[2].lift:.1f}",
    }
    if pairs:
        screen.records(columns, pairs[:SHOWN_PAIRS], texts=2)


def _show_files(inspection: "Inspection") -> None:
    from mlc_cli.core.datasets.inspection.summary import file_facts, span_words

    assert inspection.files is not None
    facts = file_facts(inspection.files)
    forms = ", ".join(f"{form} {number:,}" for form, number in facts["formats"].items())
    kinds = (
        f"{facts[key]:,} {words}"
        for key, words in (("grey", "grey"), ("transparent", "with transparency"),
                           ("turned_by_exif", "turned by EXIF"))
        if facts[key]
    )  # fmt: skip
    screen.result(
        f"{facts['readable']:,} of {len(inspection.collection):,} image files can be read:"
        f" {', '.join([forms or 'none', *kinds])}"
    )
    for key in ("width", "height", "aspect"):
        if key in facts:
            screen.result(f"{key:<7}{span_words(facts[key], 2 if key == 'aspect' else 0)}")


def _show_finding(finding: "Finding") -> None:
    first, *rest = finding.message.splitlines()
    screen.result(f"{finding.severity:<8} {first}")
    lines = [*rest, *(f"  {plain(example)}" for example in finding.examples)]
    if finding.more:
        lines.append(f"  ... and {finding.more:,} more")
    if finding.repair:
        lines.append(f"-> {finding.repair}")
    for line in lines:
        screen.result(f"         {line}")


def _tell(cleaned: "Cleaned", folder: str) -> None:
    screen.note(f"cleaned copy of {cleaned.images:,} images written to {folder}")
    screen.note(cleaned.left_out.lines() or "nothing was left out")
    if cleaned.completed:
        screen.note(f"{cleaned.completed:,} images got labels that theirs imply")
    if cleaned.joined:
        screen.note(f"{cleaned.joined:,} images have the labels of their copies, too")
    if cleaned.contradicting:
        screen.note(f"{cleaned.contradicting:,} groups of copies stay, as their labels contradict")
