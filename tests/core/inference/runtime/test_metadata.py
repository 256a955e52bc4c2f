import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.inference.runtime.metadata import (
    ExportInfo,
    client_labels,
    from_entries,
    threshold_logits,
    to_entries,
)
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.errors import CheckpointError, MlcError

CARD = ModelCard(
    classes=["cat", "traffic light"],
    model={"backbone": "test_resnet"},
    input_size=(32, 48),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    scale=3.0,
    thresholds=[0.1, 0.30000000000000004],
)
PATH = Path("m.onnx")


@pytest.mark.parametrize("parity", ["unchecked", "passed", "failed"])
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("classes", [["Straße", "cat"], [7, 12]])
@pytest.mark.parametrize("thresholds", [None, [0.1, 1 / 3]])
def test_entries_come_back_as_they_were(
    parity: str, folded: bool, classes: list[str] | list[int], thresholds: list[float] | None
) -> None:
    card = replace(CARD, classes=classes, thresholds=thresholds)
    info = ExportInfo(card, folded, parity)
    for inside in (False, True):
        assert from_entries(to_entries(info, normalised_inside=inside), PATH, sealed=True) == info


def test_a_file_that_takes_normalised_images_tells_how_they_are_made() -> None:
    entries = to_entries(ExportInfo(CARD), normalised_inside=False)
    assert entries["reverse_input_channels"] == "True"
    mean, scale = (entries[key].split() for key in ("mean_values", "scale_values"))
    assert list(map(float, mean)) == pytest.approx([123.675, 116.28, 103.53], rel=1e-8)
    assert list(map(float, scale)) == pytest.approx([58.395, 57.12, 57.375], rel=1e-8)


def test_a_file_that_normalises_names_nothing_to_normalise_with() -> None:
    entries = to_entries(ExportInfo(CARD), normalised_inside=True)
    assert entries["reverse_input_channels"] == "False"
    assert not {"mean_values", "scale_values"} & set(entries)


def test_thresholds_stand_beside_the_one_of_clients() -> None:
    entries = to_entries(ExportInfo(CARD), normalised_inside=True)
    assert list(map(float, entries["thresholds"].split())) == CARD.thresholds
    assert entries["confidence_threshold"] == "0.5"
    without = to_entries(ExportInfo(replace(CARD, thresholds=None)), normalised_inside=True)
    assert "thresholds" not in without


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        (["traffic light", "a,  b\tc", " x "], ["traffic_light", "a,_b_c", "x"]),
        (["a\u00a0b", "c\u3000d"], ["a_b", "c_d"]),
        ([3, 12], ["3", "12"]),
        (['"', "<&>", "猫"], ['"', "<&>", "猫"]),
        ([" "], ["_"]),
    ],
)
def test_labels_hold_no_white_space(classes: list[str], labels: list[str]) -> None:
    assert client_labels(classes) == labels
    assert " ".join(labels).split() == labels


@pytest.mark.parametrize("classes", [["a b", "a_b"], ["a b", "a\tb"], [" ", "_"], ["x", "x "]])
def test_names_that_become_one_are_refused(classes: list[str]) -> None:
    with pytest.raises(MlcError, match="would both be") as caught:
        client_labels(classes)
    assert repr(classes[0]) in caught.value.message
    assert repr(classes[1]) in caught.value.message
    assert "Rename" in caught.value.hint


def test_true_names_are_kept() -> None:
    names = ["traffic light", 'say "hi"', "<b>", "猫"]
    entries = to_entries(ExportInfo(replace(CARD, classes=names, thresholds=None)),
                         normalised_inside=True)  # fmt: skip
    assert json.loads(entries["label_info"]) == names


@pytest.mark.parametrize("entries", [{}, {"labels": "a b", "model_type": "Classification"}])
def test_a_file_of_others_is_refused(entries: dict[str, str]) -> None:
    with pytest.raises(CheckpointError, match=r"m\.onnx: was not exported by mlc"):
        from_entries(entries, PATH, sealed=True)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": 99}', '{"format": 1}', '{"format": true}']
)
def test_a_damaged_card_is_named(text: str) -> None:
    with pytest.raises(CheckpointError, match=r"^m\.onnx: (its metadata|was written)"):
        from_entries({"mlc": text}, PATH, sealed=True)


@pytest.mark.parametrize("text", ["", "PASSED", "yes"])
def test_an_unknown_outcome_is_refused(text: str) -> None:
    entries = {**to_entries(ExportInfo(CARD), normalised_inside=True), "parity": text}
    with pytest.raises(CheckpointError, match="its metadata is damaged"):
        from_entries(entries, PATH, sealed=True)


def test_an_entry_that_only_clients_read_is_covered() -> None:
    entries = to_entries(ExportInfo(CARD), normalised_inside=True)
    with pytest.raises(CheckpointError, match="its metadata is damaged"):
        from_entries({**entries, "labels": "x y z"}, PATH, sealed=True)
    old = {key: text for key, text in entries.items() if key not in ("digest", "parity")}
    assert from_entries({**old, "labels": "x y z"}, PATH, sealed=True).parity == "unchecked"


def of_thresholds(thresholds: list[float] | None, *, folded: bool) -> ExportInfo:
    card = ModelCard(["a", "b"], {}, (8, 8), (0.5,) * 3, (0.5,) * 3, 1.0, thresholds=thresholds)
    return ExportInfo(card, folded=folded)


def test_what_is_subtracted_is_the_logit() -> None:
    expected = [math.log(t / (1 - t)) for t in (0.1, 0.5, 0.97)]
    assert threshold_logits([0.1, 0.5, 0.97]).tolist() == pytest.approx(expected, abs=1e-6)


def test_thresholds_of_nothing_and_all_stay_finite_and_decide_alike() -> None:
    low, high = threshold_logits([0.0, 1.0]).tolist()
    assert low == pytest.approx(-high)
    assert 27 < high < 28


def test_unfolding_gives_the_logits_back_only_where_they_were_folded() -> None:
    logits = np.array([[0.3, -2.0]], np.float32)
    both = [0.2, 0.9]
    unfolded = of_thresholds(both, folded=True).unfold(logits - threshold_logits(both))
    np.testing.assert_allclose(unfolded, logits, rtol=1e-6)
    assert of_thresholds(both, folded=False).unfold(logits) is logits
    assert of_thresholds(None, folded=True).unfold(logits) is logits
