"""Made-up images and models that several benchmarks run on."""

import json
from pathlib import Path

import cv2
import numpy as np

from mlc_cli.core.models.build import build_model
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.checkpoint import save_checkpoint
from mlc_cli.settings.model import ModelSettings

CLASSES = [f"class {c}" for c in range(80)]


def make_images(folder: Path, images: int) -> list[Path]:
    """JPEG files of the size of small photographs."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:05}.jpg" for number in range(images)]
    for path in paths:
        small = rng.integers(0, 256, (48, 64, 3), np.uint8)
        photo = cv2.resize(small, (640, 480)).astype(np.int16) + rng.integers(-9, 9, (480, 640, 1))
        cv2.imwrite(str(path), photo.clip(0, 255).astype(np.uint8))
    return paths


def make_annotation(folder: Path, images: list[Path]) -> None:
    """A validation split of images in a folder, each with one label."""
    entries = [[path.name, [CLASSES[i % len(CLASSES)]]] for i, path in enumerate(images)]
    (folder / "val.json").write_text(json.dumps({"classes": CLASSES, "images": entries}))


def make_checkpoint(path: Path, backbone: str, size: int) -> None:
    """A model of random weights: speed does not depend on them."""
    settings = ModelSettings(backbone=backbone, pretrained=False)
    built = build_model(settings, CLASSES, (size, size))
    card = ModelCard(
        CLASSES, settings.model_dump(mode="json"), (size, size), built.mean, built.std, 1.0
    )
    save_checkpoint(path, built.classifier.state_dict(), card)
