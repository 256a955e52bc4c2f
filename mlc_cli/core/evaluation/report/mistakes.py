"""Where the model is wrong: worst mistakes, mistakes that go together, labels that may be wrong."""

from collections.abc import Sequence

import numpy as np

from mlc_cli.core.evaluation.mistakes import Mistakes
from mlc_cli.core.evaluation.report.content import Content
from mlc_cli.core.evaluation.suspects import Suspect
from mlc_cli.core.html.page import text
from mlc_cli.core.html.words import count, probability
from mlc_cli.core.images.thumbnails import Picture

OPEN_CLASSES = 3
SHOWN_LABELS = 4
MATRIX_LABELS = 14


def worst(content: Content) -> str:
    """The worst mistakes of each class, as pictures."""
    chosen = content.chosen
    if not chosen.labels:
        return (
            '<h2 id="mistakes">The worst mistakes</h2><p>There are none: every label is right.</p>'
        )
    parts = [
        _class_mistakes(content, label, opened=place < OPEN_CLASSES)
        for place, label in enumerate(chosen.labels)
    ]
    note = (
        f'<p class="soft small">{count(chosen.left_out, "further label")} with fewer mistakes'
        f" {'is' if chosen.left_out == 1 else 'are'} left out to keep the page small.</p>"
        if chosen.left_out
        else ""
    )
    return (
        f'<h2 id="mistakes">The worst mistakes</h2><p>Decisions {content.at}, labels with most'
        " mistakes first. The bold number is the probability that the model gives to the label in"
        f" question; below it, what the image is labelled with.</p>{''.join(parts)}{note}"
    )


def _class_mistakes(content: Content, label: int, *, opened: bool) -> str:
    found = content.diagnosis.mistakes[label]
    threshold = float(content.thresholds_C[label])
    blocks = [
        _block(content, label, title, rows)
        for title, rows in (
            (_title("Predicted, but not there", found.extra, found.extra_total), found.extra),
            (_title("There, but missed", found.missed, found.missed_total), found.missed),
        )
        if rows
    ]
    return (
        f'<details class="printed"{" open" if opened else ""}><summary><b>{content.name(label)}</b>'
        f' <span class="soft">{_counts(found)}; threshold {probability(threshold)}</span></summary>'
        f'<div class="pair">{"".join(blocks)}</div></details>'
    )


def _title(words: str, shown: Sequence[int], total: int) -> str:
    return f"{words} ({len(shown)} of {total:,})" if total > len(shown) else f"{words} ({total})"


def _counts(found: Mistakes) -> str:
    return f"{found.extra_total:,} wrongly predicted, {found.missed_total:,} missed"


def _block(content: Content, label: int, title: str, rows: Sequence[int]) -> str:
    scores_NC = content.scores.probabilities_NC
    figures = [
        _thumb(content, row, f"<b>{probability(float(scores_NC[row, label]))}</b>") for row in rows
    ]
    return f'<div><h3>{title}</h3><div class="thumbs">{"".join(figures)}</div></div>'


def _thumb(content: Content, row: int, caption: str) -> str:
    """A picture with a caption, which is HTML, its labels and its path."""
    path = content.scores.paths[row]
    picture = content.pictures.get(row, Picture(reason="is not shown"))
    image = (
        f'<img src="{text(picture.uri)}" alt="{text(path)}" loading="lazy">'
        if picture.uri
        else f'<div class="nopicture">{text(picture.reason)}</div>'
    )
    return (
        f'<figure class="thumb">{image}<figcaption>{caption} {_labels(content, row)}'
        f'<span class="path" title="{text(path)}"><bdi>{text(path)}</bdi></span></figcaption>'
        "</figure>"
    )


def _labels(content: Content, row: int) -> str:
    present = np.flatnonzero(content.scores.targets_NC[row] == 1).tolist()
    if not present:
        return '<span class="soft">no labels</span>'
    shown = ", ".join(content.name(c) for c in present[:SHOWN_LABELS])
    more = f" and {len(present) - SHOWN_LABELS} more" if len(present) > SHOWN_LABELS else ""
    return f"<span>{shown}{more}</span>"


def suspects(content: Content) -> str:
    """Labels of the data that may be wrong."""
    found = content.diagnosis.suspects
    blocks = [
        _suspect_block(content, "Perhaps missing", found.missing, found.missing_total),
        _suspect_block(content, "Perhaps wrong", found.wrong, found.wrong_total),
    ]
    if not any(blocks):
        return ""
    return (
        '<h2 id="suspects">Labels that may be wrong</h2><p>Here the model contradicts the data most'
        " clearly. <b>Perhaps missing</b>: the label is not set, yet it gets a higher probability"
        " than images with it usually get (their mean). <b>Perhaps wrong</b>: the label is set, yet"
        " it gets a lower probability than images without it usually get; many of these are just"
        f" hard to see. Look before you change anything.</p>{''.join(blocks)}"
    )


def _suspect_block(content: Content, title: str, found: Sequence[Suspect], total: int) -> str:
    if not found:
        return ""
    figures = [
        _thumb(
            content,
            suspect.image,
            f"<b>{content.name(suspect.label)}: {probability(suspect.probability)}</b>"
            f'<br><span class="soft">usual: {probability(suspect.typical)}</span><br>labelled:',
        )
        for suspect in found
    ]
    rows = [suspect.image for suspect in found]
    return f'<h3>{_title(title, rows, total)}</h3><div class="thumbs">{"".join(figures)}</div>'


def pairs(content: Content) -> str:
    """Mistakes that go together: a table, and a matrix of the labels that take part most."""
    found = content.diagnosis.pairs
    if not found:
        return ""
    rows = "".join(
        f'<tr><td>{content.name(pair.missed)}</td><td class="text">{content.name(pair.extra)}</td>'
        f"<td>{pair.count:,} of {pair.missed_total:,}</td><td>{pair.expected:.1f}</td></tr>"
        for pair in found
    )
    return (
        '<h2 id="pairs">Labels taken for each other</h2><p>Images in which one label is missed and'
        " another is wrongly predicted, where that happens more often than by chance (as if the"
        " two mistakes had nothing to do with each other).</p>"
        '<div class="row"><div class="wide"><table>'
        '<thead><tr><th>missed</th><th class="text">predicted instead</th><th>images</th><th>by'
        f" chance</th></tr></thead><tbody>{rows}</tbody></table></div>{_matrix(content)}</div>"
    )


def _matrix(content: Content) -> str:
    joint_CC = content.diagnosis.joint_CC
    involved_C = joint_CC.sum(axis=0) + joint_CC.sum(axis=1)
    ranked = np.argsort(-involved_C, kind="stable")[:MATRIX_LABELS]
    labels = sorted(int(c) for c in ranked if involved_C[c])
    if len(labels) < 4:  # the table says as much
        return ""
    most = max(1, int(joint_CC[np.ix_(labels, labels)].max(initial=0)))
    heads = "".join(f'<th scope="col">{content.name(c)}</th>' for c in labels)
    rows = "".join(
        f'<tr><th scope="row">{content.name(m)}</th>'
        + "".join(_matrix_cell(int(joint_CC[m, e]), most) for e in labels)
        + "</tr>"
        for m in labels
    )
    return (
        '<div class="wide"><table class="matrix"><thead><tr>'
        f"<td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        '<p class="small soft">Row: the label that is missed. Column: the label that is wrongly'
        f" predicted. Number: images. Shown: the {count(len(labels), 'label')} with most.</p></div>"
    )


def _matrix_cell(number: int, most: int) -> str:
    return f'<td style="--part:{number / most:.3f}">{number or ""}</td>'
