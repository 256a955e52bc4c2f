import numpy as np
import pytest
import torch

from mlc_cli.core.loading.normalise import Normalise

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CPU = torch.device("cpu")


def every_value() -> torch.Tensor:
    """All 256 values in each channel, on 8×16 positions."""
    values = torch.arange(256, dtype=torch.uint8).view(2, 8, 16, 1)
    return torch.cat([values, values.flip(2), values.flip(1)], 3)


@pytest.mark.parametrize("channels_last", [False, True])
def test_pixels_are_scaled_shifted_and_put_in_channels(channels_last: bool) -> None:
    images = every_value()
    found = Normalise(MEAN, STD, CPU, channels_last=channels_last)(images)
    expected = (images.double().numpy() / 255 - np.array(MEAN)) / np.array(STD)
    assert found.dtype == torch.float32
    assert found.shape == (2, 3, 8, 16)
    np.testing.assert_allclose(found.numpy(), expected.transpose(0, 3, 1, 2), atol=2e-6)


@pytest.mark.parametrize("channels_last", [False, True])
def test_memory_layout_is_the_one_asked_for(channels_last: bool) -> None:
    found = Normalise(MEAN, STD, CPU, channels_last=channels_last)(every_value())
    assert found.is_contiguous(memory_format=torch.channels_last) == channels_last
    assert found.is_contiguous() != channels_last


def test_half_and_half_gives_minus_one_to_one() -> None:
    half = (0.5, 0.5, 0.5)
    found = Normalise(half, half, CPU)(every_value())
    assert found.min() == pytest.approx(-1)
    assert found.max() == pytest.approx(1)


def test_given_batch_is_not_written_to() -> None:
    images = every_value()
    Normalise(MEAN, STD, CPU)(images)
    assert torch.equal(images, every_value())
