"""The rest of the report: calibration, how the training went, and what was evaluated."""

import math

import numpy as np

from mlc_cli.core.evaluation.report.charts import learning_chart, reliability_chart
from mlc_cli.core.evaluation.report.content import Content
from mlc_cli.core.html.page import text
from mlc_cli.core.html.words import count, value

SHOWN_IMAGES = 50
CURVES = (
    ("Training loss", ("train/loss",)),
    ("Validation mAP", ("val/mAP", "val/mAP_ema")),
    ("Learning rate", ("train/lr",)),
)


def calibration(content: Content) -> str:
    """Whether probabilities mean what they say."""
    bins = content.diagnosis.reliability
    if not math.isfinite(bins.ece):
        return ""
    ece = f"<b>ECE {value(bins.ece, 4)}</b>"
    return (
        '<h2 id="calibration">Do probabilities mean what they say?</h2><div class="pair"><figure>'
        f"{reliability_chart(bins)}</figure><div><p>Of all labels to which the model gives a"
        " probability near 0.8, eight in ten should be there: on the dotted line. <b>Above</b> it"
        " the model is too modest, <b>below</b> it too sure. Thin lines are 95 % intervals; the"
        f" counts at the top say how many labels each point stands for.</p><p>{ece} (expected"
        " calibration error): how far probabilities are from the truth, averaged over all labels of"
        " all images. Most are absent and easy, so this number is small even where the curve bends;"
        " the table of labels has it label by label.</p></div></div>"
    )


def history(content: Content) -> str:
    """How the training went, epoch by epoch; "" without a record of it."""
    figures = []
    for title, keys in CURVES:
        chart = learning_chart(title, content.history, keys, content.epoch)
        if chart:
            figures.append(f"<figure><figcaption><b>{title}</b></figcaption>{chart}</figure>")
    if not figures:
        return ""
    return (
        '<h2 id="history">How the training went</h2><p>By epoch; the red line is the epoch of this'
        " checkpoint. Of the two lines of validation mAP the dashed one belongs to the moving"
        " average of the weights (EMA)."
        f'</p><div class="pair">{"".join(figures)}</div>'
    )


def about(content: Content) -> str:
    """What was evaluated, and on what."""
    facts = {**content.facts, **_data_facts(content)}
    rows = "".join(
        f'<tr><th scope="row">{text(title)}</th><td>{text(words)}</td></tr>'
        for title, words in facts.items()
    )
    return (
        '<h2 id="about">What was evaluated</h2><table class="facts"><tbody>'
        f"{rows}</tbody></table>{_unreadable(content)}"
    )


def _data_facts(content: Content) -> dict[str, str]:
    targets_NC = content.scores.targets_NC
    evaluation = content.evaluation
    labels_N = np.count_nonzero(targets_NC == 1, axis=1)
    facts = {
        "Images": f"{evaluation.images:,}",
        "Labels": f"{len(evaluation.classes):,}",
    }
    if len(labels_N):
        facts["Labels an image"] = (
            f"{labels_N.mean():.2f} on average, {labels_N.min()} to {labels_N.max()}"
        )
        facts["Images without labels"] = f"{np.count_nonzero(labels_N == 0):,}"
    facts["Labels of unknown state"] = (
        f"{evaluation.unknown:,}, left out of every number" if evaluation.unknown else "none"
    )
    facts["Labels on no image"] = _listed(evaluation.empty_classes)
    facts["Unreadable images"] = f"{len(evaluation.unreadable):,}"
    return facts


def _listed(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
    return f"{len(names):,}: {', '.join(names[:20])}{more}"


def _unreadable(content: Content) -> str:
    images = list(content.evaluation.unreadable.items())
    if not images:
        return ""
    items = "".join(f"<li>{text(path)}: {text(why)}</li>" for path, why in images[:SHOWN_IMAGES])
    more = len(images) - SHOWN_IMAGES
    rest = f"<li>and {more:,} more</li>" if more > 0 else ""
    return (
        f'<details class="printed"><summary>{count(len(images), "image")} that could not be read'
        f"</summary><ul>{items}{rest}</ul></details>"
    )
