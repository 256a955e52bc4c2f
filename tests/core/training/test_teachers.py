"""Models that say what a student is to say."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import mlc_cli
from mlc_cli.core.loading.build import read_split
from mlc_cli.core.loading.unlabelled import with_unlabelled
from mlc_cli.core.runs.checkpoint import read_card, read_state, save_checkpoint
from mlc_cli.core.training.build import prepare
from mlc_cli.core.training.losses.base import MultilabelLoss, Taught
from mlc_cli.core.training.losses.elements import Bce
from mlc_cli.core.training.teachers import open_teachers
from mlc_cli.errors import DataError, SettingsError
from mlc_cli.jobs.train import train

Make = Callable[..., Any]
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def literal(x: np.ndarray, t: np.ndarray, temperature: float) -> np.ndarray:
    """The formula as it stands, of logits that are not large."""
    p, q = (1 / (1 + np.exp(-v.astype(np.float64) / temperature)) for v in (t, x))
    return temperature**2 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_the_divergence_is_that_of_the_formula_and_of_torch(temperature: float) -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(0, 4, (2, 16, 5))
    found = Taught(temperature, 0.5)(torch.tensor(x), torch.tensor(t))
    np.testing.assert_allclose(found.numpy(), literal(x, t, temperature), rtol=1e-10, atol=1e-12)
    student, teacher = (
        torch.distributions.Bernoulli(logits=torch.tensor(v) / temperature) for v in (x, t)
    )
    expected = torch.distributions.kl_divergence(teacher, student) * temperature**2
    torch.testing.assert_close(found, expected)
    both = [torch.stack([one.probs, 1 - one.probs], -1) for one in (student, teacher)]
    kl_div = torch.nn.functional.kl_div(both[0].log(), both[1], reduction="none").sum(-1)
    torch.testing.assert_close(found, kl_div * temperature**2)


def test_the_divergence_and_its_gradient_are_finite_for_any_logit() -> None:
    x = torch.tensor([[-1e4, 1e4, 100.0, 0.0]], requires_grad=True)
    found = Taught(1.0, 0.5)(x, torch.tensor([[1e4, 1e4, -1e4, 0.0]]))
    assert found.isfinite().all()
    assert found[0, 1] == found[0, 3] == 0
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad.tolist() == [[-1.0, 0.0, 1.0, 0.0]]  # σ(x) - σ(t)


@pytest.mark.parametrize("reduction", ["batch_mean", "sum"])
def test_images_without_labels_add_their_teachers_alone(reduction: Any) -> None:
    rng = np.random.default_rng(1)
    x, t = rng.normal(0, 2, (2, 6, 3))
    y = rng.integers(0, 2, (6, 3))
    y[4:] = -1
    loss = MultilabelLoss(Bce(), reduction, taught=Taught(2.0, 0.3))
    found = float(loss(torch.tensor(x), torch.tensor(y), torch.tensor(t)))
    q = 1 / (1 + np.exp(-x[:4]))
    labels = -(y[:4] * np.log(q) + (1 - y[:4]) * np.log(1 - q)).sum()
    expected = 0.7 * labels + 0.3 * literal(x, t, 2.0).sum()
    assert found == pytest.approx(expected / (6 if reduction == "batch_mean" else 1))
    assert float(loss(torch.tensor(x), torch.tensor(y))) == pytest.approx(
        labels / (6 if reduction == "batch_mean" else 1)
    )


@pytest.fixture
def teacher(make_dataset: Make, tiny_settings: Make, tmp_path: Path) -> Path:
    """A checkpoint for 48 by 40 pixels, of another normalisation."""
    assignments = ("epochs=1", "data.input_size=48x40", f"model.mean={list(MEAN)}",
                   f"model.std={list(STD)}", "name=teacher")  # fmt: skip
    for _ in train(tiny_settings(make_dataset(24, 12), *assignments)):
        pass
    return tmp_path / "runs/teacher-1/best.safetensors"


def test_a_teacher_sees_the_same_pixels_in_its_own_size_and_normalisation(
    teacher: Path, tmp_path: Path
) -> None:
    card, state = read_card(teacher), read_state(teacher)
    other = tmp_path / "other.safetensors"
    state["head.bias" if "head.bias" in state else next(k for k in state if "bias" in k)] += 0.5
    save_checkpoint(other, state, card)
    paths = [str(teacher), str(other)]
    both, notes = open_teachers(paths, ["blue", "green", "red"], ((0.1,) * 3, (0.5,) * 3),
                                lambda model: model, "fp32")  # fmt: skip
    assert notes[0] == f"teacher  {teacher}: test_resnet, 48x40 pixels"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 24, 20, 3), np.uint8)
    shown = torch.tensor((pixels / 255 - 0.1) / 0.5, dtype=torch.float32).permute(0, 3, 1, 2)
    # OpenCV enlarges by the same formula; uint8 images would be rounded
    large = [cv2.resize(one.astype(np.float32) / 255, (40, 48)) for one in pixels]
    own = (np.stack(large) - np.array(MEAN)) / np.array(STD)
    inputs = torch.tensor(own, dtype=torch.float32).permute(0, 3, 1, 2)
    with torch.no_grad():
        said = [mlc_cli.load(path, device="cpu").module(inputs) for path in paths]
    torch.testing.assert_close(both(shown), (said[0] + said[1]) / 2, rtol=1e-4, atol=1e-5)
    assert not both(shown).requires_grad


def test_classes_are_matched_by_name_and_others_are_named(teacher: Path) -> None:
    norms = ((0.0,) * 3, (1.0,) * 3)
    images = torch.rand(2, 3, 48, 40)

    def said(classes: list[str]) -> torch.Tensor:
        return open_teachers([str(teacher)], classes, norms, lambda m: m, "fp32")[0](images)

    assert torch.equal(said(["red", "blue", "green"]), said(["blue", "green", "red"])[:, [2, 0, 1]])
    with pytest.raises(SettingsError, match=r"(?s)only here: pink.*only there: red"):
        said(["blue", "green", "pink"])


def test_images_of_a_folder_are_behind_those_of_the_split(
    make_dataset: Make, tiny_settings: Make
) -> None:
    data = make_dataset(24, 12)
    settings = tiny_settings(data).data
    first, val = read_split(settings, "train.json"), read_split(settings, "val.json")
    more, text = with_unlabelled(str(data), first, [val])
    assert text == f"unlabelled  12 images of {data}; 36 that a split lists are left out"
    assert len(more) == 36
    assert all(more.path(n).is_file() for n in range(36))
    assert {more.path(n).parent.name for n in range(24, 36)} == {"test"}
    targets = more.targets_NC(range(36))
    np.testing.assert_array_equal(targets[:24], first.targets_NC(range(24)))
    assert (targets[24:] == -1).all()
    np.testing.assert_array_equal(more.positives.counts_C(3), first.positives.counts_C(3))
    np.testing.assert_array_equal(more.unknown_C(), first.unknown_C() + 12)
    sparse = with_unlabelled(str(data), replace(first, unlisted="unknown"), [val])[0]
    assert (sparse.targets_NC(range(24, 36)) == -1).all()
    with pytest.raises(DataError, match="all 48 images"):
        with_unlabelled(str(data), first, [val, read_split(settings, "test.json")])


def test_a_step_moves_towards_what_teachers_say(
    teacher: Path, tiny_settings: Make, tmp_path: Path
) -> None:
    """With the whole weight on a teacher, labels play no part in the gradient."""
    settings = tiny_settings(
        tmp_path / "data", "epochs=1", f"distill.teachers=['{teacher}']", "distill.weight=1",
    )  # fmt: skip
    training = prepare(settings)
    step, state = training.plan.step, training.state
    batch = next(training.plan.train.epoch(0))
    assert step.teach is not None
    wanted = step.teach(step.normalise(batch.images_NHWC)).sigmoid()
    flipped = batch._replace(targets_NC=1 - batch.targets_NC)
    made = []
    for one in (batch, flipped):
        state.optimizer.zero_grad()
        parts = [step._prepare(one, np.random.default_rng(0), None)]
        step._backward(state, parts, len(batch.indices_N))
        made.append([p.grad.clone() for p in state.learning if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))
    assert made[0]
    assert ((wanted > 0) & (wanted < 1)).all()
