"""OpenVINO IR files, several requests at a time."""

import re
import threading
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino.preprocess import PrePostProcessor

from mlc_cli.core.inference.runtime.metadata import (
    SECTION,
    ExportInfo,
    check_shapes,
    from_entries,
)
from mlc_cli.core.inference.runtime.openvino_core import openvino_core
from mlc_cli.core.inference.runtime.requests import Requests
from mlc_cli.core.runs.card import check_sealed
from mlc_cli.core.system.files import named_faults
from mlc_cli.errors import CheckpointError, UsageError

Hint = Literal["auto", "f32", "bf16", "f16"]
"""Arithmetic of the device; `auto` leaves it to the device, which may be bf16 on a CPU."""
REQUEST_IMAGES = 4
"""A CPU runs INT8 a fifth faster on four images at once than on one, and no faster on eight."""


class IrEngine:
    """Float32 logits (N×C) of uint8 RGB images (N×H×W×3), a few images a request.

    The device decides how many requests run side by side. The layout is changed inside.

    Args:
        path: The `.xml` file; its `.bin` is beside it.
        device: Of OpenVINO: `CPU`, `GPU`, `NPU`, ...
        hint: Arithmetic.
        latency: Whether the time of one image matters more than the number a second.

    Raises:
        CheckpointError: The file cannot be opened, or was not exported by mlc.
        UsageError: There is no such device, or it cannot run the model, or not in this arithmetic.
    """

    def __init__(
        self, path: Path, device: str = "CPU", hint: Hint = "f32", *, latency: bool = False
    ) -> None:
        _check_device(device)
        self._path = path
        self.on_host = device.startswith("CPU")
        model, sealed = read_ir(path)
        with named_faults(path, "its metadata is damaged", CheckpointError):
            entries = read_entries(model)
        self.info: ExportInfo = from_entries(entries, path, sealed=sealed)
        with named_faults(path, "is not a graph of mlc", CheckpointError):
            image, logits = model.input(0).partial_shape, model.output("logits").partial_shape
            check_shapes(self.info, _known(image), _known(logits), path)
        steps = PrePostProcessor(model)
        steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        # An embedded resize leaves images alone that have their size already. It stays free: with
        # a fixed one, several streams give wrong results (seen in 2026.4).
        if not self.info.embedded:
            steps.input().tensor().set_shape([-1, *self.info.card.input_size, 3])
        steps.input().model().set_layout(ov.Layout("NHWC" if self.info.embedded else "NCHW"))
        config: dict[str, str] = {"PERFORMANCE_HINT": "LATENCY" if latency else "THROUGHPUT"}
        if hint != "auto":
            config["INFERENCE_PRECISION_HINT"] = hint
        compiled = _compile(steps.build(), device, config)
        self.arithmetic = _arithmetic(compiled)
        if hint != "auto" and self.arithmetic not in ("", hint):
            raise UsageError(
                f"device '{device}' computes in {self.arithmetic} and has no {hint}",
                "Leave the precision to the device with --set precision=auto.",
            )
        self._input = compiled.input(0).any_name
        self._requests = Requests(compiled)
        self._one_at_a_time = threading.Lock()

    def __call__(self, images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of the classes, thresholds not subtracted."""
        # not by OpenVINO, which leaves it out before some layers, and where sizes are free reads
        # bytes behind the end (seen in 2026.4)
        rows = np.ascontiguousarray(images_NHWC).reshape(-1, *images_NHWC.shape[2:])
        images = cv2.cvtColor(rows, cv2.COLOR_RGB2BGR).reshape(images_NHWC.shape)
        logits_NC = np.empty((len(images), len(self.info.card.classes)), np.float32)
        starts = range(0, len(images), REQUEST_IMAGES)
        inputs = ({self._input: images[row : row + REQUEST_IMAGES]} for row in starts)
        faults = named_faults(self._path, "its graph cannot be run", CheckpointError)
        with self._one_at_a_time, faults:  # a call has all requests already
            for row, some_NC in zip(starts, self._requests.run(inputs, "logits"), strict=True):
                logits_NC[row : row + REQUEST_IMAGES] = some_NC
        return self.info.unfold(logits_NC)


def read_ir(path: Path) -> tuple[ov.Model, bool]:
    """Read an `.xml` file and the `.bin` beside it; whether they carry a checksum.

    Raises:
        CheckpointError: One of them is missing or damaged.
    """
    for file in (path, path.with_suffix(".bin")):
        if not file.is_file():
            raise CheckpointError(
                f"{file}: there is no such file", "An IR is two files: NAME.xml and NAME.bin."
            )
    sealed = check_sealed(path, path.with_suffix(".bin"))
    with named_faults(path, "is damaged or not an OpenVINO IR", CheckpointError):
        return openvino_core().read_model(path), sealed


def _known(shape: ov.PartialShape) -> list[int | None]:
    """Lengths of a shape; `None` where it is free."""
    return [None if side.is_dynamic else side.get_length() for side in shape]


def read_entries(model: ov.Model) -> dict[str, str]:
    """The keys that clients read."""
    if not model.has_rt_info([SECTION]):
        return {}
    section = model.get_rt_info([SECTION]).value
    return {key: str(value) for key, value in section.items()}


def _compile(model: ov.Model, device: str, config: dict[str, str]) -> ov.CompiledModel:
    try:
        return openvino_core().compile_model(model, device, config)
    except RuntimeError as error:
        raise UsageError(
            f"device '{device}': OpenVINO cannot run this model on it ({_last_line(error)})"
        ) from None


def _arithmetic(compiled: ov.CompiledModel) -> str:
    """Empty for devices that only choose others, such as AUTO: they do not tell."""
    key = "INFERENCE_PRECISION_HINT"
    known = compiled.get_property("SUPPORTED_PROPERTIES")
    return str(compiled.get_property(key).to_string()) if key in known else ""


def cpu_name() -> str:
    """What the processor calls itself."""
    return str(openvino_core().get_property("CPU", "FULL_DEVICE_NAME"))


def _check_device(device: str) -> None:
    known = openvino_core().available_devices
    if re.split("[.:]", device, maxsplit=1)[0] not in {*known, "AUTO", "MULTI", "HETERO"}:
        raise UsageError(f"device '{device}': OpenVINO finds {', '.join(known)} on this machine")


def _last_line(error: RuntimeError) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else "unknown reason"
