"""A model over a split."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.inference import scoring
from mlc_cli.core.inference.scoring import Scores, score
from mlc_cli.core.inference.torch_engine import TorchEngine
from mlc_cli.core.loading.build import build_eval_batches, read_split
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.loading.normalise import Normalise
from mlc_cli.errors import TrainingError
from mlc_cli.settings.data import DataSettings

CPU = torch.device("cpu")


def scored(model: nn.Module, batches: Batches, *on_batch: Callable[[int, int], Any]) -> Scores:
    normalise = Normalise((0.0,) * 3, (1.0,) * 3, CPU)
    return score(TorchEngine(model.eval(), normalise, CPU, "fp32"), batches, *on_batch)


class Means(nn.Module):
    """Logits are means of colours; those of the given images are replaced."""

    def __init__(self, value: float | None = None) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.value = value

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.dropout(images.mean((2, 3)) - 0.2)
        if self.value is not None:
            logits[1, 2] = self.value
        return logits


@pytest.fixture
def split(make_dataset: Callable[..., Path]) -> tuple[DataSettings, Annotation]:
    data = DataSettings(root=str(make_dataset(12, 10)), input_size=(32, 32), workers=0)
    return data, read_split(data, "val.json")


def batches_of(split: tuple[DataSettings, Annotation], size: int, **changes: object) -> Batches:
    data = split[0].model_copy(update=changes)
    return build_eval_batches(data, split[1], batch_size=size, device=CPU)


def test_every_image_is_scored_once_in_the_order_of_the_file(
    split: tuple[DataSettings, Annotation], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scored(Means(), batches_of(split, 99))
    assert whole.indices_N.tolist() == list(range(10))
    assert whole.probabilities_NC.dtype == np.float64
    np.testing.assert_array_equal(whole.targets_NC, split[1].targets_NC(range(10)))
    monkeypatch.setattr(scoring, "BLOCK", 2)
    for size in (1, 3, 10):
        parts = scored(Means(), batches_of(split, size))
        np.testing.assert_allclose(parts.probabilities_NC, whole.probabilities_NC, rtol=1e-6)


def test_ticks_count_the_batches(split: tuple[DataSettings, Annotation]) -> None:
    ticks: list[tuple[int, int]] = []
    scored(Means(), batches_of(split, 4), lambda done, total: ticks.append((done, total)))
    assert ticks == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_an_output_that_is_not_finite_is_an_error(
    split: tuple[DataSettings, Annotation], value: float
) -> None:
    with pytest.raises(TrainingError, match="not finite for 2 of 10 images"):
        scored(Means(value), batches_of(split, 5))


def test_unreadable_images_are_left_out_where_they_may_be(
    split: tuple[DataSettings, Annotation],
) -> None:
    split[1].path(2).write_bytes(b"not an image")
    scores = scored(Means(), batches_of(split, 4, on_bad_image="skip"))
    assert scores.indices_N.tolist() == [0, 1, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("size", [1, 2])
def test_a_batch_without_any_readable_image_is_no_trouble(
    split: tuple[DataSettings, Annotation], size: int
) -> None:
    for image in (2, 3):
        split[1].path(image).write_bytes(b"not an image")
    scores = scored(Means(), batches_of(split, size, on_bad_image="skip"))
    assert scores.indices_N.tolist() == [0, 1, 4, 5, 6, 7, 8, 9]


def test_map_is_that_of_scikit_learn_without_unknowns_and_empty_classes() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random((50, 4)).astype(np.float32)
    targets = rng.integers(-1, 2, (50, 4)).astype(np.int8)
    targets[:, 3] = np.minimum(targets[:, 3], 0)
    expected = [
        average_precision_score(targets[known, c] == 1, probabilities[known, c])
        for c in range(3)
        if (known := targets[:, c] >= 0).any()
    ]
    scores = Scores(probabilities, targets, np.arange(50))
    assert scores.mean_average_precision() == pytest.approx(np.mean(expected), abs=1e-9)
    empty = Scores(probabilities, np.zeros_like(targets), np.arange(50))
    assert np.isnan(empty.mean_average_precision())


def test_certain_images_keep_their_order(split: tuple[DataSettings, Annotation]) -> None:
    class Certain(Means):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return 20 + super().forward(images)  # a float32 sigmoid is 1 here for all

    plain = scored(Means(), batches_of(split, 10)).probabilities_NC
    certain = scored(Certain(), batches_of(split, 10)).probabilities_NC
    assert (certain < 1).all()
    np.testing.assert_array_equal(plain.argsort(axis=0), certain.argsort(axis=0))
