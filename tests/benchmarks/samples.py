"""Made-up images and models that several benchmarks run on."""

import json
from pathlib import Path

import cv2
import numpy as np

from mlc_cli.core.exporting.ir import to_ir, write_ir
from mlc_cli.core.exporting.onnx_graph import write_onnx
from mlc_cli.core.inference.runtime.metadata import ExportInfo
from mlc_cli.core.models.build import build_model
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.checkpoint import save_checkpoint
from mlc_cli.settings.model import ModelSettings

CLASSES = [f"class {c:02}" for c in range(80)]


def make_images(folder: Path, images: int, size: tuple[int, int] = (640, 480)) -> list[Path]:
    """JPEG files, by default of the size of small photographs (width and height)."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:05}.jpg" for number in range(images)]
    for path in paths:
        small = rng.integers(0, 256, (size[1] // 10, size[0] // 10, 3), np.uint8)
        noise = rng.integers(-9, 9, (size[1], size[0], 1))
        photo = cv2.resize(small, size).astype(np.int16) + noise
        cv2.imwrite(str(path), photo.clip(0, 255).astype(np.uint8))
    return paths


def make_annotation(folder: Path, images: list[Path]) -> None:
    """A validation split of images in a folder, each with one label."""
    entries = [[path.name, [CLASSES[i % len(CLASSES)]]] for i, path in enumerate(images)]
    (folder / "val.json").write_text(json.dumps({"classes": CLASSES, "images": entries}))


def make_model(path: Path, backbone: str, size: int, **geometry: str) -> None:
    """A model of random weights, on which speed does not depend; an IR if `path` ends so."""
    settings = ModelSettings(backbone=backbone, pretrained=False)
    built = build_model(settings, CLASSES, (size, size))
    classifier = built.classifier.eval()
    card = ModelCard(
        CLASSES,
        settings.model_dump(mode="json"),
        (size, size),
        built.mean,
        built.std,
        1.0,
        **geometry,  # type: ignore[arg-type]
    )
    if path.suffix == ".xml":
        info = ExportInfo(card)
        write_onnx(path.with_suffix(".onnx"), classifier, info, saliency=False)
        write_ir(path, to_ir(path.with_suffix(".onnx"), info), info, half=False)
    else:
        save_checkpoint(path, classifier.state_dict(), card)
