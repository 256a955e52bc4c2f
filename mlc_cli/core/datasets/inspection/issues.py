"""What may be wrong with a data set: how bad it is, how it is said, and how it is repaired."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mlc_cli.text import SHOWN

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
FEW = 20
"""Images of a class that are few to learn from."""
SMALL, LONG = 32, 4.0
"""Pixels of a side, and the ratio of the sides, from which images are odd."""

_NUMBER = re.compile(r"\[([^|\]]*)\|?([^\]]*)\]")
_LEAK = "Metrics on images that were trained or chosen on mean little: take them out of {second}"
_REPLACE = "Get the files anew; --fix leaves them out."
_ONE_NAME = "Give both one name in all annotation files if they are one class."
_COMPARE = "Compare them side by side (--html): "

RULES: Mapping[str, tuple[Severity, str, str]] = {
    "annotation": (
        "error", "{fault}", "Repair the annotation file; its images are not examined.",
    ),
    "missing-split": (
        "warning", "there is no {split}.json",
        "`mlc train` needs train.json and val.json; `mlc dataset-convert` with --split makes both"
        " from one.",
    ),
    "classes-differ": ("error", "{fault}", "{hint}"),
    "same-path": (
        "error", "{n:,} image[s] of {second} [is|are] also in {first}", f"{_LEAK}; --fix does.",
    ),
    "split-groups": (
        "warning", "{n:,} group[s] {what} [is|are] in several splits",
        "Metrics on images like those that were trained on mean little: divide the data anew with"
        " mlc dataset-convert mlc {data} DEST --split 0.8,0.2 {flag}",
    ),
    "broken-rule": (
        "warning", "{n:,} image[s] of {split} [has|have] {words}",
        "A label rule forbids it: --fix adds what labels imply; of labels that exclude each other"
        " somebody has to take one away.",
    ),
    "no-positives": (
        "warning", "{n:,} class[es] [is|are] on no image at all",
        "Label images with them, or take them out of 'classes'.",
    ),
    "no-positives-in-split/learnt": (
        "warning", "{n:,} class[es] [is|are] on no image of {split}",
        "They cannot be learnt: split the data anew, stratified by label.",
    ),
    "no-positives-in-split": (
        "note", "{n:,} class[es] [is|are] on no image of {split}",
        "Metrics leave them out: split the data anew, stratified by label.",
    ),
    "no-negatives": (
        "warning", "{n:,} class[es] [is|are] on every image of {split}",
        "There is nothing to tell them from: add images without them, or drop the class.",
    ),
    "no-negatives/known": (
        "warning", "{n:,} class[es] [is|are] known to be absent from no image of {split}",
        "There is nothing to tell them from: say of some images that they lack them, or read what"
        " is unknown as absent where that is so (such as csv.blank=absent).",
    ),
    "few-positives": (
        "note", f"{{n:,}} class[es] [has|have] fewer than {FEW} images in {{split}}",
        "Expect little of them: add images, or join them with a broader class.",
    ),
    "no-labels": (
        "error", "no image of {split} has a label",
        "Nothing can be learnt or measured there: look for lost labels in the source, and convert"
        " it anew.",
    ),
    "no-labels/test": (
        "warning", "no image of {split} has a label",
        "Nothing can be measured there: look for lost labels in the source, and convert it anew.",
    ),
    "without-labels": (
        "note", "{n:,} image[s] [has|have] no labels in {split} ({share:.1%})",
        "They count as negatives of every class, which is right if somebody looked at them;"
        " otherwise label them or take them out.",
    ),
    "spaces-in-names": (
        "warning", "{n:,} class name[s] [has|have] spaces at an end or several in a row",
        "Write the names without these spaces in all annotation files.",
    ),
    "odd-names": (
        "warning", "{n:,} class name[s] [begins or ends|begin or end] with quotes, brackets or"
        " separators, or [is|are] [that of a file|those of files]",
        "A list of labels was probably read as one name, or a column of files as one of labels:"
        " convert the source anew, and look at the separator and the columns that it says.",
    ),
    "twin-names": (
        "warning", "{n:,} group[s] of class names [differs|differ] in case, spaces or signs alone",
        _ONE_NAME,
    ),
    "plural-names": (
        "note", "{n:,} pair[s] of class names of which one is the plural of the other", _ONE_NAME,
    ),
    "misspelt-names": ("note", "{n:,} pair[s] of class names one letter apart", _ONE_NAME),
    "always-together": (
        "note", "{n:,} pair[s] of classes [is|are] always on the same images",
        "No model can tell them apart: keep one of them, or add images with one alone.",
    ),
    "missing-images": (
        "error", "{n:,} image[s] [is|are] missing",
        "Put the files where the annotation says, or name another folder with"
        " `--set image_root=DIR`; --fix leaves them out.",
    ),
    "outside-images": (
        "error", "{n:,} image[s] [leads|lead] out of the image folder",
        "Put the files into the folder, or accept it here with `--set allow_outside_root=true`, in"
        " training with `--set data.allow_outside_root=true`.",
    ),
    "truncated-images": ("error", "{n:,} image[s] [is|are] truncated", _REPLACE),
    "large-images": (
        "error", "{n:,} image[s] [has|have] too many pixels",
        "Shrink them, or raise `--set max_megapixels=N` here and `--set data.max_megapixels=N` in"
        " training.",
    ),
    "unreadable-images": ("error", "{n:,} image[s] cannot be read", _REPLACE),
    "damaged-images": (
        "warning", "{n:,} image[s] [is|are] damaged inside, and shown grey or shifted in part",
        "Get the files anew, or train without them: `--set data.on_damaged=skip`.",
    ),
    "one-shade": (
        "note", "{n:,} image[s] [is|are] of one shade",
        "They show nothing, or stand for images that were lost: look at them.",
    ),
    "dim-images": (
        "warning", "{n:,} image[s] of 16 bits a channel [is|are] nearly black: {bits} are used",
        "Train with --set data.bits={bits}, and they are as bright as they should be.",
    ),
    "small-images": (
        "note", f"{{n:,}} image[s] [is|are] smaller than {SMALL} pixels",
        "Little is left to see in them: take them out, or get larger ones.",
    ),
    "long-images": (
        "note", f"{{n:,}} image[s] [is|are] over {LONG:g} times as long as wide",
        "Images are squashed to the model's input: cut these into parts.",
    ),
    "transparent-images": (
        "note", "{n:,} image[s] [has|have] transparency",
        "It is dropped when they are read, and what was hidden shows: lay them on a background.",
    ),
    "not-listed": (
        "note", "{n:,} image file[s] [is|are] in the folder but in no annotation",
        "They are not used. An image without labels is listed as [path, []].",
    ),
    "contradicting-copies": (
        "warning", "{n:,} image[s] [is|are] there several times with labels that contradict",
        "Look which labels are right and keep one of each; --fix leaves those of one split as they"
        " are.",
    ),
    "copies-across-splits": (
        "error",
        "{n:,} file[s] of {second} [is a copy of one|are copies of files] in {first}",
        f"{_LEAK}; --fix does.",
    ),
    "copies": (
        "warning", "{n:,} file[s] [is a copy of another|are copies of others] in [its|their] split",
        "Each copy counts again in training and metrics: keep one; --fix does.",
    ),
    "near-copies": (
        "note", "{n:,} pair[s] of nearly equal images in {first}",
        f"{_COMPARE}copies at another size or quality add little.",
    ),
    "near-copies-across-splits": (
        "warning", "{n:,} pair[s] of nearly equal images, one in {first}, one in {second}",
        f"{_COMPARE}if they are one picture, take it out of {{second}}.",
    ),
    "near-copies-contradict": (
        "note", "{n:,} pair[s] of nearly equal images [has|have] labels that contradict",
        f"{_COMPARE}if they are one picture, one of the labels is wrong.",
    ),
    "near-copies-many": (
        "note", "only the first {n:,} pairs of nearly equal images were looked at",
        "Pass a smaller --near.",
    ),
}  # fmt: skip
"""Severity, message and repair by kind; `[one|several]` goes by the number.

`error`: a training would stop, or metrics would be wrong. `warning`: it is hardly meant so. `note`:
worth knowing. What follows a `/` in a kind is not told to programs.
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was found: how often, and the first ten."""

    severity: Severity
    kind: str
    message: str
    repair: str
    count: int
    examples: Sequence[str]

    @property
    def more(self) -> int:
        """How many there are beyond the examples."""
        return self.count - len(self.examples) if self.examples else 0


def found(
    rule: str, examples: Sequence[str] = (), number: int | None = None, **names: object
) -> list[Finding]:
    """What a rule of `RULES` says of examples, all or ten of `number`; nothing of none."""
    number = len(examples) if number is None else number
    if not number:
        return []
    severity, message, repair = RULES[rule]
    message = _NUMBER.sub(lambda match: _chosen(match, number), message)
    kind = rule.partition("/")[0]
    message, repair = message.format(n=number, **names), repair.format(**names)
    return [Finding(severity, kind, message, repair, number, tuple(examples[:SHOWN]))]


def _chosen(match: re.Match[str], number: int) -> str:
    """The first word of `[one|several]` or the second; of `[s]` nothing or the `s`."""
    one, several = match.groups() if "|" in match[0] else ("", match[1])
    return str(one if number == 1 else several)


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, otherwise in their order."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
