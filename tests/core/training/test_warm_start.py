"""Training of the head alone before the first epoch."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mlc_cli.core.evaluation.metrics import average_precision_C
from mlc_cli.core.inference.scoring import score
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.weights.class_order import BY_CLASS, BY_GROUP
from mlc_cli.core.runs.checkpoint import save_checkpoint
from mlc_cli.core.training.build import Training, prepare
from mlc_cli.core.training.loop import train
from mlc_cli.core.training.warm_start import WarmStart
from mlc_cli.errors import Interrupted, TrainingError
from mlc_cli.settings.train import TrainSettings

Prepare = Callable[..., Training]
HEADS = {
    "linear": ("model.head.name=linear", "model.head.dropout=0.1"),
    "cosine": ("model.head.name=cosine", "loss.name=aam"),
    "ml_decoder": (
        "model.head.name=ml_decoder",
        "model.head.dim=32",
        "model.head.heads=2",
        "model.head.ffn_dim=32",
    ),
    "graph": ("model.head.name=graph", "model.head.threshold=0.1"),
}


@pytest.fixture
def warm(make_dataset: Callable[..., Path], tiny_settings: Callable[..., TrainSettings]) -> Prepare:
    def build(head: str, *assignments: str, images: int = 48) -> Training:
        settings = tiny_settings(
            make_dataset(images, 24), "warm_start.epochs=15", "warm_start.batch_size=16",
            "warm_start.lr=0.01", *HEADS[head], *assignments,
        )  # fmt: skip
        return prepare(settings)

    return build


def run(training: Training) -> None:
    step, warm_start = training.plan.step, training.plan.warm_start
    assert warm_start
    model = training.state.model
    assert isinstance(model, Classifier)
    warm_start.run(model, step, lambda _done, _total: None)


def val_map(training: Training) -> float:
    engine = training.plan.step.engine(training.state.model)
    return score(engine, training.plan.val).mean_average_precision()


@pytest.mark.parametrize("head", HEADS)
def test_only_the_head_changes_and_it_helps(warm: Prepare, head: str) -> None:
    training = warm(head)
    before, first = copy.deepcopy(training.state.model.state_dict()), val_map(training)
    run(training)
    for name, value in training.state.model.state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(value, before[name]), name
    assert not torch.equal(
        *(torch.cat([v.flatten() for k, v in state.items() if k.startswith("head.")])
          for state in (before, training.state.model.state_dict()))
    )  # fmt: skip
    assert val_map(training) > max(first, 0.55) + 0.1


@pytest.mark.parametrize("head", HEADS)
def test_the_same_seed_gives_the_same_head(warm: Prepare, head: str) -> None:
    states = []
    for draws in (0, 5):
        training = warm(head, images=16)
        torch.rand(draws)
        run(training)
        states.append(training.state.model.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name])


@pytest.mark.parametrize("flip", [False, True])
def test_mirrored_images_double_the_features(warm: Prepare, flip: bool) -> None:
    training = warm("linear", f"warm_start.flip={str(flip).lower()}", images=20)
    ticks: list[tuple[int, int]] = []
    step, model = training.plan.step, training.state.model
    assert isinstance(model, Classifier)
    assert training.plan.warm_start
    training.plan.warm_start.run(model, step, lambda done, total: ticks.append((done, total)))
    steps = 15 * -(-20 * (2 if flip else 1) // 16)
    assert ticks[:3] == [(1, 3), (2, 3), (3, 3)]
    assert ticks[-1] == (steps, steps)
    assert len(ticks) == 3 + steps


@pytest.mark.parametrize("head", ["linear", "ml_decoder"])
def test_features_beyond_the_memory_allowed_are_refused_with_the_ways_out(
    warm: Prepare, head: str
) -> None:
    training = warm(head, "warm_start.max_gigabytes=1e-6")
    with pytest.raises(TrainingError, match=r"warm_start\.max_gigabytes") as caught:
        run(training)
    assert "warm_start.flip=false" in caught.value.hint
    assert "warm_start=null" in caught.value.hint


def test_the_model_is_as_it_was_until_the_head_is_done(warm: Prepare) -> None:
    training = warm("linear", images=16)
    before = copy.deepcopy(training.state.model.state_dict())

    def interrupt(done: int, total: int) -> None:
        if total == 30 and done == 29:
            raise Interrupted("stop")

    step, model = training.plan.step, training.state.model
    assert isinstance(model, Classifier)
    assert training.plan.warm_start
    with pytest.raises(Interrupted):
        training.plan.warm_start.run(model, step, interrupt)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_unknown_labels_and_unreadable_images_are_left_out(
    make_dataset: Callable[..., Path], tiny_settings: Callable[..., TrainSettings]
) -> None:
    data = make_dataset(16, 8, unknown=True)
    training = prepare(
        tiny_settings(data, "warm_start.epochs=1", "epochs=0", "data.on_bad_image=skip")
    )
    for number in range(9):  # the first batch of eight, whole, and one of the next
        (data / f"images/train/{number:03d}.png").write_bytes(b"not an image")
    (report,) = train(training.plan, training.state, lambda _: None)
    assert report.unreadable == 9
    assert report.validation


def test_the_average_starts_from_the_warm_head(warm: Prepare) -> None:
    training = warm("linear", "ema.decay=0.99", "ema.warmup=3", "epochs=0", images=16)
    (report,) = train(training.plan, training.state, lambda _: None)
    assert report.epoch == 0
    assert report.loss is None
    assert report.validation
    assert report.validation.improved
    ema = training.state.ema
    assert ema
    assert (ema.decay, ema.warmup, ema.steps) == (0.99, 3, 0)
    for name, value in training.state.model.state_dict().items():
        assert torch.equal(value, ema.model.state_dict()[name])


def test_a_head_from_starting_weights_keeps_its_biases(warm: Prepare, tmp_path: Path) -> None:
    first = warm("linear")
    run(first)
    model = first.state.model
    assert isinstance(model, Classifier)
    with torch.no_grad():
        model.head.linear.bias.fill_(7)
    save_checkpoint(tmp_path / "x.safetensors", model.state_dict(), first.card)
    again = warm(
        "linear", f"model.weights={tmp_path}/x.safetensors", "warm_start.lr=1e-9",
        "model.head.dropout=0",
    )  # fmt: skip
    run(again)
    torch.testing.assert_close(again.state.model.head.linear.bias, torch.full((3,), 7.0))


@pytest.mark.parametrize("head", ["linear", "cosine", "ml_decoder"])
def test_only_what_the_head_holds_of_new_classes_is_trained(
    warm: Prepare, tmp_path: Path, head: str
) -> None:
    first = warm(head)
    run(first)
    names = list(first.card.classes)
    card = replace(first.card, classes=[names[0], names[2], "~gone"])
    before = first.state.model.state_dict()
    save_checkpoint(tmp_path / "x.safetensors", before, card)
    again = warm(head, f"model.weights={tmp_path}/x.safetensors")
    assert again.built.report is not None
    assert f"new: {names[1]}; gone: ~gone" in again.built.report.notes[0]
    run(again)
    for name, value in again.state.model.state_dict().items():
        if name.removeprefix("head.") in BY_CLASS | BY_GROUP:
            assert torch.equal(value[[0, 2]], before[name][[0, 1]])
            if head != "ml_decoder":  # rows do not hang together: this one is learnt as at first
                assert torch.equal(value[1], before[name][1])
        else:
            assert torch.equal(value, before[name]), name
    evaluation = score(again.plan.step.engine(again.state.model), again.plan.val)
    assert average_precision_C(evaluation.probabilities_NC, evaluation.targets_NC)[1] > 0.6


def test_only_the_likeliest_unknown_labels_stay_unknown(
    warm: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each image one label is told; the head learns from the rest as absent, but for a part."""
    training = warm("linear", "warm_start.unsure=0.1", images=160)
    start = training.plan.warm_start
    assert start is not None
    seen: list[torch.Tensor] = []
    whole: list[torch.Tensor] = []
    original = WarmStart._features

    def one_label(self: WarmStart, *given: Any) -> tuple[torch.Tensor, ...]:
        features, targets, indices, said = original(self, *given)
        whole.append(targets.clone())
        order = np.random.default_rng(0).random((int(indices.max()) + 1, targets.shape[1]))
        first = ((targets == 1) * torch.from_numpy(order)[indices]).argmax(1)
        told = torch.full_like(targets, -1)
        rows = (targets == 1).any(1).nonzero()[:, 0]
        told[rows, first[rows]] = 1
        return features, told, indices, said

    def noted(
        self: WarmStart, head: Any, loss: Any, features: Any, targets: Any, *rest: Any
    ) -> None:
        seen.append(targets)
        learn(self, head, loss, features, targets, *rest)

    learn = WarmStart._train_head
    monkeypatch.setattr(WarmStart, "_features", one_label)
    monkeypatch.setattr(WarmStart, "_train_head", noted)
    run(training)
    told, last = seen[:-1], seen[-1]
    assert len(told) == 5  # folds
    hidden = int((whole[0] >= 0).sum()) - int((last == 1).sum())
    assert int((last < 0).sum()) == round(0.1 * hidden)
    truly = whole[0] == 1
    # what stays unknown is there more often than what is taken for absent
    assert truly[last < 0].float().mean() > truly[last == 0].float().mean() + 0.1
