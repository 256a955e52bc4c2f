"""The resize inside the graph, against the one that mlc reads pictures with."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import openvino as ov
import pytest
import torch

from mlc_cli.core.exporting.client import run_client, run_onnx
from mlc_cli.core.exporting.embed import EmbeddedResize, embed_in_ir, embed_in_onnx, resize_graph
from mlc_cli.core.exporting.ir import to_ir, write_ir
from mlc_cli.core.exporting.onnx_graph import write_onnx
from mlc_cli.core.images.decode import read_image
from mlc_cli.core.images.geometry import Geometry, Interpolation, Resize
from mlc_cli.core.inference.runtime.ir_file import IrEngine
from mlc_cli.core.inference.runtime.onnx_file import OnnxEngine

SIZES = [(32, 48), (90, 120), (121, 67), (17, 20), (1, 1), (1, 300), (20, 310), (310, 20), (911, 5)]
LABELS = ["Straße", "a,_b", "cat", "person", "traffic_light"]


def picture(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return cv2.GaussianBlur(noise, (3, 3), 0)


@pytest.mark.parametrize("interpolation", ["linear", "area"])
@pytest.mark.parametrize("resize", ["squash", "letterbox", "crop"])
def test_pictures_of_any_size_become_what_mlc_makes_of_them(
    resize: Resize, interpolation: Interpolation
) -> None:
    geometry = Geometry((32, 32) if resize == "crop" else (32, 48), resize, interpolation)
    graph = resize_graph(EmbeddedResize(geometry)).SerializeToString()
    session = onnxruntime.InferenceSession(graph)
    model = ov.Core().read_model(graph)
    whole = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    as_it_comes = ov.compile_model(model, "CPU")  # bf16 on some processors
    for seed, size in enumerate(SIZES):
        image_1HW3 = picture(size, seed)[None]
        wanted = geometry.fit(image_1HW3[0]).transpose(2, 0, 1)[None].astype(float)
        found = session.run(None, {"image": image_1HW3})[0]
        assert np.abs(found - wanted).max() <= 1
        assert (found != wanted).mean() < 0.005, size
        assert np.abs(whole(image_1HW3)[0] - found).max() <= 1
        assert (whole(image_1HW3)[0] != found).mean() < 0.005
        assert np.abs(as_it_comes(image_1HW3)[0] - wanted).max() <= 2


def embedded(made: Any, folder: Path, resize: str, interpolation: str) -> Any:
    """The files of a model once more, with the resize inside."""
    card = replace(made.info.card, resize=resize, interpolation=interpolation)
    info = replace(made.info, card=card, embedded=True)
    files = [folder / "model.onnx", folder / "model.xml"]
    write_onnx(files[0], made.classifier, info, saliency=True)
    write_ir(files[1], embed_in_ir(to_ir(files[0], info), info), info, half=False)
    embed_in_onnx(files[0], info)
    return replace(made, info=info, onnx=files[0], xml=files[1])


AT_THE_END_OF_MEMORY = """
import ctypes, mmap, sys
from pathlib import Path
import numpy as np
from mlc_cli.core.inference.runtime.ir_file import IrEngine
memory = mmap.mmap(-1, 61 * mmap.PAGESIZE)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
assert not ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + 60 * mmap.PAGESIZE), mmap.PAGESIZE, 0)
image_1HW3 = np.frombuffer(memory, np.uint8, 320 * 256 * 3).reshape(1, 320, 256, 3)
image_1HW3[...] = np.random.default_rng(0).integers(0, 256, image_1HW3.shape)
engine = IrEngine(Path(sys.argv[1]))
assert np.array_equal(engine(image_1HW3), engine(image_1HW3.copy()))
"""


def test_nothing_is_read_behind_a_picture(exported: Callable[..., Any], tmp_path: Path) -> None:
    made = embedded(exported("linear", size=(32, 48)), tmp_path, "squash", "area")
    done = subprocess.run(
        [sys.executable, "-c", AT_THE_END_OF_MEMORY, made.xml], check=False, capture_output=True
    )
    assert done.returncode == 0, (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("resize", "interpolation"), [("squash", "linear"), ("letterbox", "area"), ("crop", "area")]
)
def test_clients_with_nothing_configured_agree_on_photographs_of_every_shape(
    exported: Callable[..., Any], tmp_path: Path, resize: str, interpolation: str
) -> None:
    size = (32, 32) if resize == "crop" else (32, 48)
    made = embedded(exported("linear", size=size), tmp_path, resize, interpolation)
    images = []
    for number in range(20):
        height, width = np.random.default_rng(number).integers(10, 400, 2)
        images.append(tmp_path / f"{number}.png")
        shade = np.random.default_rng(number).integers(0, 200, 3)
        cv2.imwrite(str(images[-1]), picture((height, width), number) // 5 + shade)
    fitted_NHWC = np.stack([made.info.card.geometry.fit(read_image(image)) for image in images])
    wanted_NC = made.expected(torch.from_numpy(fitted_NHWC)).double().sigmoid().numpy()
    assert 0.1 < (wanted_NC > 0.5).mean() < 0.9
    for client, path in ((run_client, made.xml), (run_onnx, made.onnx)):
        found = client(path, images, LABELS)
        np.testing.assert_allclose(found.probabilities_NC, wanted_NC, atol=0.01)
        clear_NC = np.abs(wanted_NC - 0.5) > 0.01
        assert ((found.decided_NC == (wanted_NC > 0.5)) | ~clear_NC).all()
    (image,) = ov.Core().read_model(made.xml).inputs
    assert (image.element_type, str(image.partial_shape)) == (ov.Type.u8, "[?,?,?,3]")
    for engine in (OnnxEngine(made.onnx, "cpu"), IrEngine(made.xml)):
        assert engine.info == made.info
        logits_NC = made.expected(torch.from_numpy(fitted_NHWC)).numpy()
        np.testing.assert_allclose(engine(fitted_NHWC), logits_NC, atol=1e-3)
