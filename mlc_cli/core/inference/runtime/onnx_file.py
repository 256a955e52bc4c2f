"""ONNX files through ONNX Runtime."""

from pathlib import Path

import onnxruntime
import torch
from torch import Tensor

from mlc_cli.core.inference.runtime.metadata import (
    SECTION,
    ExportInfo,
    check_shapes,
    from_entries,
)
from mlc_cli.core.inference.runtime.thresholds import unfold
from mlc_cli.core.runs.card import check_sealed
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.device import in_slices
from mlc_cli.core.system.files import named_faults
from mlc_cli.errors import CheckpointError, UsageError

CPU = torch.device("cpu")


class OnnxEngine:
    """Float32 logits (N×C) of uint8 RGB images (N×H×W×3), on the CPU or one GPU.

    Args:
        path: The file.
        device: `cpu` or `cuda:N`.

    Raises:
        CheckpointError: The file cannot be opened, or was not exported by mlc.
        UsageError: This build of ONNX Runtime cannot use the device.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        sealed = check_sealed(path)
        self._session = _open(path, device)
        entries = self._session.get_modelmeta().custom_metadata_map
        prefix = f"{SECTION} "
        self.info: ExportInfo = from_entries(
            {key.removeprefix(prefix): text for key, text in entries.items()}, path, sealed=sealed
        )
        with named_faults(path, "is not a graph of mlc", CheckpointError):
            (image,) = self._session.get_inputs()
            check_shapes(self.info.card, image.shape, self._session.get_outputs()[0].shape, path)
        mean, std = torch.tensor(self.info.card.mean), torch.tensor(self.info.card.std)
        self._scale, self._shift = 1 / (255 * std), -mean / std

    def __call__(self, images_NHWC: Tensor) -> Tensor:
        """Logits of the classes, thresholds not subtracted."""
        return unfold(in_slices(self._run, images_NHWC), self.info)

    def _run(self, images_NHWC: Tensor) -> Tensor:
        normalised = images_NHWC.float().mul_(self._scale).add_(self._shift)
        images_N3HW = normalised.permute(0, 3, 1, 2).contiguous()
        (logits_NC,) = self._session.run(["logits"], {"data": images_N3HW.numpy()})
        return torch.from_numpy(logits_NC)


def _open(path: Path, device: torch.device) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.log_severity_level = 3
    # Threads that spin while they wait take the cores from those that read images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = _providers(device)
    with named_faults(path, "is damaged or not an ONNX model", CheckpointError):
        return onnxruntime.InferenceSession(str(path), options, providers=providers)


def _providers(device: torch.device) -> list[str | tuple[str, dict[str, int]]]:
    if device.type == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise UsageError(
            f"device '{device}': the installed ONNX Runtime has no CUDA",
            "Use --device cpu, or install onnxruntime-gpu in place of onnxruntime.",
        )
    return [("CUDAExecutionProvider", {"device_id": device.index or 0}), "CPUExecutionProvider"]
