"""The report as a page: complete, well-formed, safe, and usable whatever the data."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc_cli.core.evaluation.report import charts
from mlc_cli.core.evaluation.report.build import TEMPLATE, Content
from mlc_cli.core.evaluation.results import FITTED, HALF, evaluate
from mlc_cli.core.evaluation.scores import SavedScores, ScoredSplit
from mlc_cli.core.evaluation.slices import slice_table
from mlc_cli.core.html.page import template
from mlc_cli.core.html.words import name, probability
from mlc_cli.core.images.thumbnails import Picture
from mlc_cli.core.runs.card import ModelCard
from tests.core.pages import Page

PIXEL = "data:image/jpeg;base64,AAAA"


def make(images: int = 60, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets_NC = (rng.random((images, classes)) < 0.4).astype(np.int8)
    odds = rng.normal(0, 2, targets_NC.shape) + 2.5 * targets_NC - 1.5
    return (1 / (1 + np.exp(-odds))).astype(np.float32), targets_NC


def content(
    scores_NC: np.ndarray,
    targets_NC: np.ndarray,
    classes: list[str] | None = None,
    *,
    thresholds_C: np.ndarray | None = None,
    limit: int = 300,
    unreadable: dict[str, str] | None = None,
    checkpoint: Path = Path("runs/a/best.safetensors"),
    source: Path = Path("val.json"),
    paths: list[str] | None = None,
    split: str = "test",
    **known: Any,
) -> Content:
    images, count = targets_NC.shape
    classes = classes or [f"class {c}" for c in range(count)]
    paths = paths or [f"images/{n}.jpg" for n in range(images)]
    card = ModelCard(classes, {}, (32, 32), (0.5,) * 3, (0.5,) * 3, 1.0, epoch=2)
    scores = SavedScores(scores_NC, targets_NC, classes, paths)
    made = Content(
        ScoredSplit(checkpoint, card, "", source, lambda n: Path(paths[n]), 1e9, scores, {}),
        evaluate(scores_NC, targets_NC, classes, thresholds_C=thresholds_C, unreadable=unreadable),
        split,
        draws=10,
        limit=limit,
    )
    vars(made).update({"pictures": {n: Picture(PIXEL) for n in range(images)}, **known})
    return made


def report_html(made: Content) -> str:
    return template(TEMPLATE).render(report=made, charts=charts, slice_table=slice_table)


def page_of(*arguments: Any, **others: Any) -> Page:
    return Page(report_html(content(*arguments, **others)))


HISTORY = [{"epoch": e, "train/loss": 1 / e, "val/mAP": 0.5, "val/mAP_ema": 0.6} for e in (1, 2)]


def test_everything_is_there_in_order_of_importance(tmp_path: Path) -> None:
    lines = (json.dumps(row) + "\n" for row in HISTORY)
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    best = tmp_path / "best.safetensors"
    html = report_html(content(*make(), thresholds_C=np.full(5, 0.3), checkpoint=best))
    order = ["findings", "summary", "classes", "mistakes", "suspects", "pairs", "charts",
             "calibration", "history", "about"]  # fmt: skip
    page = Page(html)
    assert page.headings() == order
    for words in ("mAP", "CF1", "OF1", "macro F1", "exact match", "at 0.5", "at the thresholds",
                  "10 times (bootstrap)", "ECE", "Labels an image"):  # fmt: skip
        assert words in page.text
    assert len(page.all("svg")) == 2 * 5 + 1 + 2


@pytest.mark.parametrize("fitted", [False, True])
def test_numbers_are_those_of_the_evaluation(fitted: bool) -> None:
    made = content(*make(), thresholds_C=np.linspace(0.2, 0.8, 5) if fitted else None)
    page = Page(report_html(made))
    metrics = made.evaluation.decided
    for number in (made.evaluation.mean_ap, metrics.CF1, metrics.OF1, metrics.exact_match):
        assert f"{number:.3f}" in page.text
    rows = re.findall(r'<tr><td><a href="#chart-(\d)">.*?</tr>', report_html(made), re.S)
    assert [int(c) for c in rows] == np.argsort(made.evaluation.ap_C).tolist()
    row = re.search(r'<tr><td><a href="#chart-2">.*?</tr>', report_html(made), re.S)
    assert row
    cells = [re.sub("<[^>]*>", "", cell) for cell in row[0].split("</td><td>")][1:]
    expected = [made.evaluation.ap_C[2], metrics.precision_C[2], metrics.recall_C[2]]
    assert [cells[0], *cells[2:4]] == [f"{number:.3f}" for number in expected]
    assert cells[-2:] == [str(made.evaluation.positives_C[2]), f"{made.evaluation.used_C[2]:.3f}"]
    assert cells[5:7] == [f"{made.evaluation.auroc_C[2]:.3f}", f"{made.evaluation.ap_11_C[2]:.3f}"]
    assert ("No thresholds were chosen yet" in page.text) is not fitted
    for value in made.evaluation.ranking.values():
        assert f"{value:.3f}" in page.text
    for metrics in made.evaluation.top_3.values():
        shown = [f"{getattr(metrics, key):.3f}" for key in ("CP", "CR", "CF1", "OP", "OR", "OF1")]
        assert f"<td>{'</td><td>'.join(shown)}</td>" in report_html(made).replace("\n", "")
    assert f"{made.evaluation.decided.hamming_loss:.4f}" in page.text


HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "日本語",
    "\u202egnp.exe",
    "",
    "x" * 500,
    "${a} $title {b} {{ 7 * 7 }} {% raw %} %s \\",
    "javascript:alert(1)",
]


def test_names_of_others_are_only_text() -> None:
    scores_NC, targets_NC = make(classes=len(HOSTILE))
    evil = HOSTILE[1]
    made = content(
        scores_NC,
        targets_NC,
        HOSTILE,
        paths=[f"{evil}/{n}.jpg" for n in range(60)],
        unreadable={evil: evil},
        facts={"Checkpoint": evil, "Data": evil, evil: evil},
        checkpoint=Path(evil),
        source=Path(evil),
        pictures={n: Picture(reason=evil) for n in range(60)},
    )
    page = Page(report_html(made))
    assert len(page.all("script")) == 1
    assert not page.all("img")
    for words in HOSTILE[:4] + HOSTILE[6:]:
        assert words.replace("\u202e", r"\u202e") in page.text
    assert "(blank)" in page.text
    assert "x" * 81 not in page.text


@pytest.mark.parametrize(
    ("scores_NC", "targets_NC"),
    [
        (np.full((9, 3), 0.5), make(9, 3)[1]),
        (make(9, 3)[0], np.zeros((9, 3), np.int8)),
        (make(9, 3)[0], np.ones((9, 3), np.int8)),
        (make(9, 3)[0], np.full((9, 3), -1, np.int8)),
        (make(9, 1)[0], make(9, 1)[1]),
        (make(1, 3)[0], np.array([[1, 0, -1]], np.int8)),
        (make(9, 3)[1].astype(np.float32), make(9, 3)[1]),
        (np.zeros((0, 2), np.float32), np.zeros((0, 2), np.int8)),
        (np.array([[0.0], [1.0]]), np.array([[1], [0]], np.int8)),
    ],
    ids=["equal scores", "no positives", "no negatives", "all unknown", "one class", "one image",
         "no mistakes", "no images", "all wrong"],
)  # fmt: skip
@pytest.mark.parametrize("threshold", [None, 0.5, -1.0, 2.0])
def test_odd_data_makes_a_page(
    scores_NC: np.ndarray, targets_NC: np.ndarray, threshold: float | None
) -> None:
    fitted = None if threshold is None else np.full(targets_NC.shape[1], threshold)
    html = report_html(content(scores_NC, targets_NC, thresholds_C=fitted))
    assert "nan" not in Page(html).text
    assert not re.search(r'="[^"]*\bnan\b', html)


def test_five_hundred_classes_stay_usable() -> None:
    scores_NC, targets_NC = make(200, 500)
    html = report_html(content(scores_NC, targets_NC, limit=120))
    page = Page(html)
    assert len(html) < 4e6
    assert len(re.findall(r"<tr><td>.*?class \d+</span>", html)) >= 500
    assert "Diagrams of the 300 weakest labels are drawn; those of 200 others" in page.text
    assert "left out to keep the page small" in page.text
    assert len(page.all("svg")) == 2 * 300 + 1
    assert page.all("input")
    assert 0 < len({a["alt"] for a in page.all("img")}) <= 120


def test_an_image_that_cannot_be_shown_says_why() -> None:
    made = content(*make(), pictures={n: Picture(reason="is truncated") for n in range(60)})
    page = Page(report_html(made))
    assert "is truncated" in page.text
    assert not page.all("img")


def test_unreadable_images_and_unknown_labels_are_told() -> None:
    scores_NC, targets_NC = make()
    targets_NC[:7, 0] = -1
    page = page_of(scores_NC, targets_NC, unreadable={f"{n}.jpg": "is empty" for n in range(60)})
    assert "60 images could not be read" in page.text
    assert "0.jpg: is empty" in page.text
    assert "and 10 more" in page.text
    assert "7, left out of every number" in page.text


def test_an_estimate_out_of_fold_is_set_against_the_thresholds() -> None:
    arrays = make()
    page = page_of(*arrays, thresholds_C=np.full(5, 0.3), unseen={"CF1": 0.123, "OF1": 0.456})
    assert "out of fold" in page.text
    assert "on images left out of the choice CF1 is 0.123, worse than at 0.5" in page.text
    assert "0.456" in page.text
    assert "out of fold" not in page_of(*arrays, thresholds_C=np.full(5, 0.3)).text


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0.0, "0.000"), (1e-5, "< 0.001"), (0.5, "0.500"), (0.99999, "> 0.999"), (1.0, "1.000")],
)
def test_probabilities_are_not_rounded_to_certainties(number: float, expected: str) -> None:
    assert probability(number) == expected


def test_a_name_is_shortened_but_kept_for_the_pointer() -> None:
    long = "<" * 300
    assert name(long).count("&lt;") == 80 + 300
    assert name("  ") == '<span class="name">(blank)</span>'


def test_thresholds_decide_what_counts_as_a_mistake() -> None:
    arrays = make()
    half, never = content(*arrays), content(*arrays, thresholds_C=np.full(5, 2.0))
    assert set(half.intervals.decisions) == {HALF}
    assert set(never.intervals.decisions) == {HALF, FITTED}
    assert sum(mistakes.extra_total for mistakes in half.mistakes) > 0
    assert sum(mistakes.extra_total for mistakes in never.mistakes) == 0
    assert never.mistakes[0].missed_total == np.count_nonzero(arrays[1][:, 0])


def test_images_are_chosen_within_the_limit() -> None:
    rng = np.random.default_rng(0)
    targets_NC = (rng.random((80, 5)) < 0.3).astype(np.int8)
    arrays = rng.random((80, 5)).astype(np.float32), targets_NC
    made = content(*arrays, limit=10**6)
    suspects = {s.image for s in (*made.suspects.missing, *made.suspects.wrong)}
    images, labels, left_out = made.shown
    assert left_out == 0
    assert len(labels) == 5
    assert len(set(images)) == len(images)
    for label in labels:
        mistakes = made.mistakes[label]
        assert {*mistakes.extra, *mistakes.missed} <= set(images)
    totals = [made.mistakes[label].total for label in labels]
    assert totals == sorted(totals, reverse=True)
    few, some, rest = content(*arrays, limit=len(suspects) + 10).shown
    assert suspects <= set(few)
    assert len(few) <= len(suspects) + 10
    assert some == labels[: len(some)]
    assert 0 < rest == 5 - len(some)


def test_a_model_without_mistakes_needs_no_images() -> None:
    _, targets_NC = make()
    assert content(targets_NC.astype(np.float32), targets_NC).shown == ([], [], 0)
