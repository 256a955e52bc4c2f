"""The stock client of OpenVINO Model API, as a user of the exported files has it.

Names of arrays: N images, C classes.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from model_api.adapters import OpenvinoAdapter
from model_api.models import Model
from numpy.typing import NDArray
from scipy.special import expit

from mlc_cli.core.evaluation.metrics import Floats
from mlc_cli.core.inference.runtime.metadata import PICTURE
from mlc_cli.core.inference.runtime.openvino_core import openvino_core
from mlc_cli.errors import MlcError

CLIENT_THRESHOLD = 0.5


@dataclass(frozen=True)
class ClientOutputs:
    """What the client says of images, and how many a second it takes, from the file on."""

    probabilities_NC: Floats
    decided_NC: NDArray[np.bool_]
    rate: float


def run_client(path: Path, images: Sequence[Path], labels: Sequence[str]) -> ClientOutputs:
    """Run the client on image files, in float32 but otherwise as it comes.

    It should know these labels, in the order of the logits.

    Raises:
        MlcError: The client fails, or names other labels.
    """
    logging.getLogger("model_api").setLevel(logging.ERROR)
    probabilities_NC = np.empty((len(images), len(labels)))
    decided_NC = np.zeros((len(images), len(labels)), np.bool_)
    try:
        config = {"INFERENCE_PRECISION_HINT": "f32"}
        adapter = OpenvinoAdapter(openvino_core(), str(path), device="CPU", plugin_config=config)
        model = Model.create_model(adapter)
        started = time.perf_counter()
        for row, image in enumerate(images):
            result = model(cv2.imread(str(image)))
            probabilities_NC[row] = result.raw_scores
            for label in result.top_labels:
                _check_name(label.id, label.name, labels)
                decided_NC[row, label.id] = True
        seconds = time.perf_counter() - started
    except (RuntimeError, IndexError, ValueError) as error:
        raise MlcError(f"{path}: the client of OpenVINO Model API fails: {error}") from error
    return ClientOutputs(probabilities_NC, decided_NC, len(images) / seconds)


def run_onnx(path: Path, images: Sequence[Path], labels: Sequence[str]) -> ClientOutputs:
    """Run an ONNX file with embedded resize on image files, by ONNX Runtime and OpenCV alone."""
    session = onnxruntime.InferenceSession(str(path))
    started = time.perf_counter()
    logits_NC = np.empty((len(images), len(labels)))
    for row, image in enumerate(images):
        pixels = cv2.imread(str(image), cv2.IMREAD_COLOR_RGB)
        assert pixels is not None
        (logits_NC[row : row + 1],) = session.run(["logits"], {PICTURE: pixels[None]})
    seconds = time.perf_counter() - started
    return ClientOutputs(expit(logits_NC), logits_NC > 0, len(images) / seconds)


def _check_name(place: int, name: str, labels: Sequence[str]) -> None:
    if place >= len(labels) or labels[place] != name:
        raise MlcError(f"the client of OpenVINO Model API names class {place} {name!r}")


def undecided_apart(
    outputs: ClientOutputs, expected_NC: Floats, margin: float
) -> tuple[float, int, int]:
    """Compare the client with the probabilities that it should give.

    Args:
        outputs: Of the client.
        expected_NC: Probabilities of the same graph on images read by mlc.
        margin: So near to the threshold a decision may differ.

    Returns:
        Largest difference of a probability, images whose labels are all the same, and decisions
        that differ although they are not near.
    """
    expected_decided_NC = expected_NC > CLIENT_THRESHOLD
    differ_NC = outputs.decided_NC != expected_decided_NC
    far_NC = np.abs(expected_NC - CLIENT_THRESHOLD) > margin
    return (
        float(np.abs(outputs.probabilities_NC - expected_NC).max()),
        int((~differ_NC.any(1)).sum()),
        int((differ_NC & far_NC).sum()),
    )
