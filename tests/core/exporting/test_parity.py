import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from mlc_cli.core.evaluation.metrics import mean_ap_of
from mlc_cli.core.evaluation.probabilities import probabilities
from mlc_cli.core.exporting.parity import (
    Difference,
    Limits,
    compare,
    run_in_turn,
)
from mlc_cli.core.loading.build import build_eval_batches, read_split
from mlc_cli.core.loading.loader import Batches
from mlc_cli.errors import TrainingError
from mlc_cli.settings.data import DataSettings

CPU = torch.device("cpu")


@pytest.fixture
def batches(make_dataset: Callable[..., Path]) -> Batches:
    data = DataSettings(
        root=str(make_dataset(4, 10)), input_size=(32, 32), workers=0, on_bad_image="skip"
    )
    return build_eval_batches(data, read_split(data, "val.json"), batch_size=4, device=CPU)


def brightness(images_NHWC: np.ndarray) -> np.ndarray:
    return images_NHWC.astype(np.float32).mean((1, 2))


def test_engines_say_the_same_of_the_same_images(batches: Batches) -> None:
    outputs = run_in_turn({"a": brightness, "b": lambda images: 2 * brightness(images)}, batches)
    assert outputs.indices_N.tolist() == list(range(10))
    np.testing.assert_array_equal(outputs.logits["b"], 2 * outputs.logits["a"])
    np.testing.assert_array_equal(
        outputs.targets_NC, batches.dataset.annotation.targets_NC(range(10))
    )
    assert set(outputs.rates) == {"a", "b"}
    assert min(outputs.rates.values()) > 0


def test_images_that_cannot_be_read_are_left_out(batches: Batches) -> None:
    batches.dataset.annotation.path(3).write_bytes(b"no image")
    outputs = run_in_turn({"a": brightness}, batches)
    assert outputs.indices_N.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert len(outputs.logits["a"]) == len(outputs.targets_NC) == 9


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_output_that_is_not_finite_is_an_error(batches: Batches, value: float) -> None:
    with pytest.raises(TrainingError, match="not finite for 10 of 10 images"):
        run_in_turn({"a": lambda images: brightness(images) * value}, batches)


def test_certain_images_do_not_tie() -> None:
    high, higher = probabilities(np.float32([[20.0], [21.0]]))[:, 0]
    assert high == pytest.approx(1 / (1 + math.exp(-20)), abs=1e-15)
    assert high < higher < 1


def test_differences_are_what_they_say() -> None:
    ours, theirs = np.float32([[0.0, 2.0], [-1.0, 0.3]]), np.float32([[0.1, 2.0], [-1.0, -0.2]])
    targets = np.int8([[1, 0], [0, 1]])
    found = compare(ours, theirs, targets, np.array([0.5, 0.5]))
    assert found.logit == pytest.approx(0.5)
    assert found.probability == pytest.approx(1 / (1 + math.exp(-0.3)) - 1 / (1 + math.exp(0.2)))
    assert found.decisions == 0.75
    assert found.mean_ap == 0
    # a threshold between the two probabilities of one image
    assert compare(ours, theirs, targets, np.array([0.51, 0.9])).decisions == 0.75
    assert compare(ours, theirs, targets, np.array([0.9, 0.1])).decisions == 1


def test_a_probability_at_the_threshold_counts_as_present() -> None:
    at, below = np.float32([[0.0]]), np.float32([[-1e-6]])
    assert compare(at, below, np.int8([[1]]), np.array([0.5])).decisions == 0


def test_map_is_that_of_the_reference() -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(50, 4)).astype(np.float32), rng.integers(0, 2, (50, 4))
    expected = np.mean([average_precision_score(targets[:, c], logits[:, c]) for c in range(4)])
    assert mean_ap_of(logits, targets.astype(np.int8)) == pytest.approx(expected)
    other = rng.normal(size=(50, 4)).astype(np.float32)
    difference = compare(logits, other, targets.astype(np.int8), np.full(4, 0.5))
    assert difference.mean_ap == pytest.approx(
        expected - mean_ap_of(other, targets.astype(np.int8))
    )


def test_without_positives_there_is_no_map_and_no_fault() -> None:
    logits = np.float32([[1.0], [2.0]])
    difference = compare(logits, logits, np.int8([[0], [-1]]), np.array([0.5]))
    assert math.isnan(difference.mean_ap)
    assert Limits(0.0, 0.0, 0.0, 0.0).faults(difference) == []


DIFFERENCE = Difference(logit=0.02, probability=0.003, decisions=0.99, mean_ap=-0.01)


@pytest.mark.parametrize(
    ("limits", "faults"),
    [
        (Limits(), []),
        (Limits(0.02, 0.003, 0.01, 0.01), []),
        (Limits(logit=0.019), ["a logit differs by 0.02, more than 0.019"]),
        (Limits(probability=0.001), ["a probability differs by 0.003, more than 0.001"]),
        (Limits(mean_ap=0.005), ["mAP differs by 0.01, more than 0.005"]),
        (Limits(mean_ap_drop=0.005), ["mAP drops by 0.01, more than 0.005"]),
        (Limits(0.0, 0.0), ["a logit differs by 0.02, more than 0",
                            "a probability differs by 0.003, more than 0"]),
    ],
)  # fmt: skip
def test_faults_are_what_is_above_its_limit(limits: Limits, faults: list[str]) -> None:
    assert limits.faults(DIFFERENCE) == faults


def test_a_gain_of_map_is_no_drop_but_a_difference() -> None:
    gain = Difference(0.0, 0.0, 1.0, mean_ap=0.02)
    assert Limits(mean_ap_drop=0.0).faults(gain) == []
    assert Limits(mean_ap=0.01).faults(gain) == ["mAP differs by 0.02, more than 0.01"]


def test_ranks_that_swap_among_equal_logits_are_no_fault() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (40, 1)).astype(np.int8)
    logits = (1 + rng.random((40, 1)) * 1e-6).astype(np.float32)
    other = (logits[::-1]).copy()
    found = compare(other, logits, targets, np.array([0.5]))
    assert found.decisions == 1
    assert abs(found.mean_ap) > 1e-3
    assert Limits(mean_ap=1e-4).faults(found) == []


def test_ranks_that_swap_over_a_distance_are_a_fault() -> None:
    targets = np.int8([[1], [0], [1], [0]])
    logits = np.array([[0.4], [0.3], [0.2], [0.1]], np.float32)
    found = compare(logits[::-1].copy(), logits, targets, np.array([0.5]))
    assert abs(found.mean_ap) > 0.1
    assert len(Limits(mean_ap=1e-4).faults(found)) == 1
