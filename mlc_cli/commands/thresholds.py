"""`mlc thresholds`."""

from typing import TYPE_CHECKING

from mlc_cli.commands import flags, screen
from mlc_cli.commands.flags import Flag, Given, settings_command
from mlc_cli.settings.thresholds import ThresholdSettings
from mlc_cli.text import listing, plain, some

if TYPE_CHECKING:
    from mlc_cli.core.evaluation.threshold_result import ThresholdResult

_SHORT = {"precision": "P", "recall": "R", "fpr": "FPR"}


@settings_command(
    ThresholdSettings,
    "thresholds",
    *flags.ANY_MODEL,
    *flags.VIEWS,
    Flag("scores", flags.MODEL),
    *flags.IMAGES,
    Flag("objective", flags.RESULT),
    Flag("band", flags.RESULT, metavar="FLOOR,FLOOR"),
    Flag("cost", flags.RESULT, metavar="fn=A,fp=B"),
    Flag("jointly", flags.RESULT),
    Flag("folds", flags.RESULT),
    flags.SLICES,
    flags.STRICT,
    *flags.WHERE,
)
def thresholds(given: Given[ThresholdSettings], *, as_json: flags.Json = False) -> None:
    """Example: mlc thresholds --objective 'precision>=0.9'"""
    settings = given.settings()
    from mlc_cli.core.evaluation.threshold_result import as_dict
    from mlc_cli.core.html.words import count
    from mlc_cli.errors import GateMissed
    from mlc_cli.jobs.thresholds import estimate_thresholds

    result = estimate_thresholds(settings)
    images, of = len(result.scores.paths), f" of {result.split}" if result.split else ""
    wanted = settings.band or result.objective
    screen.note(f"{result.source}: {count(images, 'image')}{of}, for {wanted}")
    screen.warn(result.warning)
    if as_json:
        screen.result_json(as_dict(result))
    else:
        _show(result)
    _warn(result)
    where = "in the checkpoint and " if result.stored else ""
    screen.note(f"written {where}to {result.folder}/thresholds.npy and thresholds.json")
    if settings.strict and result.unpromised:
        raise GateMissed(
            f"--strict: a promise cannot be made for {len(result.unpromised)} of"
            f" {len(result.scores.classes)} classes"
        )


def _warn(result: "ThresholdResult") -> None:
    for name in result.overfitted:
        screen.warn(
            f"out of fold the {name} is worse than at 0.5: there are too few images to choose"
            " thresholds on"
        )
    for floor in result.floors:
        missed = result.below(floor)
        screen.note(f"{floor} is an estimate; with a confidence it is promised: '{floor}@95%'")
        if missed:
            screen.warn(
                f"on images that thresholds were not chosen on {len(missed)} of"
                f" {len(result.scores.classes)} classes miss {floor}: {some(missed)}"
            )
    names, unpromised = result.scores.classes, result.unpromised
    if unpromised:
        listed = [f"{name}: {why}" for name, why in unpromised.items()]
        screen.warn(
            f"{len(unpromised)} of {len(names)} classes get no promise; their threshold is the"
            f" cautious one, 0 (always) or 1 (never):\n{listing(listed)}"
        )


def _show(result: "ThresholdResult") -> None:
    from mlc_cli.core.evaluation.threshold_result import class_rows

    keys = {"threshold": "threshold", "P": "precision", "R": "recall", "F1": "F1"}
    keys["F1 at 0.5"] = "F1_at_0.5"
    outside = {f"{_SHORT[f.measure]} out of fold": f.measure for f in result.floors}
    outside = outside if result.out_of_fold else {}
    if result.lower_C is not None:
        keys |= {"lower threshold": "lower_threshold", "unsure": "unsure"}
    rows = [
        (
            row["class"] + "  (not promised)" * bool(row["not_promised"]),
            *(screen.cell(row[key]) for key in keys.values()),
            *(screen.cell(row["out_of_fold"][key]) for key in outside.values()),
            str(row["positives"]),
        )
        for row in screen.extremes(class_rows(result), "F1", "thresholds.json")
    ]
    screen.table(("class", *keys, *outside, "positives"), rows)
    screen.summary_table({at.replace("_", " "): made for at, made in result.decisions.items()})
    if result.aim.measured and result.objective != "f1":
        values = ", ".join(
            f"{value:.4f} {name.replace('_', ' ')}" for name, value in result.attained.items()
        )
        screen.result(f"{result.aim.measured}: {values}")
    pulled = (
        "; those of the classes are pulled towards it with a strength of"
        f" {result.shrinkage:g} positives"
    )
    overall = f"threshold for all classes together: {result.overall:.4f}"
    screen.result(overall + pulled * bool(result.shrinkage))
    if result.unsure_C is not None:
        screen.result(f"a person looks at {result.unsure_C.mean():.1%} of all decisions")
    names = result.scores.classes
    for c, reason in list(result.thresholds.fallbacks.items())[:20]:
        screen.result(f"{plain(str(names[c]))} takes the threshold for all classes: {reason}")
    screen.show_slices(result.slices, "thresholds.json")
