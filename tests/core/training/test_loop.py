"""The loop, over a real tiny model and data set."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mlc_cli.core.loading.readers import Readers
from mlc_cli.core.training import loop
from mlc_cli.core.training.build import Training, prepare
from mlc_cli.core.training.events import EpochReport, Tick
from mlc_cli.core.training.loop import train
from mlc_cli.errors import BadImageError, DataError, Interrupted, TrainingError
from mlc_cli.settings.train import TrainSettings

Make = Callable[..., Training]
FULL = (
    "ema.decay=0.9",
    "optim.sam.rho=0.05",
    "model.head.dropout=0.2",
    "augment.mix.name=mixup",
    "augment.cutout.p=0.5",
    "optim.accumulate=2",
)


@pytest.fixture
def make(make_dataset: Callable[..., Path], tiny_settings: Callable[..., TrainSettings]) -> Make:
    def build(*assignments: str, images: int = 24, unknown: bool = False) -> Training:
        data = make_dataset(images, 12, unknown=unknown)
        return prepare(tiny_settings(data, *assignments))

    return build


def run(training: Training, on_tick: Callable[[Tick], None] = lambda _: None) -> list[EpochReport]:
    return list(train(training.plan, training.state, on_tick))


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([value.double().flatten() for value in model.state_dict().values()])


@pytest.mark.parametrize("loss", ["bce", "asl", "aam"])
def test_a_tiny_training_learns(make: Make, loss: str) -> None:
    head = "cosine" if loss == "aam" else "linear"
    training = make(
        "epochs=5", "optim.lr=0.005", f"loss.name={loss}", f"model.head.name={head}", images=64
    )
    reports = run(training)
    assert [r.epoch for r in reports] == [1, 2, 3, 4, 5]
    assert reports[-1].loss < 0.8 * reports[0].loss  # type: ignore[operator]
    assert reports[-1].best.mean_ap > 0.9, "chance is about 0.5"


def test_it_learns_around_unknown_labels(make: Make) -> None:
    training = make("epochs=6", "optim.lr=0.005", "loss.pos_weight=auto", images=64, unknown=True)
    assert run(training)[-1].best.mean_ap > 0.9


@pytest.mark.parametrize("extra", [(), FULL])
def test_seeds_decide_everything(make: Make, extra: tuple[str, ...]) -> None:
    results = {}
    for name, seed, draws in (("first", 3, 0), ("again", 3, 7), ("other", 4, 0)):
        training = make("epochs=2", f"seed={seed}", *extra)
        torch.rand(draws)
        reports = run(training)
        results[name] = (weights(training.state.model), [(r.loss, r.validation) for r in reports])
    assert torch.equal(results["first"][0], results["again"][0])
    assert results["first"][1] == results["again"][1]
    assert not torch.equal(results["first"][0], results["other"][0])


def test_the_better_of_raw_and_averaged_weights_is_reported_as_best(make: Make) -> None:
    training = make("epochs=4", "ema.decay=0.99", "optim.lr=0.005", images=48)
    best = -1.0
    for report in run(training):
        validation = report.validation
        assert validation
        assert validation.map_ema is not None
        reached = max(validation.map_raw, validation.map_ema)
        assert validation.improved == (reached > best)
        if validation.improved:
            assert report.best.mean_ap == reached
            assert report.best.epoch == report.epoch
            assert report.best.averaged == (validation.map_ema > validation.map_raw)
        best = max(best, reached)
        assert report.best.mean_ap == best


def test_an_average_that_is_better_is_chosen(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    training = make("epochs=1", "ema.decay=0.99")
    scores = iter((0.25, 0.75))

    class Value:
        @staticmethod
        def mean_average_precision() -> float:
            return next(scores)

    monkeypatch.setattr(loop, "score", lambda *_: Value)
    (report,) = run(training)
    assert report.best.averaged
    assert report.best.mean_ap == 0.75
    assert training.state.best == report.best


@pytest.mark.parametrize(
    ("epochs", "every", "evaluated"),
    [(5, 2, [2, 4, 5]), (4, 2, [2, 4]), (2, 9, [2]), (2, 1, [1, 2])],
)
def test_evaluations_come_every_so_many_epochs_and_after_the_last(
    make: Make, epochs: int, every: int, evaluated: list[int]
) -> None:
    reports = run(make(f"epochs={epochs}", f"eval_every={every}"))
    assert [r.epoch for r in reports if r.validation] == evaluated


@pytest.mark.parametrize("extra", [("warm_start.epochs=2",), ("ema.decay=0.9", "epochs=5")])
def test_what_is_read_next_is_known_from_the_start(
    make: Make, monkeypatch: pytest.MonkeyPatch, extra: tuple[str, ...]
) -> None:
    training, asked, follow = make("epochs=3", "eval_every=2", *extra), [], Readers.follow

    def note(readers: Readers, requests: Any) -> None:
        asked.append(requests)
        follow(readers, requests)

    monkeypatch.setattr(Readers, "follow", note)
    run(training)
    assert list(training.plan.val.epoch())
    assert len(asked) == 1


def test_ticks_count_batches_of_each_phase(make: Make) -> None:
    ticks: list[Tick] = []
    run(make("epochs=2", "optim.accumulate=2", "warm_start.epochs=1"), ticks.append)
    phases = [(key, len(list(group))) for key, group in itertools.groupby(
        ticks, key=lambda t: (t.phase, t.epoch))]  # fmt: skip
    assert phases == [
        (("warm start", 0), 4),
        (("validate", 0), 2),
        (("train", 1), 2),
        (("validate", 1), 2),
        (("train", 2), 2),
        (("validate", 2), 2),
    ]
    assert [(t.done, t.total) for t in ticks if t.phase == "train"] == [(2, 3), (3, 3)] * 2
    assert all(t.loss is not None for t in ticks if t.phase == "train")


def test_a_loss_that_is_not_finite_names_epoch_batch_and_images(make: Make) -> None:
    training = make("epochs=3")
    calls = itertools.count()
    forward = training.plan.step.forward
    object.__setattr__(
        training.plan.step,
        "forward",
        lambda images: forward(images) * (float("nan") if next(calls) == 4 else 1.0),
    )
    seen: list[EpochReport] = []
    with pytest.raises(TrainingError, match=r"the loss is nan in epoch 2, batch 2 \(images ") as e:
        seen.extend(train(training.plan, training.state, lambda _: None))
    assert "--lr" in e.value.hint


def test_early_stopping_waits_until_the_rate_has_annealed(make: Make) -> None:
    training = make(
        "epochs=12", "early_stop.patience=1", "schedule.name=one_cycle", "schedule.pct_start=0.25",
        "optim.lr=1e-12",
    )  # fmt: skip
    reports = run(training)
    assert reports[-1].stopped
    assert not any(r.stopped for r in reports[:-1])
    assert reports[-1].lr < 0.5e-12
    assert 6 <= reports[-1].epoch < 12
    assert run(training) == [], "a stopped training does not go on"


def test_bad_images_are_an_error_by_default(make: Make) -> None:
    training = make("epochs=1")
    training.splits.train.path(5).write_bytes(b"not an image")
    with pytest.raises(BadImageError, match=r"005\.png"):
        run(training)


def test_bad_images_may_be_skipped_and_are_counted(make: Make) -> None:
    training = make("epochs=2", "data.on_bad_image=skip")
    training.splits.train.path(5).write_bytes(b"not an image")
    training.splits.val.path(3).write_bytes(b"not an image")
    reports = run(training)
    assert [r.unreadable for r in reports] == [2, 2]
    assert reports[-1].loss is not None


def test_a_split_without_a_readable_image_is_an_error(make: Make) -> None:
    training = make("epochs=1", "data.on_bad_image=skip", images=8)
    for image in range(8):
        training.splits.train.path(image).write_bytes(b"not an image")
    with pytest.raises(DataError, match="no image can be read"):
        run(training)


@pytest.mark.parametrize(
    "settings",
    [
        (),
        FULL,
        ("batch_size=1", "data.on_bad_image=skip", "optim.accumulate=3", "model.freeze_bn=true"),
        ("warm_start.epochs=2", "eval_every=2", "ema.decay=0.9", "model.head.dropout=0.5"),
        ("schedule.name=plateau", "schedule.patience=0", "early_stop.patience=3"),
    ],
)
def test_a_training_interrupted_at_any_tick_continues_to_the_bit(
    make: Make, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    def build() -> Training:
        training = make("epochs=2", *settings, images=24 if "batch_size=1" not in settings else 8)
        for image in (1, 2, 6) if "batch_size=1" in settings else ():
            training.splits.train.path(image).write_bytes(b"not an image")
        return training

    def facts(report: EpochReport) -> tuple[object, ...]:
        return (report.epoch, report.loss, report.lr, report.validation, report.best)

    whole = build()
    seen: set[Tick] = set()
    reports = [facts(report) for report in run(whole, lambda tick: seen.add(without_loss(tick)))]
    expected, path, found = len(seen), tmp_path / "trainer.pt", []
    seen.clear()

    def stop_at_what_is_new(tick: Tick) -> None:
        if without_loss(tick) not in seen:
            seen.add(without_loss(tick))
            raise Interrupted("stop")

    build().state.save(path)
    for _ in range(expected + 1):
        training = build()
        training.state.load(path)
        try:
            for report in train(training.plan, training.state, stop_at_what_is_new):
                found.append(facts(report))
                training.state.save(path)
        except Interrupted:
            training.state.save(path)
    assert len(seen) == expected
    assert found == reports
    for ours, theirs in zip(models(training), models(whole), strict=True):
        assert torch.equal(weights(ours), weights(theirs))


def models(training: Training) -> list[nn.Module]:
    ema = training.state.ema
    return [training.state.model, *([ema.model] if ema else [])]


def without_loss(tick: Tick) -> Tick:
    return replace(tick, loss=None)
