"""The losses against printed golden numbers, literal float64 formulas, and at extremes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mlc_cli.core.training.losses.base import ElementLoss, MultilabelLoss
from mlc_cli.core.training.losses.build import build_loss
from mlc_cli.core.training.losses.elements import Aam, Asl, Bce
from mlc_cli.settings.loss import (
    AamSettings,
    AslSettings,
    BceSettings,
    LossSettings,
    SelectiveSettings,
)

COSINES = torch.tensor([[0.9, -0.8, 0.1], [-0.3, 0.5, -0.95]])
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [-3.0, 0.2, -0.4]])
TARGETS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
GAMMAS = (0.0, 0.5, 1.0, 4.0)


def build(
    settings: LossSettings,
    scale: float = 1.0,
    counts: tuple[list[int], list[int]] = ([1, 1, 1], [1, 1, 1]),
) -> MultilabelLoss:
    return build_loss(
        settings,
        scale=scale,
        positives_C=np.array(counts[0]),
        negatives_C=np.array(counts[1]),
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize(
    ("scale", "options", "golden"),
    [
        (23, {}, 0.0312597),
        (17, {}, 0.0330766),
        (23, {"margin": 0.1}, 0.0602640),
        (23, {"k": 0.8}, 0.0208399),
        (23, {"gamma_neg": 1}, 0.0232137),
        (23, {"gamma_neg": 1, "gamma_pos": 1}, 0.0232134),
        (23, {"gamma_neg": 4, "gamma_pos": 1}, 0.0174283),
        (23, {"label_smoothing": 0.1}, 0.2139276),
    ],
)
def test_aam_equals_the_golden_numbers(
    scale: float, options: dict[str, float], golden: float
) -> None:
    loss = build(AamSettings(reduction="sum", **options), scale)
    assert float(loss(scale * COSINES, TARGETS)) == pytest.approx(golden, abs=6e-8)


def test_aam_of_mixed_targets_equals_the_golden_number() -> None:
    mixed = TARGETS.lerp(TARGETS[[1, 0]], 0.3)
    value = float(build(AamSettings(reduction="sum"), 23)(23 * COSINES, mixed))
    assert value == pytest.approx(0.3882649, abs=6e-8)


def test_aam_with_an_unknown_target_equals_the_golden_number() -> None:
    targets = TARGETS.clone()
    targets[0, 2] = -1
    value = float(build(AamSettings(reduction="sum"), 23)(23 * COSINES, targets))
    assert f"{value:.2e}" == "1.34e-05"


@pytest.mark.parametrize(
    ("settings", "scale", "golden"),
    [
        (BceSettings(), 1, 2.5740082),
        (BceSettings(), 2, 2.3449314),
        (AslSettings(gamma_neg=0, clip=0), 1, 2.5740082),
        (AslSettings(gamma_neg=0), 1, 2.2546821),
        (AslSettings(), 1, 0.8234806),
        (AslSettings(gamma_pos=1), 1, 0.3828056),
        (AslSettings(gamma_neg=2, label_smoothing=0.1), 1, 1.1288061),
    ],
)
def test_bce_and_asl_equal_the_golden_numbers(
    settings: LossSettings, scale: float, golden: float
) -> None:
    loss = build(settings.model_copy(update={"reduction": "sum"}))
    # these numbers were printed from float32 sums, which are off by up to 3e-7 as ours are
    assert float(loss(scale * LOGITS, TARGETS)) == pytest.approx(golden, abs=6e-7)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def literal_bce(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return -(t * np.log(sigmoid(x)) + (1 - t) * np.log(1 - sigmoid(x)))


def literal_asl(x: np.ndarray, t: np.ndarray, loss: Asl) -> np.ndarray:
    p = sigmoid(x)
    q = np.minimum(1 - p + loss.clip, 1)
    weight = (1 - p * t - q * (1 - t)) ** (loss.gamma_pos * t + loss.gamma_neg * (1 - t))
    return -weight * (t * np.log(p) + (1 - t) * np.log(q))


def literal_aam(x: np.ndarray, t: np.ndarray, loss: Aam) -> np.ndarray:
    s, z = loss.scale, x / loss.scale
    present, absent = sigmoid(s * (z - loss.margin)), sigmoid(-s * (z + loss.margin))
    weight = np.ones_like(x)
    if loss.gamma_neg or loss.gamma_pos:
        absent = np.minimum(absent + loss.clip, 1)
        exponent = loss.gamma_pos * t + loss.gamma_neg * (1 - t)
        weight = (absent * t + present * (1 - t)) ** exponent
    return -weight * (
        loss.k / s * t * np.log(present) + (1 - loss.k) / s * (1 - t) * np.log(absent)
    )


def literal(elements: ElementLoss, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    match elements:
        case Asl():
            return literal_asl(x, t, elements)
        case Aam():
            return literal_aam(x, t, elements)
    return literal_bce(x, t)


ELEMENTS: list[ElementLoss] = [
    Bce(),
    *(Asl(neg, pos, clip) for neg in GAMMAS for pos in GAMMAS for clip in (0.0, 0.05)),
    *(
        Aam(scale, margin, 0.7, neg, pos, clip)
        for neg in GAMMAS
        for pos in GAMMAS
        for scale, margin, clip in ((23.0, 0.0, 0.05), (7.0, 0.2, 0.0))
    ),
]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("elements", ELEMENTS, ids=str)
def test_each_loss_equals_its_literal_formula(elements: ElementLoss, soft: bool) -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(-8, 8, (40, 7))
    t = rng.random((40, 7)) if soft else rng.integers(0, 2, (40, 7)).astype(float)
    positive, negative = elements(torch.tensor(x).float(), torch.tensor(t).float())
    expected = literal(elements, x, t)
    np.testing.assert_allclose((positive + negative).numpy(), expected, rtol=2e-4, atol=2e-6)
    exact = MultilabelLoss(elements, "sum")(torch.tensor(x), torch.tensor(t))
    assert exact.dtype == torch.float64
    assert float(exact) == pytest.approx(expected.sum(), rel=1e-9)


@pytest.mark.parametrize("elements", ELEMENTS, ids=str)
def test_gradient_of_each_loss_equals_a_difference_quotient(elements: ElementLoss) -> None:
    rng = np.random.default_rng(2)
    x, t = rng.uniform(-4, 4, (20, 5)), rng.random((20, 5))
    logits = torch.tensor(x, requires_grad=True)
    positive, negative = elements(logits, torch.tensor(t))
    (gradient,) = torch.autograd.grad((positive + negative).sum(), logits)
    step = 1e-6
    rise = literal(elements, x + step, t) - literal(elements, x - step, t)
    np.testing.assert_allclose(gradient.numpy(), rise / (2 * step), rtol=1e-5, atol=1e-7)


EXTREMES = torch.tensor([-1e4, -300.0, -89.0, -30.0, -1e-4, 0.0, 1e-4, 30.0, 89.0, 300.0, 1e4])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("elements", ELEMENTS, ids=str)
def test_value_and_gradient_are_finite_for_any_logit(
    elements: ElementLoss, smoothing: float, dtype: torch.dtype
) -> None:
    states = torch.tensor([0.0, 1.0, 0.3, -1.0])
    logits = EXTREMES[:, None].repeat(1, len(states)).to(dtype).requires_grad_()
    value = MultilabelLoss(elements, "sum", smoothing)(logits, states.expand(logits.shape))
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert value > 0
    assert gradient.dtype == dtype
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("elements", [Bce(), Asl(4, 1, 0.05), Aam(23, 0.1, 0.7, 0, 0, 0.05)])
def test_a_wrong_decision_of_any_size_still_has_a_gradient(elements: ElementLoss) -> None:
    logits = torch.tensor([[-1e4, 1e4]], requires_grad=True)
    value = MultilabelLoss(elements, "sum")(logits, torch.tensor([[1.0, 0.0]]))
    (gradient,) = torch.autograd.grad(value, logits)
    assert gradient[0, 0] < 0
    if not isinstance(elements, Asl):  # the shift of ASL lets go of hopeless negatives
        assert gradient[0, 1] > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_logits_are_computed_in_float32_inside_autocast(dtype: torch.dtype) -> None:
    logits = (12 * torch.randn(16, 5)).to(dtype)
    targets = torch.randint(0, 2, (16, 5))
    loss = build(AamSettings(), 23)
    with torch.autocast("cpu", dtype=dtype):
        inside = loss(logits, targets)
    assert torch.equal(inside, loss(logits.float(), targets.float()))


@pytest.mark.parametrize("reduction", ["batch_mean", "sum"])
@pytest.mark.parametrize("elements", [Bce(), Asl(4, 1, 0.05), Aam(23, 0, 0.7, 1, 0.5, 0.05)])
def test_unknown_targets_add_nothing_to_value_and_gradient(
    elements: ElementLoss, reduction: str
) -> None:
    torch.manual_seed(3)
    logits = torch.randn(6, 4, requires_grad=True)
    targets = torch.randint(0, 2, (6, 4)).float()
    unknown = torch.rand(6, 4) < 0.4
    loss = MultilabelLoss(elements, reduction, 0.1, torch.tensor([1.0, 2.0, 3.0, 4.0]))  # type: ignore[arg-type]
    value = loss(logits, targets.masked_fill(unknown, -1))
    (gradient,) = torch.autograd.grad(value, logits)
    assert unknown.any()
    assert (gradient[unknown] == 0).all()
    assert (gradient[~unknown] != 0).all()
    other = loss(torch.where(unknown, 1e4, logits), targets.masked_fill(unknown, -1))
    assert torch.equal(value, other)
    shorter = replace(loss, reduction="sum")(logits[:5], targets[:5].masked_fill(unknown[:5], -1))
    padded = torch.cat([targets[:5].masked_fill(unknown[:5], -1), torch.full((1, 4), -1.0)])
    images = 6 if reduction == "batch_mean" else 1
    torch.testing.assert_close(loss(logits, padded), shorter / images)


@pytest.mark.parametrize("elements", [Bce(), Asl(4, 1, 0.05), Aam(23, 0, 0.7, 1, 0.5, 0.05)])
def test_a_batch_of_unknowns_is_zero_with_a_graph(elements: ElementLoss) -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    value = MultilabelLoss(elements, "batch_mean", 0.1)(logits, torch.full((3, 4), -1))
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros(3, 4))  # type: ignore[arg-type]


def test_batch_mean_divides_by_images_and_sum_does_not() -> None:
    logits, targets = torch.randn(5, 3), torch.randint(0, 2, (5, 3))
    total = build(BceSettings(reduction="sum"))(logits, targets)
    torch.testing.assert_close(build(BceSettings())(logits, targets), total / 5)
    reference = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, targets.float(), reduction="sum"
    )
    torch.testing.assert_close(total, reference)


def test_label_smoothing_moves_targets_to_both_sides() -> None:
    logits, targets = torch.randn(5, 3), torch.randint(0, 2, (5, 3))
    smoothed = torch.where(targets == 1, 0.8, 0.2)
    torch.testing.assert_close(
        build(BceSettings(label_smoothing=0.2))(logits, targets),
        build(BceSettings())(logits, smoothed),
    )


def pos_weighted(positives: list[int], negatives: list[int], weight: float | str) -> Tensor:
    loss = build_loss(
        BceSettings(pos_weight=weight),
        scale=1.0,
        positives_C=np.array(positives),
        negatives_C=np.array(negatives),
        device=torch.device("cpu"),
    )
    assert loss.pos_weight_C is not None
    return loss.pos_weight_C


def test_pos_weight_auto_is_negatives_over_positives_within_bounds() -> None:
    weights = pos_weighted([25, 25, 99, 1, 0, 100], [75, 50, 1, 99, 100, 0], "auto")
    assert weights.tolist() == pytest.approx([3, 2, 0.1, 20, 20, 0.1])


def test_a_number_as_pos_weight_holds_for_all_classes() -> None:
    assert pos_weighted([1, 2, 3], [9, 8, 7], 2.5).tolist() == [2.5, 2.5, 2.5]


@pytest.mark.parametrize("soft", [False, True])
def test_pos_weight_acts_as_that_of_torch(soft: bool) -> None:
    weights = torch.tensor([0.5, 1.0, 7.0])
    logits = torch.randn(8, 3)
    targets = torch.rand(8, 3) if soft else torch.randint(0, 2, (8, 3)).float()
    torch.testing.assert_close(
        MultilabelLoss(Bce(), "sum", 0.0, weights)(logits, targets),
        torch.nn.functional.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=weights, reduction="sum"
        ),
    )


def literal_selective(
    logits: np.ndarray,
    targets: np.ndarray,
    gammas: tuple[float, float, float],
    clip: float,
    weight: float,
    likeliest: int,
    frequent_C: np.ndarray,
) -> float:
    """Class-aware selective loss as the paper writes it, label by label."""
    rows, classes = targets.shape
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    unknown = [(n, c) for n in range(rows) for c in range(classes) if targets[n, c] == -1]
    left_out = set(sorted(unknown, key=lambda at: -p[at])[: likeliest * rows])
    left_out |= {(n, c) for n, c in unknown if frequent_C[c]}
    total = 0.0
    for n in range(rows):
        for c in range(classes):
            q = min(1 - p[n, c] + clip, 1)
            if targets[n, c] == 1:
                total -= (1 - p[n, c]) ** gammas[0] * np.log(p[n, c])
            elif targets[n, c] == 0:
                total -= (1 - q) ** gammas[1] * np.log(q)
            elif (n, c) not in left_out:
                total -= weight * (1 - q) ** gammas[2] * np.log(q)
    return total


@pytest.mark.parametrize("likeliest", [0, 1, 2])
@pytest.mark.parametrize("name", ["bce", "asl"])
def test_selective_loss_equals_the_literal_formula(name: str, likeliest: int) -> None:
    rng = np.random.default_rng(likeliest)
    logits = rng.normal(0, 2, (40, 3))
    targets = rng.integers(-1, 2, (40, 3))
    selective = SelectiveSettings(likeliest=likeliest, frequent=0.5, gamma=3, weight=0.5)
    shared = {"reduction": "sum", "unknown": "selective", "selective": selective}
    settings: LossSettings = BceSettings(**shared)
    gammas, clip = (0.0, 0.0, 3.0), 0.0
    if name == "asl":
        settings = AslSettings(gamma_neg=1, gamma_pos=0.5, clip=0.05, **shared)
        gammas, clip = (0.5, 1.0, 3.0), 0.05
    counts = ([6, 3, 9], [4, 7, 0])  # the last tells nothing of how frequent it is
    expected = literal_selective(
        logits, targets, gammas, clip, 0.5, likeliest, np.array([True, False, False])
    )
    found = build(settings, 1.0, counts)(torch.tensor(logits), torch.tensor(targets))
    assert float(found) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["bce", "asl", "aam"])
def test_unknown_labels_taken_for_absent_are_absent(name: str) -> None:
    kind = {"bce": BceSettings, "asl": AslSettings, "aam": AamSettings}[name]
    targets = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, -1.0]])
    absent = build(kind(unknown="absent", label_smoothing=0.1), 17.0)(LOGITS, targets)
    plain = build(kind(label_smoothing=0.1), 17.0)(LOGITS, targets.clamp(min=0))
    assert float(absent) == pytest.approx(float(plain))


def test_selective_aam_focuses_on_unknown_labels_by_themselves() -> None:
    everything = SelectiveSettings(likeliest=0, frequent=1, gamma=2)
    loss = build(AamSettings(unknown="selective", selective=everything), 17.0)
    unknown = float(loss(LOGITS, torch.full((2, 3), -1.0)))
    absent = float(build(AamSettings(gamma_neg=2), 17.0)(LOGITS, torch.zeros(2, 3)))
    assert unknown == pytest.approx(absent)


def test_of_nothing_but_the_likeliest_unknown_labels_comes_no_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    selective = SelectiveSettings(likeliest=50)
    loss = build(BceSettings(unknown="selective", selective=selective))
    loss(logits, torch.full((2, 3), -1.0)).backward()
    assert float(logits.grad.abs().sum()) == 0
