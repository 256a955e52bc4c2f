"""The top of the report: headline numbers, what stands out, and all summary numbers."""

import math

import numpy as np

from mlc_cli.core.evaluation.bootstrap import Interval
from mlc_cli.core.evaluation.diagnosis import FITTED, HALF
from mlc_cli.core.evaluation.metrics import DecisionMetrics
from mlc_cli.core.evaluation.report.content import Content, span
from mlc_cli.core.html.words import count, value

FEW = 20
MEANINGS = {
    "CP": ("CP", "Mean precision of the labels: what part of the predictions is right."),
    "CR": ("CR", "Mean recall of the labels: what part of what is there is found."),
    "CF1": ("CF1", "CP and CR in one number (harmonic mean). Rare labels count as much as others."),
    "OP": ("OP", "Precision of all decisions together. Frequent labels count most."),
    "OR": ("OR", "Recall of all decisions together."),
    "OF1": ("OF1", "OP and OR in one number (harmonic mean)."),
    "macro_f1": ("macro F1", "Mean of the labels' own F1."),
    "exact_match": ("exact match", "Part of the images with every label right."),
}
HEADLINES = {
    "CF1": "Precision and recall of the labels in one number; rare labels count as much as others.",
    "OF1": "Precision and recall of all decisions in one number; frequent labels count most.",
    "exact_match": "Part of the images with every label right.",
}


def tiles(content: Content) -> str:
    """The four numbers to look at first."""
    evaluation, intervals = content.evaluation, content.diagnosis.intervals
    way = HALF if evaluation.at_thresholds is None else FITTED
    chance = content.chance_C[evaluation.positives_C > 0]
    guess = f" Guessing gives about {chance.mean():.2f}." if len(chance) else ""
    boxes = [
        _tile(
            "mAP",
            evaluation.mean_ap,
            intervals.mean_ap,
            f"How well images with a label are ranked above those without it; 1 is perfect.{guess}",
        )
    ]
    for key, meaning in HEADLINES.items():
        measured = getattr(content.decisions, key)
        ranges = intervals.decisions[way][key]
        title = f'{MEANINGS[key][0]} <small class="soft">{content.at}</small>'
        boxes.append(_tile(title, measured, ranges, meaning))
    return f'<div class="tiles">{"".join(boxes)}</div>'


def _tile(title: str, measured: float, ranges: Interval, meaning: str) -> str:
    between = f'<span class="range">95 %: {span(ranges)}</span>' if span(ranges) else ""
    return (
        f'<div class="tile">{title}<b>{value(measured)}</b>{between}'
        f'<div class="soft">{meaning}</div></div>'
    )


def findings(content: Content) -> str:
    """What stands out, in sentences."""
    sentences = [
        *_about_thresholds(content),
        *_about_classes(content),
        *_about_pairs(content),
        *_about_probabilities(content),
        *_about_labels(content),
    ]
    items = "".join(f"<li>{sentence}</li>" for sentence in sentences)
    return f'<h2 id="findings">What stands out</h2><ul>{items}</ul>' if items else ""


def _about_thresholds(content: Content) -> list[str]:
    fitted, half = content.evaluation.at_thresholds, content.evaluation.at_half
    if fitted is None:
        return [
            "No thresholds were chosen yet: every label is decided at 0.5, which is rarely best."
            " <code>mlc thresholds</code> chooses one for each label."
        ]
    gain = fitted.CF1 - half.CF1
    if not math.isfinite(gain):
        return []
    verb = "raise" if gain > 0 else "lower" if gain < 0 else "leave"
    change = f"from {half.CF1:.3f} to {fitted.CF1:.3f}" if gain else f"at {half.CF1:.3f}"
    sentence = f"The thresholds {verb} CF1 {change}, compared with deciding at 0.5."
    unseen = content.out_of_fold.get("CF1")
    if unseen is None:
        return [sentence]
    honest = (
        f" They were chosen on these very images; on images left out of the choice CF1 is"
        f" {unseen:.3f}"
    )
    lost = ", worse than at 0.5: too few images to choose on." if unseen < half.CF1 else "."
    return [sentence + honest + lost]


def _about_classes(content: Content) -> list[str]:
    evaluation = content.evaluation
    defined = [c for c in content.by_ap() if math.isfinite(evaluation.ap_C[c])]
    sentences = []
    if len(defined) > 3:
        weakest = ", ".join(f"{content.name(c)} ({evaluation.ap_C[c]:.3f})" for c in defined[:3])
        sentences.append(f"Weakest labels by AP: {weakest}.")
    rare = [c for c in defined if evaluation.positives_C[c] < FEW]
    if rare:
        shown = ", ".join(content.name(c) for c in rare[:5]) + (", ..." if len(rare) > 5 else "")
        sentences.append(
            f"{count(len(rare), 'label has', 'labels have')} fewer than {FEW} positive images"
            f" ({shown}). Such numbers may be off by far: see the intervals."
        )
    empty = len(evaluation.empty_classes)
    if empty:
        sentences.append(
            f"{count(empty, 'label is', 'labels are')} on no image here: the means leave"
            f" {'it' if empty == 1 else 'them'} out."
        )
    return sentences


def _about_pairs(content: Content) -> list[str]:
    if not content.diagnosis.pairs:
        return []
    pair = content.diagnosis.pairs[0]
    return [
        f"When {content.name(pair.missed)} is missed, {content.name(pair.extra)} is often wrongly"
        f" predicted: in {pair.count} of {count(pair.missed_total, 'image')}."
    ]


def _about_probabilities(content: Content) -> list[str]:
    """Compare the mean of confident probabilities with how often they are right."""
    scores, targets = content.scores.probabilities_NC, content.scores.targets_NC
    sure = (scores >= 0.5) & (targets >= 0)
    number = int(np.count_nonzero(sure))
    if number < 50:
        return []
    said = float(scores[sure].mean(dtype=np.float64))
    right = float((targets[sure] == 1).mean())
    if abs(said - right) < 0.02:
        return [
            f"Probabilities of 0.5 and more can be trusted: {said:.2f} said, {right:.2f} right."
        ]
    kind = "too sure of itself" if said > right else "too modest"
    return [
        f"The model is {kind}: where it says 0.5 or more, it says {said:.2f} on average and is"
        f" right in {right:.2f} of the cases."
    ]


def _about_labels(content: Content) -> list[str]:
    suspects, evaluation = content.diagnosis.suspects, content.evaluation
    total = suspects.missing_total + suspects.wrong_total
    known = int(np.count_nonzero(content.scores.targets_NC >= 0))
    sentences = []
    if total:
        sentences.append(
            f"The model strongly contradicts the data in {total:,} of {count(known, 'place')}: some"
            ' labels may be wrong. <a href="#suspects">Look at the clearest</a>.'
        )
    if evaluation.unreadable:
        number = count(len(evaluation.unreadable), "image")
        sentences.append(
            f'{number} could not be read and count nowhere: <a href="#about">which</a>.'
        )
    return sentences


def summary(content: Content) -> str:
    """All summary numbers with their intervals and what they mean."""
    evaluation, intervals = content.evaluation, content.diagnosis.intervals
    ways: list[tuple[str, str, DecisionMetrics]] = [("at 0.5", HALF, evaluation.at_half)]
    if evaluation.at_thresholds is not None:
        ways.append(("at the thresholds", FITTED, evaluation.at_thresholds))
    columns = len(ways) + bool(content.out_of_fold)
    head = "".join(f"<th>{title}</th>" for title, _, _ in ways)
    head += "<th>out of fold</th>" if content.out_of_fold else ""
    rows = [
        f"<tr><td>mAP</td>{_cell(evaluation.mean_ap, intervals.mean_ap, columns)}"
        '<td class="text say small">Mean average precision: the mean of the labels\' AP. Needs no'
        " threshold.</td></tr>"
    ]
    for key, (title, meaning) in MEANINGS.items():
        cells = "".join(
            _cell(getattr(metrics, key), intervals.decisions[way][key]) for _, way, metrics in ways
        )
        unseen = _unseen(content, key)
        rows.append(
            f'<tr><td>{title}</td>{cells}{unseen}<td class="text say small">{meaning}</td></tr>'
        )
    return (
        '<h2 id="summary">All summary numbers</h2><div class="wide"><table><thead><tr><th></th>'
        f'{head}<th class="text">What it says</th></tr></thead><tbody>{"".join(rows)}</tbody>'
        f"</table></div>{_note(content)}"
    )


def _unseen(content: Content, key: str) -> str:
    if not content.out_of_fold:
        return ""
    return f"<td>{value(content.out_of_fold.get(key, math.nan))}</td>"


def _cell(measured: float, ranges: Interval, columns: int = 1) -> str:
    wide = f' class="middle" colspan="{columns}"' if columns > 1 else ""
    between = f'<br><small class="range">{span(ranges)}</small>' if span(ranges) else ""
    return f"<td{wide}>{value(measured)}{between}</td>"


def _note(content: Content) -> str:
    draws = content.diagnosis.intervals.draws
    folds = (
        " <b>Out of fold</b>: each image is decided at thresholds that were chosen without it, as"
        " new images will be."
        if content.out_of_fold
        else ""
    )
    return (
        f'<p class="soft small">The small numbers are 95 % intervals: images were drawn anew, with'
        f" replacement, {draws} times (bootstrap), and the middle 95 % of the results is shown. Two"
        f" models whose intervals overlap widely may well be equally good.{folds}</p>"
    )
