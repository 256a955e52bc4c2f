"""From uint8 batches to what the model takes."""

import torch
from torch import Tensor

RGB = tuple[float, float, float]


class Normalise:
    """Moves uint8 images to the device and normalises them there: (x / 255 - mean) / std.

    Mean and standard deviation are those of RGB in 0..1.
    """

    def __init__(
        self, mean: RGB, std: RGB, device: torch.device, *, channels_last: bool = True
    ) -> None:
        self.device = device
        self._scale = (1 / (255 * torch.tensor(std))).to(device)
        self._shift = (-torch.tensor(mean) / torch.tensor(std)).to(device)
        self._layout = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, images_NHWC: Tensor) -> Tensor:
        """Normalised float images, N×3×H×W."""
        pixels = images_NHWC.to(self.device, non_blocking=True).float()
        pixels = pixels.mul_(self._scale).add_(self._shift)
        return pixels.permute(0, 3, 1, 2).contiguous(memory_format=self._layout)
