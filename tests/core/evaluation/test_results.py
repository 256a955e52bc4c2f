"""The report of an evaluation, as JSON and as a table."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.evaluation import metrics
from mlc_cli.core.evaluation.results import (
    SUMMARY,
    Evaluation,
    as_dict,
    evaluate,
    write_evaluation,
)

CLASSES = ["=1+2", "a,b", 'say "x"', "two\nlines", "日本"]


@pytest.fixture
def evaluation() -> Evaluation:
    """Five classes: the third has no positives, the fourth is never predicted."""
    targets_NC = np.array(
        [[1, 0, 0, 1, -1], [0, 1, 0, 0, 1], [1, 1, 0, 1, 0], [0, 0, -1, 0, 1]], np.int8
    )
    scores_NC = np.array(
        [
            [0.9, 0.2, 0.6, 0.1, 0.5],
            [0.1, 0.7, 0.2, 0.2, 0.8],
            [0.8, 0.1, 0.1, 0.3, 0.7],
            [0.2, 0.3, 0.9, 0.0, 0.6],
        ]
    )
    return evaluate(scores_NC, targets_NC, CLASSES, unreadable={"x.jpg": "is truncated"})


def test_json_says_null_for_what_is_undefined(evaluation: Evaluation, tmp_path: Path) -> None:
    json_path, _ = write_evaluation(tmp_path, "", evaluation, checkpoint="best")
    text = json_path.read_text(encoding="utf-8")
    assert "NaN" not in text
    content = json.loads(text)
    by_class = {row["class"]: row for row in content["per_class"]}
    assert list(by_class) == CLASSES
    empty, silent = by_class['say "x"'], by_class["two\nlines"]
    assert (empty["AP"], empty["recall"], empty["F1"], empty["positives"]) == (None, None, None, 0)
    assert (silent["precision"], silent["recall"]) == (None, 0)
    assert content["checkpoint"] == "best"
    assert content["classes_without_positives"] == ['say "x"']
    assert content["classes_in_means"] == 4
    assert content["unknown_labels"] == 2
    assert content["images"] == 4
    assert content["unreadable_images"] == {"x.jpg": "is truncated"}
    assert set(content["at_0.5"]) == {*SUMMARY, "hamming_loss"}
    assert "at_thresholds" not in content


def test_means_are_those_of_the_classes(evaluation: Evaluation) -> None:
    content = as_dict(evaluation)
    rows = [row for row in content["per_class"] if row["positives"]]
    assert content["mAP"] == pytest.approx(np.mean([row["AP"] for row in rows]))
    assert content["at_0.5"]["CR"] == pytest.approx(np.mean([row["recall"] for row in rows]))
    precisions = [row["precision"] or 0 for row in rows]
    assert content["at_0.5"]["CP"] == pytest.approx(np.mean(precisions))


def test_the_table_is_read_back_by_the_csv_reader(evaluation: Evaluation, tmp_path: Path) -> None:
    _, csv_path = write_evaluation(tmp_path, "-test", evaluation)
    assert csv_path.name == "per_class-test.csv"
    with csv_path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["class"] for row in rows] == ["'=1+2", "a,b", 'say "x"', "two\\nlines", "日本"]
    assert (rows[2]["AP"], rows[3]["precision"]) == ("", "")
    for row, ap in zip(rows, evaluation.ap_C, strict=True):
        assert row["AP"] == ("" if np.isnan(ap) else repr(float(ap)))
    assert [row["AP_11_point"] for row in rows] == [
        "" if np.isnan(ap) else repr(float(ap)) for ap in evaluation.ap_11_C
    ]
    assert [row["AUROC"] == "" for row in rows] == np.isnan(evaluation.auroc_C).tolist()


def test_thresholds_decide_the_table_and_both_summaries_are_there() -> None:
    scores_NC, targets_NC = np.array([[0.3], [0.2]]), np.array([[1], [0]], np.int8)
    content = as_dict(evaluate(scores_NC, targets_NC, [7], thresholds_C=np.array([0.25])))
    (row,) = content["per_class"]
    assert (row["class"], row["threshold"], row["F1"]) == ("7", 0.25, 1)
    assert content["at_0.5"]["OF1"] == 0
    assert content["at_thresholds"]["OF1"] == 1


@pytest.mark.parametrize("images", [0, 3])
def test_a_split_without_positives_is_reported_all_the_same(tmp_path: Path, images: int) -> None:
    evaluation = evaluate(np.zeros((images, 2)), np.zeros((images, 2), np.int8), ["a", "b"])
    json_path, _ = write_evaluation(tmp_path, "", evaluation)
    content = json.loads(json_path.read_text())
    assert content["mAP"] is None
    assert content["images"] == images
    assert content["classes_without_positives"] == ["a", "b"]
    assert content["classes_in_means"] == 0


def test_nothing_but_the_two_files_is_left(evaluation: Evaluation, tmp_path: Path) -> None:
    written = write_evaluation(tmp_path, "", evaluation)
    assert sorted(tmp_path.iterdir()) == sorted(written)


def test_scores_are_sorted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    whole = metrics.over_classes
    monkeypatch.setattr(metrics, "over_classes", lambda *one: (calls.append(1), whole(*one)))
    evaluate(np.eye(3), np.eye(3, dtype=np.int8), ["a", "b", "c"])
    assert len(calls) == 1
