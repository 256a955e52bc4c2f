"""Splits and exported models that tests of several folders share."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mlc_cli.core.datasets.annotations import Annotation, read_annotation
from mlc_cli.core.exporting.ir import to_ir, write_ir
from mlc_cli.core.exporting.onnx_graph import write_onnx
from mlc_cli.core.inference.runtime.metadata import ExportInfo
from mlc_cli.core.models.backbone import Backbone, create_backbone
from mlc_cli.core.models.build import build_head
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.heads.graph import LabelGraph
from mlc_cli.core.models.heads.pooled import LinearHead
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.checkpoint import save_checkpoint
from mlc_cli.settings.model import ModelSettings

DECODER = {"name": "ml_decoder", "dim": 32, "heads": 4, "ffn_dim": 16}
HEADS = {
    "linear": {"name": "linear", "scale": 3},
    "linear, max": {"name": "linear", "pool": "max"},
    "linear, avgmax": {"name": "linear", "pool": "avgmax"},
    "cosine": {"name": "cosine"},
    "cosine, avgmax": {"name": "cosine", "pool": "avgmax"},
    "decoder": DECODER,
    "decoder, groups": {**DECODER, "groups": 4},
    "decoder, cosine": {**DECODER, "cosine": True, "scale": 17, "groups": 2},
    "gcn": {"name": "graph", "scale": 3},
    "gat, cosine": {"name": "graph", "layer": "gat", "cosine": True, "pool": "avgmax", "scale": 17},
}
GRAPH = LabelGraph(torch.eye(5, 7) + 0.1, torch.eye(5) + torch.eye(5).roll(1, 0) / 4)
CLASSES = ("Straße", "a, b", "cat", "person", "traffic light")
THRESHOLDS = (0.31, 0.5, 0.12, 0.77, 0.6)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Made:
    """A model with random weights, and the files that were made of it."""

    classifier: Classifier
    info: ExportInfo
    onnx: Path
    xml: Path
    checkpoint: Path

    @torch.no_grad()
    def expected(self, images_NHWC: torch.Tensor) -> torch.Tensor:
        """Logits in torch of uint8 RGB images."""
        images = images_NHWC.permute(0, 3, 1, 2).double() / 255
        mean, std = (torch.tensor(v, dtype=torch.double).view(3, 1, 1) for v in (MEAN, STD))
        return self.classifier(((images - mean) / std).float())


def _randomise(classifier: Classifier) -> None:
    """Weights and statistics of which every one shows in logits of a useful size.

    Deep models only become a little smaller from layer to layer: with random weights rounding
    would otherwise grow through them without bounds.
    """
    norms = [module for module in classifier.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        if len(norms) > 50:
            nn.init.constant_(norm.weight, 0.91)
        else:
            nn.init.normal_(norm.running_mean, std=0.1)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    if isinstance(classifier.head, LinearHead):
        nn.init.normal_(classifier.head.linear.weight)
        nn.init.normal_(classifier.head.linear.bias)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Made]:
    """Export a model; the same twice is made once. Without a backbone of timm it is one layer."""

    @cache
    def make(
        head: str = "linear",
        *,
        backbone: str = "",
        size: tuple[int, int] = (32, 48),
        classes: tuple[str, ...] = CLASSES,
        thresholds: tuple[float, ...] | None = None,
        folded: bool = False,
        saliency: bool = False,
    ) -> Made:
        folder = tmp_path_factory.mktemp("exported")
        settings = ModelSettings.model_validate(
            {"backbone": backbone or "test_resnet", "pretrained": False, "head": HEADS[head]}
        )
        torch.manual_seed(0)
        body: nn.Module = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.ReLU())
        channels = 8
        if backbone:
            body = Backbone(create_backbone(backbone, size, pretrained=False))
            channels = body.channels
        classifier = Classifier(body, build_head(settings.head, channels, len(classes), GRAPH))
        _randomise(classifier.eval())
        card = ModelCard(
            classes=list(classes),
            model=settings.model_dump(),
            input_size=size,
            mean=MEAN,
            std=STD,
            scale=float(classifier.head.scale),
            thresholds=None if thresholds is None else list(thresholds),
        )
        info = ExportInfo(card, folded=folded)
        made = Made(
            classifier,
            info,
            *(folder / name for name in ("model.onnx", "model.xml", "model.safetensors")),
        )
        save_checkpoint(made.checkpoint, classifier.state_dict(), card)
        write_onnx(made.onnx, classifier, info, saliency=saliency)
        write_ir(made.xml, to_ir(made.onnx, info), info, half=False)
        return made

    return make


@pytest.fixture(scope="session")
def thresholds() -> tuple[float, ...]:
    """Thresholds of the five classes of `exported`."""
    return THRESHOLDS


@pytest.fixture(scope="session")
def pixels() -> Callable[..., torch.Tensor]:
    """Random uint8 RGB images."""

    def make(count: int, size: tuple[int, int] = (32, 48), seed: int = 0) -> torch.Tensor:
        rng = np.random.default_rng(seed)
        dark_NHWC = rng.integers(0, 256, (count, 1, 1, 3))  # of many colours, so that logits differ
        noise_NHWC = rng.integers(-60, 60, (count, *size, 3))
        return torch.from_numpy((dark_NHWC + noise_NHWC).clip(0, 255).astype(np.uint8))

    return make


@pytest.fixture
def pictures(tmp_path: Path, pixels: Callable[..., torch.Tensor]) -> list[Path]:
    """The same images as files of the input's size."""
    paths = [tmp_path / f"{number}.png" for number in range(12)]
    for path, image in zip(paths, pixels(12).numpy(), strict=True):
        assert cv2.imwrite(str(path), image[..., ::-1])
    return paths


@pytest.fixture
def make_split(tmp_path: Path) -> Callable[..., Annotation]:
    """Make a split of noise images; those in `bad` are files of text."""

    def make(images: int = 10, *, name: str = "train", bad: tuple[int, ...] = ()) -> Annotation:
        folder = tmp_path / name
        folder.mkdir()
        entries = []
        for number in range(images):
            path = folder / f"{number}.png"
            if number in bad:
                path.write_text("no image")
            else:
                pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)
                Image.fromarray(pixels).save(path)
            entries.append([path.name, ["ab"[number % 2]], ["c"] if number % 3 == 0 else []])
        source = folder / f"{name}.json"
        source.write_text(json.dumps({"classes": ["c", "a", "b"], "images": entries}))
        return read_annotation(source)

    return make
