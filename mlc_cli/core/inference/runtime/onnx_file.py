"""ONNX files through ONNX Runtime."""

import re
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mlc_cli.core.inference.runtime.metadata import (
    PICTURE,
    SECTION,
    ExportInfo,
    check_shapes,
    from_entries,
)
from mlc_cli.core.runs.card import check_sealed
from mlc_cli.core.system.cores import CPU_SLICE, keep_freed_memory, usable_cores
from mlc_cli.core.system.files import named_faults
from mlc_cli.core.system.processes import own_gpu
from mlc_cli.errors import CheckpointError, UsageError

Providers = list[str | tuple[str, dict[str, int]]]
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxEngine:
    """Float32 logits (N×C) of uint8 RGB images (N×H×W×3), on the CPU or one GPU.

    Args:
        path: The file.
        device: `cpu`, `cuda`, `cuda:N`, or `auto`: a GPU if ONNX Runtime can use one.

    Raises:
        CheckpointError: The file cannot be opened, or was not exported by mlc.
        UsageError: This build of ONNX Runtime cannot use the device.
    """

    def __init__(self, path: Path, device: str) -> None:
        providers = _providers(device)
        self.on_host = providers == [_CPU]
        if self.on_host:
            keep_freed_memory()
        sealed = check_sealed(path)
        self._session = _open(path, providers)
        with named_faults(path, "its metadata is damaged", CheckpointError):
            found = self._session.get_modelmeta().custom_metadata_map
        parts = ((key.partition(f"{SECTION} ")[1:], text) for key, text in found.items())
        entries = {key: text for (section, key), text in parts if section}
        self.info: ExportInfo = from_entries(entries, path, sealed=sealed)
        with named_faults(path, "is not a graph of mlc", CheckpointError):
            (image,) = self._session.get_inputs()
            check_shapes(self.info, image.shape, self._session.get_outputs()[0].shape, path)
        mean, std = (np.array(v, np.float32) for v in (self.info.card.mean, self.info.card.std))
        self._scale, self._shift = 1 / (255 * std), -mean / std
        self._takes_bytes = self.info.embedded
        if not (self.on_host or self._takes_bytes):
            self._normalise_inside(path, providers)

    def __call__(self, images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of the classes, thresholds not subtracted."""
        step = CPU_SLICE if self.on_host else max(1, len(images_NHWC))
        parts = range(0, max(1, len(images_NHWC)), step)
        logits = [self._run(images_NHWC[start : start + step]) for start in parts]
        return self.info.unfold(np.concatenate(logits))

    def _normalise_inside(self, path: Path, providers: Providers) -> None:
        """Let the graph do it: a GPU gets a quarter of the bytes, and the host has less to do."""
        import onnx.compose  # noqa: PLC0415 - a CPU does without, and starts sooner
        import onnx.parser  # noqa: PLC0415

        model = onnx.load(str(path))
        opset = next(entry.version for entry in model.opset_import if not entry.domain)
        scale, shift = (",".join(f"{x:.9g}" for x in v) for v in (self._scale, self._shift))
        before = onnx.parser.parse_model(
            f"""<ir_version: {model.ir_version}, opset_import: ["": {opset}]>
            normalisation (uint8[N, H, W, 3] {PICTURE}) => (float[N, 3, H, W] mlc_data)
            <float[3] mlc_scale = {{{scale}}}, float[3] mlc_shift = {{{shift}}}> {{
                mlc_pixels = Cast<to = 1>({PICTURE})
                mlc_scaled = Mul(mlc_pixels, mlc_scale)
                mlc_shifted = Add(mlc_scaled, mlc_shift)
                mlc_data = Transpose<perm = [0, 3, 1, 2]>(mlc_shifted)
            }}"""
        )
        whole = onnx.compose.merge_models(before, model, io_map=[("mlc_data", "data")])
        self._session = _open(path, providers, whole.SerializeToString())
        self._takes_bytes = True

    def _run(self, images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._takes_bytes:
            return self._session.run(["logits"], {PICTURE: images_NHWC})[0]  # type: ignore[no-any-return]
        normalised = images_NHWC.astype(np.float32)
        normalised *= self._scale
        normalised += self._shift
        images_N3HW = np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))
        (logits_NC,) = self._session.run(["logits"], {"data": images_N3HW})
        return logits_NC  # type: ignore[no-any-return]


def _open(
    path: Path, providers: Providers, content: bytes | None = None
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.log_severity_level = 3
    # Threads that spin while they wait take the cores from those that read images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with named_faults(path, "is damaged or not an ONNX model", CheckpointError):
        return onnxruntime.InferenceSession(content or str(path), options, providers=providers)


def _providers(device: str) -> Providers:
    has_cuda = _CUDA in onnxruntime.get_available_providers()
    if device == "cpu" or (device == "auto" and not has_cuda):
        return [_CPU]
    numbered = re.fullmatch(r"cuda(?::(\d+))?|auto", device)
    if not numbered:
        raise UsageError(f"device '{device}' is unknown", "Use auto, cpu, cuda or cuda:N.")
    if not has_cuda:
        raise UsageError(
            f"device '{device}': the installed ONNX Runtime has no CUDA",
            "Use --device cpu, or install onnxruntime-gpu in place of onnxruntime.",
        )
    return [(_CUDA, {"device_id": int(numbered[1] or own_gpu())}), _CPU]
