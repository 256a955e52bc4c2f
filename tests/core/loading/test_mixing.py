import numpy as np
import pytest
import torch

from mlc_cli.core.loading.mixing import Cutmix, Mixup, mix_targets

TARGETS = torch.tensor([[1.0, 0, -1, 0], [0, 0, 1, 1], [1, -1, 0, 0], [0, 1, 0, 1], [1, 1, 0, 0]])


def marked(height: int = 12, width: int = 20) -> torch.Tensor:
    """Images whose pixels all hold the number of the image."""
    numbers = torch.arange(len(TARGETS), dtype=torch.float32)
    return numbers.view(-1, 1, 1, 1).expand(-1, 3, height, width).contiguous()


def literal_targets(other: list[int], part: float) -> np.ndarray:
    targets = TARGETS.double().numpy()
    mixed = np.empty_like(targets)
    for n, c in np.ndindex(*targets.shape):
        pair = targets[n, c], targets[other[n], c]
        mixed[n, c] = -1 if -1 in pair else part * pair[0] + (1 - part) * pair[1]
    return mixed


@pytest.mark.parametrize("seed", range(10))
def test_mixup_blends_images_and_targets_by_one_factor(seed: int) -> None:
    draws = np.random.default_rng(seed)
    draws.random()
    part, other = draws.beta(0.4, 0.4), draws.permutation(5)
    images = torch.randn(5, 3, 6, 4, generator=torch.Generator().manual_seed(seed))
    mixed, targets = Mixup(0.4, 1.0)(images, TARGETS, np.random.default_rng(seed))
    pixels = images.double().numpy()
    expected = part * pixels + (1 - part) * pixels[other]
    np.testing.assert_allclose(mixed, expected, atol=1e-6)
    np.testing.assert_allclose(targets, literal_targets(other.tolist(), part), atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_targets_follow_the_pasted_pixels(seed: int) -> None:
    mixed, targets = Cutmix(1.0, 1.0)(marked(), TARGETS, np.random.default_rng(seed))
    pasted = mixed != marked()
    for image in mixed[pasted.flatten(1).any(1)]:
        assert len(image.unique()) == 2
    masks = {mask.numpy().tobytes() for mask in pasted if mask.any()}
    assert len(masks) <= 1  # the same box in all images
    other = [
        int(image[mask].unique()) if mask.any() else number
        for number, (image, mask) in enumerate(zip(mixed, pasted, strict=True))
    ]
    area = float(pasted.float().flatten(1).mean(1).max())
    np.testing.assert_allclose(targets, literal_targets(other, 1 - area), atol=1e-6)


def test_cutmix_box_is_a_rectangle_inside_the_image() -> None:
    for seed in range(50):
        box = Cutmix(1.0, 1.0)._box(12, 20, np.random.default_rng(seed))
        top, bottom, left, right = box
        assert 0 <= top <= bottom <= 12
        assert 0 <= left <= right <= 20


def test_cutmix_takes_boxes_of_all_sizes() -> None:
    areas = []
    for seed in range(300):
        box = Cutmix(1.0, 1.0)._box(100, 200, np.random.default_rng(seed))
        areas.append((box[1] - box[0]) * (box[3] - box[2]) / 20_000)
    assert min(areas) < 0.01
    assert max(areas) > 0.8


@pytest.mark.parametrize("mix", [Mixup(0.2, 1.0), Cutmix(1.0, 1.0)])
def test_given_batch_is_not_written_to(mix: Mixup | Cutmix) -> None:
    images, targets = marked(), TARGETS.clone()
    mix(images, targets, np.random.default_rng(0))
    assert torch.equal(images, marked())
    assert torch.equal(targets, TARGETS)


@pytest.mark.parametrize("kind", [Mixup, Cutmix])
@pytest.mark.parametrize("p", [0.0, 0.4, 1.0])
def test_probability_is_by_batch(kind: type[Mixup] | type[Cutmix], p: float) -> None:
    rng = np.random.default_rng(0)
    images = marked(2, 2)
    mixed = sum(kind(1.0, p)(images, TARGETS, rng)[0] is not images for _ in range(500))
    assert mixed == pytest.approx(500 * p, abs=40)
    assert p not in (0.0, 1.0) or mixed == 500 * p


def test_one_image_mixes_with_itself() -> None:
    images, targets = Mixup(0.2, 1.0)(marked()[1:2], TARGETS[1:2], np.random.default_rng(0))
    torch.testing.assert_close(images, marked()[1:2])
    torch.testing.assert_close(targets, TARGETS[1:2])


@pytest.mark.parametrize("part", [0.0, 0.25, 1.0])
def test_unknown_in_either_image_stays_unknown(part: float) -> None:
    first = torch.tensor([[-1.0, -1, 1, 0, 1]])
    second = torch.tensor([[-1.0, 1, -1, 1, 1]])
    expected = torch.tensor([[-1.0, -1, -1, 1 - part, 1]])
    torch.testing.assert_close(mix_targets(first, second, part), expected)


@pytest.mark.parametrize("mix", [Mixup(0.2, 1.0), Cutmix(1.0, 1.0)])
def test_draws_come_from_the_given_generator_alone(mix: Mixup | Cutmix) -> None:
    first = mix(marked(), TARGETS, np.random.default_rng(4))
    second = mix(marked(), TARGETS, np.random.default_rng(4))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
