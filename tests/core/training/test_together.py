"""Trainings by several processes against the same training by one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from mlc_cli.core.inference import scoring
from mlc_cli.core.system.distributed import ALONE, Group
from mlc_cli.core.training.build import Training, prepare
from mlc_cli.core.training.loop import train
from mlc_cli.errors import MlcError
from mlc_cli.settings.train import TrainSettings

Together = Callable[..., list[Any]]
VIT = ("model.backbone=test_vit", "batch_size=7", "eval_batch_size=5", "epochs=2")
SGD = ("optim.name=sgd", "optim.lr=0.05", "schedule.name=constant")
EXACT = {
    "sgd": SGD,
    "sum": (*SGD, "loss.reduction=sum", "optim.lr=0.005"),
    "sam": (*SGD, "optim.sam.rho=0.1"),
    "adaptive sam at last": (*SGD, "optim.sam.adaptive=true", "optim.sam.last_epochs=1"),
    "accumulation": (*SGD, "optim.accumulate=2"),
    "accumulation, sam, sum": (*SGD, "optim.accumulate=2", "optim.sam.rho=0.1",
                               "loss.reduction=sum", "optim.lr=0.005"),
    "clipping": (*SGD, "optim.clip_norm=0.05"),
    "asl": (*SGD, "loss.name=asl", "ema.decay=0.9"),
    "aam": (*SGD, "loss.name=aam", "model.head.name=cosine", "loss.pos_weight=auto"),
    "fp16": (*SGD, "precision=fp16", "optim.clip_norm=1"),
    "decoder": (*SGD, "model.head.name=ml_decoder", "model.head.dropout=0", "model.head.dim=32",
                "model.head.heads=2", "model.head.ffn_dim=16"),
    "frozen statistics": (*SGD, "model.backbone=test_resnet", "model.freeze_bn=true"),
    "rare classes repeated": (*SGD, "data.repeat_rare=0.8"),
    "warm start": (*SGD, "warm_start.epochs=3", "warm_start.batch_size=8", "ema.decay=0.9"),
    "shares without images": (*SGD, "batch_size=3", "data.on_bad_image=skip", "optim.clip_norm=1"),
    "fp16, shares without images": (*SGD, "batch_size=3", "data.on_bad_image=skip",
                                    "precision=fp16", "optim.sam.rho=0.1"),
}  # fmt: skip
ALIKE = {
    "everything random": (*SGD, "augment.mix.name=mixup", "model.head.dropout=0.5",
                          "augment.cutout.p=0.5", "model.drop_path=0.2", "ema.decay=0.9"),
    "own statistics": ("model.backbone=test_resnet", "ema.decay=0.9", "optim.sam.rho=0.1"),
    "sam of each process": (*SGD, "optim.sam.rho=0.1", "optim.sam.per_process=true"),
}  # fmt: skip


class Trained(NamedTuple):
    """What a training came to."""

    weights: Tensor
    maps: list[float | None]
    losses: list[float | None]
    unreadable: int
    scale: float
    images: list[int]


def flat(*models: nn.Module) -> Tensor:
    states = [model.state_dict().values() for model in models]
    return torch.cat([value.double().flatten() for state in states for value in state])


def trained(settings: TrainSettings) -> Trained:
    training = prepare(settings)
    reports = list(train(training.plan, training.state, lambda _: None))
    state = training.state
    validations = [report.validation for report in reports]
    return Trained(
        weights=flat(state.model, *([state.ema.model] if state.ema else [])),
        maps=[m for v in validations if v for m in (v.map_raw, v.map_ema)],
        losses=[report.loss for report in reports if report.epoch],
        unreadable=reports[-1].unreadable,
        scale=state.scaler.get_scale() if state.scaler.is_enabled() else 1.0,
        images=training.plan.train.sampler.images_of(0, range(1, 2)),
    )


@pytest.fixture
def settings_of(
    make_dataset: Callable[..., Path], tiny_settings: Callable[..., TrainSettings]
) -> Callable[..., TrainSettings]:
    data = make_dataset(31, 17, unknown=True)
    damaged = make_dataset(31, 17, name="damaged")
    for number in (*range(3, 31, 2), 4, 6, 8, 10):
        (damaged / f"images/train/{number:03d}.png").write_bytes(b"not an image")
    (damaged / "images/val/003.png").write_bytes(b"not an image")

    def make(assignments: tuple[str, ...]) -> TrainSettings:
        root = damaged if "data.on_bad_image=skip" in assignments else data
        return tiny_settings(root, *VIT, *assignments)

    return make


def test_the_same_settings_give_the_same_training(
    settings_of: Callable[..., TrainSettings], together: Together
) -> None:
    def work(_: Group) -> dict[str, Trained]:
        return {name: trained(settings_of(extra)) for name, extra in (EXACT | ALIKE).items()}

    alone = work(ALONE)
    first, second = together(work)
    for name in EXACT | ALIKE:
        assert torch.equal(first[name].weights, second[name].weights), name
        assert first[name][1:] == second[name][1:], name
    for name in EXACT:
        largest = (alone[name].weights - first[name].weights).abs().max().item()
        assert largest < (1e-3 if "fp16" in name else 2e-5), (name, largest)
        assert first[name].losses == pytest.approx(
            alone[name].losses, rel=1e-3 if "fp16" in name else 1e-5
        ), name
        assert first[name].maps == pytest.approx(alone[name].maps, abs=0.02), name
        assert first[name][3:] == alone[name][3:], name
    for name in ALIKE:
        assert not torch.allclose(alone[name].weights, first[name].weights, atol=1e-4), name


def test_three_processes_share_batches_that_three_does_not_divide(
    settings_of: Callable[..., TrainSettings], together: Together
) -> None:
    settings = settings_of((*SGD, "optim.sam.rho=0.1", "optim.accumulate=3"))
    alone = trained(settings)
    shared = together(lambda _: trained(settings), 3)
    assert all(torch.equal(one.weights, shared[0].weights) for one in shared)
    torch.testing.assert_close(shared[0].weights, alone.weights, atol=2e-5, rtol=0)


def test_scores_of_the_same_weights_are_equal_to_the_bit(
    settings_of: Callable[..., TrainSettings], together: Together
) -> None:
    settings = settings_of(("model.backbone=test_resnet",))

    def work(group: Group) -> list[Any]:
        scoring.BLOCK = 1 if group.size > 1 else scoring.BLOCK
        training = prepare(settings)
        engine = training.plan.step.engine(training.state.model)
        scores = scoring.score(engine, training.plan.val)
        return [scores.probabilities_NC, scores.targets_NC, scores.indices_N,
                scores.mean_average_precision()]  # fmt: skip

    alone = work(ALONE)
    for shared in together(work):
        assert [s.tolist() for s in shared[:3]] == [a.tolist() for a in alone[:3]]
        assert shared[3] == alone[3]


def failure(training: Training) -> str:
    try:
        list(train(training.plan, training.state, lambda _: None))
    except MlcError as error:
        return error.message
    return "none"


def test_a_loss_that_is_not_finite_in_one_process_stops_all_and_names_the_batch(
    settings_of: Callable[..., TrainSettings], together: Together
) -> None:
    def work(group: Group) -> str:
        training = prepare(settings_of(SGD))
        forward, calls = training.plan.step.forward, iter(range(100))

        def broken(images: Tensor) -> Tensor:
            factor = float("nan") if group.rank == 1 and next(calls) == 2 else 1.0
            return forward(images) * factor

        object.__setattr__(training.plan.step, "forward", broken)
        return failure(training)

    first, second = together(work)
    order = prepare(settings_of(SGD)).plan.train.sampler.images_of(0, range(2, 3))
    assert first == second
    shown = ", ".join(map(str, order[:5]))
    assert f"the loss is nan in epoch 1, batch 3 (images {shown}, ..." in first


def test_a_split_of_which_no_process_can_read_an_image_is_an_error(
    settings_of: Callable[..., TrainSettings], together: Together
) -> None:
    settings = settings_of(("data.on_bad_image=skip",))
    for path in Path(settings.data.root).glob("images/train/*.png"):
        path.write_bytes(b"not an image")
    assert all(
        "no image can be read" in message
        for message in together(lambda _: failure(prepare(settings)))
    )


def test_batches_that_cannot_be_shared_are_refused(
    settings_of: Callable[..., TrainSettings], together: Together
) -> None:
    def work(_: Group) -> str:
        with pytest.raises(MlcError) as caught:
            prepare(settings_of(("batch_size=1",)))
        return f"{caught.value.message} {caught.value.hint}"

    for message in together(work):
        assert "1 images a step cannot be shared by 2 processes" in message
        assert "all processes together" in message
