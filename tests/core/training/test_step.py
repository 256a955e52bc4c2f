"""One optimiser step against the same arithmetic written out by hand."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlc_cli.core.loading.dataset import Batch
from mlc_cli.core.loading.mixing import Mixup
from mlc_cli.core.loading.normalise import Normalise
from mlc_cli.core.training.losses.base import MultilabelLoss
from mlc_cli.core.training.losses.elements import Aam, Asl, Bce
from mlc_cli.core.training.optim.build import build_optimizer
from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.optim.sam import Sam
from mlc_cli.core.training.optim.schedules import Constant, OneCycle, Schedule
from mlc_cli.core.training.state import LossMeter, TrainState
from mlc_cli.core.training.step import Step, epoch_sizes
from mlc_cli.settings.optim import AdamWSettings, OptimSettings, SgdSettings

CPU = torch.device("cpu")
LR = 0.1


class Model(nn.Module):
    """A backbone without batch normalisation, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.GELU())
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(images).mean((2, 3)))
        return logits


class BnModel(nn.Module):
    """With batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layers(images).mean((2, 3)))
        return logits


def make_batch(images: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    return Batch(
        torch.from_numpy(rng.integers(0, 256, (images, 9, 9, 3), np.uint8)),
        torch.from_numpy(rng.integers(-1, 2, (images, 3)).astype(np.int8)),
        torch.arange(images),
        [],
    )


def join(*batches: Batch) -> Batch:
    return Batch(*(torch.cat(parts) for parts in list(zip(*batches, strict=True))[:3]), [])


def make_state(
    model: nn.Module,
    settings: OptimSettings | None = None,
    schedule: Schedule | None = None,
    *,
    fp16: bool = False,
    depth_of: dict[str, int] | None = None,
) -> TrainState:
    return TrainState(
        model=model,
        optimizer=build_optimizer(settings or SgdSettings(lr=LR), model, depth_of or {}),
        schedule=schedule or Constant(0),
        ema=None,
        scaler=torch.amp.GradScaler("cpu", enabled=fp16),
        early_stop=None,
        losses=LossMeter(1),
    )


def make_step(model: nn.Module, **changes: Any) -> Step:
    step = Step(
        forward=model,
        loss=MultilabelLoss(Bce(), "batch_mean"),
        normalise=Normalise((0.5,) * 3, (0.5,) * 3, CPU),
        precision="fp32",
        lr=LR,
        mix=None,
        sam=None,
        sam_from=0,
        clip_norm=None,
        seed=0,
    )
    return replace(step, **changes)


def make_model(kind: Callable[[], nn.Module] = Model) -> nn.Module:
    torch.manual_seed(0)
    return kind().train()


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def gradients(model: nn.Module, step: Step, batch: Batch) -> list[Tensor]:
    loss = step.loss(model(step.normalise(batch.images_NHWC)), batch.targets_NC)
    return list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize("sam", [None, Sam(0.05, False), Sam(0.5, True)])
@pytest.mark.parametrize("clip_norm", [None, 0.01])
@pytest.mark.parametrize("reduction", ["batch_mean", "sum"])
def test_two_accumulated_batches_make_the_step_of_one_of_double_size(
    reduction: str, clip_norm: float | None, sam: Sam | None
) -> None:
    first, second = make_batch(6, 1), make_batch(6, 2)
    results = []
    for batches in ([first, second], [join(first, second)]):
        model = make_model()
        loss = MultilabelLoss(Bce(), reduction)  # type: ignore[arg-type]
        step = make_step(model, loss=loss, sam=sam, clip_norm=clip_norm)
        state = make_state(model)
        before = weights(model)
        values = [step(state, batches, number) for number in range(3)]
        results.append((weights(model), torch.stack(values)))
        assert (weights(model) - before).norm() > 1e-4
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-6)


def test_parts_of_different_sizes_count_by_their_images() -> None:
    first, second = make_batch(7, 1), make_batch(2, 2)
    results = []
    for batches in ([first, second], [join(first, second)]):
        model = make_model()
        value = make_step(model)(make_state(model), batches, 0)
        results.append((weights(model), value))
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings", [SgdSettings(lr=LR, weight_decay=0.0), AdamWSettings(lr=LR)])
def test_plain_steps_equal_torchs_optimizer(settings: OptimSettings) -> None:
    model, other = make_model(), make_model()
    state, step = make_state(model, settings), make_step(model)
    reference = build_optimizer(settings, other, {})
    for number in range(4):
        batch = make_batch(5, number)
        step(state, [batch], number)
        for parameter, gradient in zip(
            other.parameters(), gradients(other, step, batch), strict=True
        ):
            # fused kernels expect the layout of the parameter, as a backward pass leaves it
            parameter.grad = torch.empty_like(parameter).copy_(gradient)
        reference.step()
    torch.testing.assert_close(weights(model), weights(other))


def literal_sam_step(model: nn.Module, step: Step, batch: Batch, sam: Sam, clip: float) -> None:
    """SGD without momentum, by hand."""
    before = [p.detach().clone() for p in model.parameters()]
    first = gradients(model, step, batch)
    with torch.no_grad():
        factors = [w.abs() if sam.adaptive else torch.ones_like(w) for w in before]
        norm = sum(((f * g) ** 2).sum() for f, g in zip(factors, first, strict=True)) ** 0.5
        for p, f, g in zip(model.parameters(), factors, first, strict=True):
            p.add_(sam.rho * f**2 * g / norm)
    second = gradients(model, step, batch)
    total = sum((g**2).sum() for g in second) ** 0.5
    with torch.no_grad():
        for p, w, g in zip(model.parameters(), before, second, strict=True):
            p.copy_(w - LR * g * min(1.0, clip / float(total)))


@pytest.mark.parametrize("clip", [1e9, 0.02])
@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_steps_equal_a_literal_implementation(adaptive: bool, clip: float) -> None:
    sam = Sam(0.3, adaptive)
    model, other = make_model(), make_model()
    state = make_state(model, SgdSettings(lr=LR, momentum=0.0, weight_decay=0.0))
    step = make_step(model, sam=sam, clip_norm=clip)
    for number in range(3):
        batch = make_batch(8, number)
        step(state, [batch], number)
        literal_sam_step(other, step, batch, sam, clip)
    torch.testing.assert_close(weights(model), weights(other), rtol=1e-4, atol=1e-6)


def test_sam_changes_the_step_and_starts_at_its_first_step() -> None:
    results = {}
    for sam_from in (0, 2, 99):
        model = make_model()
        state, step = make_state(model), make_step(model, sam=Sam(0.5, False), sam_from=sam_from)
        for number in range(2):
            step(state, [make_batch(8)], number)
        early = weights(model)
        step(state, [make_batch(8)], 2)
        results[sam_from] = (early, weights(model))
    assert torch.equal(results[2][0], results[99][0])
    assert not torch.equal(results[2][1], results[99][1])
    assert not torch.equal(results[0][0], results[99][0])


def test_the_loss_of_a_sam_step_is_that_before_it() -> None:
    model = make_model()
    plain = make_step(model)(make_state(copy.deepcopy(model)), [make_batch(8)], 0)
    model = make_model()
    perturbed = make_step(model, sam=Sam(0.5, False))(make_state(model), [make_batch(8)], 0)
    assert torch.equal(plain, perturbed)


def test_the_second_pass_of_sam_leaves_running_statistics_alone() -> None:
    statistics = []
    for sam in (None, Sam(0.5, False)):
        model = make_model(BnModel)
        make_step(model, sam=sam)(make_state(model), [make_batch(8)], 0)
        statistics.append({k: v for k, v in model.state_dict().items() if "layers.1" in k[:8]})
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(statistics[0][f"layers.1.{name}"], statistics[1][f"layers.1.{name}"]), (
            name
        )


def test_both_passes_of_sam_can_move_running_statistics() -> None:
    batch, sam = make_batch(8), Sam(0.5, False, moves_statistics=True)
    model, other = make_model(BnModel), make_model(BnModel)
    step = make_step(model, sam=sam)
    step(make_state(model), [batch], 0)
    literal_sam_step(other, step, batch, sam, 1e9)  # two plain forward passes
    for (name, buffer), expected in zip(model.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected, msg=name)
    assert int(model.get_buffer("layers.1.num_batches_tracked")) == 2


def test_weights_are_restored_when_the_second_pass_of_sam_raises() -> None:
    model = make_model()
    before = weights(model)
    calls = []

    def forward(images: Tensor) -> Tensor:
        calls.append(not torch.equal(weights(model), before))
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        logits: Tensor = model(images)
        return logits

    step = make_step(model, sam=Sam(0.5, False), forward=forward)
    with pytest.raises(RuntimeError, match="out of memory"):
        step(make_state(model), [make_batch(8)], 0)
    assert calls == [False, True]
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("clip_norm", [0.05, 1e6])
def test_clipping_limits_the_norm_of_all_gradients_together(clip_norm: float) -> None:
    model = make_model()
    state = make_state(model, SgdSettings(lr=LR, momentum=0.0, weight_decay=0.0))
    step = make_step(model, clip_norm=clip_norm)
    batch, before = make_batch(8), weights(model)
    expected = torch.cat([g.flatten() for g in gradients(model, step, batch)])
    step(state, [batch], 0)
    moved = (before - weights(model)) / LR
    torch.testing.assert_close(
        moved, expected * min(1.0, clip_norm / float(expected.norm())), rtol=1e-4, atol=1e-6
    )


def test_gradients_of_parameters_that_do_not_learn_do_not_clip_the_others() -> None:
    model, batch = make_model(), make_batch(8)
    depth_of = {n: 0 for n, _ in model.named_parameters() if n.startswith("backbone")}
    settings = SgdSettings(lr=LR, momentum=0.0, weight_decay=0.0, backbone_lr_scale=0.0)
    state = make_state(model, settings, depth_of=depth_of)
    of_head = torch.cat([g.flatten() for g in gradients(model, make_step(model), batch)[-2:]])
    clip_norm = 0.5 * float(of_head.norm())
    backbone, head = weights(model.backbone), weights(model.head)  # type: ignore[arg-type]
    for number in range(3):
        make_step(model, clip_norm=clip_norm)(state, [batch], number)
    assert torch.equal(weights(model.backbone), backbone)  # type: ignore[arg-type]
    moved = float((weights(model.head) - head).norm())  # type: ignore[arg-type]
    assert moved == pytest.approx(3 * LR * clip_norm, rel=0.05)


@pytest.mark.parametrize("sam", [None, Sam(0.05, False)])
def test_fp16_with_its_scaler_steps_close_to_fp32(sam: Sam | None) -> None:
    results = []
    for fp16 in (False, True):
        model = make_model()
        state = make_state(model, fp16=fp16)
        step = make_step(model, precision="fp16" if fp16 else "fp32", sam=sam, clip_norm=0.5)
        for number in range(5):
            value = step(state, [make_batch(4, number), make_batch(4, 9)], number)
        assert torch.isfinite(value)
        assert state.scaler.is_enabled() == fp16
        results.append(weights(model))
    assert not torch.equal(results[0], weights(make_model()))
    torch.testing.assert_close(results[0], results[1], rtol=0.05, atol=5e-3)


@pytest.mark.parametrize("sam", [None, Sam(0.05, False), Sam(0.05, True)])
def test_an_fp16_overflow_skips_the_step_and_lowers_the_scale(sam: Sam | None) -> None:
    model = make_model()
    state = make_state(model, fp16=True)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    step = make_step(model, precision="fp16", sam=sam)
    before = weights(model)
    step(state, [make_batch(8)], 0)
    assert torch.equal(weights(model), before)
    assert state.scaler.get_scale() == 2.0**126


def test_sam_under_a_scaler_takes_the_same_step_as_without() -> None:
    results = []
    for scaled in (False, True):
        model = make_model()
        state = make_state(model, fp16=scaled)
        step = make_step(model, sam=Sam(0.5, False), clip_norm=0.1)
        for number in range(3):
            step(state, [make_batch(8, number)], number)
        results.append(weights(model))
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-6)


def test_bf16_steps_close_to_fp32_with_float32_weights() -> None:
    results = []
    for precision in ("fp32", "bf16"):
        model = make_model()
        step = make_step(model, precision=precision)
        state = make_state(model)
        for number in range(5):
            step(state, [make_batch(8, number)], number)
        assert all(p.dtype == torch.float32 for p in model.parameters())
        results.append(weights(model))
    assert not torch.equal(results[0], results[1])
    torch.testing.assert_close(results[0], results[1], rtol=0.1, atol=0.02)


@pytest.mark.parametrize(
    "elements", [Bce(), Asl(4, 1, 0.05), Aam(23, 0, 0.7, 0, 0, 0.05), Aam(7, 0.1, 0.7, 4, 1, 0.05)]
)
def test_every_loss_learns_from_mixed_targets(elements: Any) -> None:
    losses = {}
    for name, mix in (("mixed", Mixup(1.0, 1.0)), ("plain", None)):
        model = make_model()
        seen: list[Tensor] = []

        def forward(images: Tensor, model: nn.Module = model, seen: Any = seen) -> Tensor:
            seen.append(images)
            logits: Tensor = model(images)
            return logits

        targets: list[Tensor] = []

        class Loss:
            reduction = "batch_mean"

            def __call__(
                self, logits: Tensor, given: Tensor, said: Any, targets: Any = targets
            ) -> Tensor:
                assert said is None
                targets.append(given)
                return MultilabelLoss(elements, "batch_mean")(logits, given)

        step = make_step(model, mix=mix, forward=forward, loss=Loss())
        losses[name] = step(make_state(model), [make_batch(8)], 3)
        soft = (targets[0] > 0) & (targets[0] < 1)
        assert soft.any() == (mix is not None)
        if mix is not None:
            rng = np.random.default_rng((0, 3, 0))
            images = make_step(model).normalise(make_batch(8).images_NHWC)
            wanted = mix(images, make_batch(8).targets_NC.float(), rng)
            assert torch.equal(seen[0], wanted[0])
            assert torch.equal(targets[0], wanted[1])
    assert losses["mixed"] != losses["plain"]


def test_rates_and_momentum_follow_the_schedule_in_every_group() -> None:
    schedule = OneCycle(10, 0.3, 100, 1000, (0.85, 0.95))
    for settings in (
        SgdSettings(lr=LR, bias_lr_scale=2.0),
        AdamWSettings(lr=LR, bias_lr_scale=2.0),
    ):
        model = make_model()
        state = make_state(model, settings, schedule)
        step = make_step(model)
        for number in (0, 2, 7, 9):
            step(state, [make_batch(2)], number)
            assert {g["lr_scale"] for g in state.optimizer.param_groups} == {1.0, 2.0}
            for group in state.optimizer.param_groups:
                expected = LR * schedule.factor(number) * group["lr_scale"]
                assert group["lr"] == pytest.approx(expected)
                momentum = group["betas"][0] if "betas" in group else group["momentum"]
                assert momentum == schedule.momentum(number)


def test_the_average_follows_each_step() -> None:
    model = make_model()
    state = make_state(model)
    state.ema = Ema(model, 0.9)
    literal = weights(model)
    for number in range(3):
        make_step(model)(state, [make_batch(8)], number)
        d = (1 + number) / (10 + number)
        literal = d * literal + (1 - d) * weights(model)
    torch.testing.assert_close(weights(state.ema.model), literal)


def test_what_is_random_in_a_step_depends_on_seed_and_step_alone() -> None:
    class Dropping(Model):
        def forward(self, images: Tensor) -> Tensor:
            return nn.functional.dropout(super().forward(images), 0.5)

    def value(seed: int, number: int) -> Tensor:
        model = make_model(Dropping)
        torch.rand(number + seed)  # whatever was drawn before must not matter
        return make_step(model, seed=seed, mix=Mixup(1, 1))(
            make_state(model), [make_batch(8)], number
        )

    assert torch.equal(value(0, 1), value(0, 1))
    assert value(0, 1) != value(0, 2)
    assert value(0, 1) != value(1, 1)


def test_images_are_of_the_size_of_their_epoch_and_as_they_come_at_the_end() -> None:
    shapes: list[tuple[int, ...]] = []
    model = Model()
    sizes = [(6, 6), (8, 9), (9, 9)]

    def forward(images: Tensor) -> Tensor:
        shapes.append(tuple(images.shape[2:]))
        return model(images)

    step = replace(make_step(model), forward=forward, sizes=sizes, size_steps=2)
    state = make_state(model)
    for number in range(7):
        step(state, [make_batch(4)], number)
    assert shapes == [(6, 6), (6, 6), (8, 9), (8, 9), (9, 9), (9, 9), (9, 9)]
    assert step.pixels == pytest.approx((36 + 72 + 81) / 3 / 81)
    assert replace(step, sizes=()).pixels == 1


def test_sizes_grow_evenly_in_steps_of_32() -> None:
    assert epoch_sizes((1.0, 1.0), (100, 100), 4) == []
    found = epoch_sizes((0.5, 1.0), (224, 448), 5)
    assert found == [(128, 224), (128, 288), (160, 320), (192, 384), (224, 448)]
    assert epoch_sizes((0.25, 0.25), (32, 64), 2) == [(32, 32), (32, 32)]


def test_a_model_is_evaluated_without_what_training_does_at_random() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 8 * 8, 3)).train()
    engine = make_step(model).engine(model)
    images = make_batch(6, 1).images_NHWC[:, :8, :8]
    first, second = (engine.logits(images) for _ in range(2))
    assert torch.equal(first, second)
    assert not model.training
