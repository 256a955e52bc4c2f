"""The smallest architecture of every family of timm, exported and compared with torch.

At random weights and the first of several small sizes that it takes, by `mlc export` and its own
gate. A line of JSON is written for each; what is in the file already is not run again.
"""

import argparse
import gc
import json
import logging
import tempfile
import time
import warnings
from pathlib import Path

import timm
import torch
from samples import CLASSES, make_annotation, make_images, make_model
from timing import show
from timm.models import _registry
from torch.nn.modules.batchnorm import _BatchNorm

from mlc_cli.core.models.backbone import Backbone, create_backbone
from mlc_cli.core.models.build import load_classifier
from mlc_cli.core.models.complexity import complexity
from mlc_cli.core.runs.checkpoint import save_checkpoint
from mlc_cli.errors import MlcError, SettingsError
from mlc_cli.jobs.export import export
from mlc_cli.settings.export import ExportSettings

SIZES = (64, 128, 224, 0)
"""In pixels; 0 is the size that the weights of timm want."""


def smallest() -> dict[str, str]:
    """Names by family, those with features alone."""
    sizes: dict[str, list[tuple[int, str]]] = {}
    for name in timm.list_models():
        with torch.device("meta"):
            try:
                model = timm.create_model(name)
            except (RuntimeError, NotImplementedError):  # it computes with its own weights
                continue
        if hasattr(model, "forward_features"):
            many = sum(p.numel() for p in model.parameters())
            sizes.setdefault(_registry._model_to_module[name], []).append((many, name))
    return {family: min(found)[1] for family, found in sorted(sizes.items())}


def size_of(name: str) -> int:
    """The first size that a backbone takes."""
    config = timm.get_pretrained_cfg(name)
    for size in SIZES:
        pixels = size or config.input_size[-1]
        try:
            model = Backbone(create_backbone(name, (pixels, pixels), pretrained=False))
            complexity(model, (pixels, pixels))
        except SettingsError:
            if not size:
                raise
        else:
            return pixels
    raise AssertionError


@torch.no_grad()
def settle(checkpoint: Path) -> None:
    """Let batch normalisation see noise once: random weights without it grow beyond all bounds."""
    classifier, card = load_classifier(checkpoint)
    for module in classifier.train().modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 1.0
    classifier(torch.randn(8, 3, *card.input_size))
    save_checkpoint(checkpoint, classifier.state_dict(), card)


def run(name: str, data: Path) -> dict[str, object]:
    """Export one and say how far the files are from torch."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        checkpoint = Path(place) / "best.safetensors"
        try:
            size = size_of(name)
            torch.manual_seed(0)
            make_model(checkpoint, name, size)
            settle(checkpoint)
            found = export(ExportSettings(checkpoint=str(checkpoint), ir=True, data=str(data)))
        except MlcError as error:
            return {"refused": error.message}
        apart = [file.difference.logit for file in found.files if file.difference]
        faults = "; ".join(fault for file in found.files for fault in file.faults)
        seconds = round(time.monotonic() - started)
        return {"size": size, "onnx": apart[0], "ir": apart[1], "faults": faults, "s": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of timm; all families without any")
    parser.add_argument("--log", type=Path, default=Path("families.jsonl"))
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    names = arguments.names or list(smallest().values())
    lines = arguments.log.read_text().splitlines() if arguments.log.exists() else []
    done = {row.pop("name"): row for row in map(json.loads, lines)}
    with tempfile.TemporaryDirectory() as place:
        make_annotation(Path(place), make_images(Path(place), 8, (160, 120)))
        for name in names:
            if name in done:
                continue
            try:
                done[name] = run(name, Path(place))
            except Exception as error:  # shown in the table
                done[name] = {"failed": f"{type(error).__name__}: {error}"[:300]}
            with arguments.log.open("a") as log:
                print(json.dumps({"name": name, **done[name]}), file=log)
            gc.collect()
    columns = ("size", "onnx", "ir", "s", "faults", "refused", "failed")
    rows = [[name, *(done[name].get(key, "") for key in columns)] for name in names]
    show(f"{len(names)} architectures, {len(CLASSES)} classes", ("name", *columns), rows)


if __name__ == "__main__":
    main()
