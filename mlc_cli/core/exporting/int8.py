"""Quantisation to 8-bit integers with NNCF, under control of the mAP."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from torch import nn

from mlc_cli.core.evaluation.metrics import mean_ap_of
from mlc_cli.core.exporting.onnx_graph import INPUT, LOGITS, quiet
from mlc_cli.core.inference.runtime.requests import Requests
from mlc_cli.core.inference.runtime.signal_stack import kept_signal_stack
from mlc_cli.core.system.extras import import_extra
from mlc_cli.errors import MlcError

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """An image with its labels.

    Attributes:
        image_13HW: BGR in 0..255.
        targets_C: 1 present, 0 absent, -1 unknown.
    """

    image_13HW: Images
    targets_C: NDArray[np.int8]


@dataclass(frozen=True)
class Quantiser:
    """How a graph is quantised.

    Attributes:
        max_drop: Largest loss of mAP on the validation images.
        max_restored: Most operations that go back to floating point to keep to it.
        attention: Whether the model has attention, which NNCF then leaves in floating point.
    """

    max_drop: float
    max_restored: int
    activations: Literal["symmetric", "mixed"]
    attention: bool

    def __call__(
        self, model: ov.Model, calibration: Sequence[Images], validation: Sequence[Sample]
    ) -> ov.Model:
        """Quantise a graph, which is not changed.

        Ranges of activations are taken from one set of images, the mAP is measured on another.

        Raises:
            MlcError: NNCF cannot quantise this graph.
        """
        with _nncf() as nncf:
            presets = nncf.QuantizationPreset
            return nncf.quantize_with_accuracy_control(
                model,
                calibration_dataset=nncf.Dataset(calibration),
                validation_dataset=nncf.Dataset(validation, lambda sample: sample.image_13HW),
                validation_fn=_validate,
                max_drop=self.max_drop,
                drop_type=nncf.DropType.ABSOLUTE,
                preset=presets.MIXED if self.activations == "mixed" else presets.PERFORMANCE,
                model_type=nncf.ModelType.TRANSFORMER if self.attention else None,
                subset_size=len(calibration),
                advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                    max_num_iterations=self.max_restored
                ),
            )


def quantised_for_speed(model: ov.Model, image_13HW: Images, *, attention: bool) -> ov.Model:
    """Quantise a graph by one image: it is as fast as by many, but what it says is of no use.

    Raises:
        MlcError: NNCF is not installed, or cannot quantise this graph.
    """
    with _nncf() as nncf:
        kind = nncf.ModelType.TRANSFORMER if attention else None
        return nncf.quantize(model, nncf.Dataset([image_13HW]), subset_size=1, model_type=kind)


def has_attention(model: nn.Module) -> bool:
    """Whether any part of a model attends."""
    return any("attention" in type(module).__name__.lower() for module in model.modules())


def _validate(compiled: ov.CompiledModel, samples: Iterable[Sample]) -> tuple[float, list[float]]:
    """MAP, and the log-likelihood of each image's labels.

    A number for each image makes NNCF rank operations by the mAP that comes back with them, over
    the images that lost most. Given the outputs of each image it would rank them by the error that
    is left, largest first, and so return first what helps least.
    """
    kept = list(samples)
    inputs = ({INPUT: sample.image_13HW} for sample in kept)
    rows = [logits.copy() for logits in Requests(compiled).run(inputs, LOGITS)]
    logits_NC = np.concatenate(rows).astype(np.float32)
    targets_NC = np.stack([sample.targets_C for sample in kept])
    value = mean_ap_of(logits_NC, targets_NC)
    fits_NC = -np.logaddexp(0, np.where(targets_NC == 1, -logits_NC, logits_NC))
    fits_N = np.where(targets_NC >= 0, fits_NC, 0).sum(1)
    return (0.0 if np.isnan(value) else value), fits_N.tolist()


@contextmanager
def _nncf() -> Iterator[Any]:
    """NNCF at work, without a word of its own."""
    # It reports its use over the network unless it runs in tests of its own.
    os.environ.setdefault("NNCF_CI", "1")
    with quiet(), kept_signal_stack():
        nncf = import_extra("nncf", "int8")
        logging.getLogger("nncf").setLevel(logging.ERROR)
        try:
            yield nncf
        except Exception as error:  # its own errors have no common base
            raise MlcError(f"NNCF cannot quantise this model: {error}") from error
