"""Heads that are a layer on pooled features: those of timm, of ASL and of plain old models."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mlc_cli.core.models.weights.files import WeightsFile
from mlc_cli.core.models.weights.foreign import Foreign, ForeignHead

CLASSIFIERS = ("classifier", "fc", "head.fc")
WRAPPERS = ("", "module.", "model.", "module.model.", "backbone.", "backbone.model.")
FACTORS = ("embedding_generator.0", "FC")
"""ASL's head for many classes: two layers without anything between them."""


def recognise(file: WeightsFile) -> Foreign | None:
    """Read a file as a backbone with a classifier, in the names of timm."""
    head, rest = split_classifier(file)
    return Foreign("a backbone with a classifier", rest, head, None, bare=True) if head else None


def split_classifier(file: WeightsFile) -> tuple[ForeignHead | None, WeightsFile]:
    """Part a layer on pooled features from the rest, if there is one."""
    for name in (wrapper + name for wrapper in WRAPPERS for name in CLASSIFIERS):
        factors = [f"{name}.{factor}" for factor in FACTORS]
        layer, rest = split(file, _weights_and_biases(name))
        parts, _ = split(file, _weights_and_biases(*factors))
        if layer.get(f"{name}.weight", torch.empty(0)).ndim == 2:
            kind, state = pooled_layer(name, layer)
        elif len(parts) == 4:
            layer, rest = split(file, [*parts])
            kind, state = "linear", _merged(factors, layer)
        else:
            continue
        return ForeignHead((kind,), state, tuple(layer), len(next(iter(state.values())))), rest
    return None, file


def _weights_and_biases(*layers: str) -> list[str]:
    return [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]


def _merged(names: Sequence[str], layer: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Two layers as the one that they come to."""
    (first, shift), (second, bias) = (
        (layer[f"{name}.weight"].double(), layer[f"{name}.bias"].double()) for name in names
    )
    state = {"linear.weight": second @ first, "linear.bias": second @ shift + bias}
    return {name: value.float() for name, value in state.items()}


def split(file: WeightsFile, names: Sequence[str]) -> tuple[dict[str, Tensor], WeightsFile]:
    """Tensors of these names, and the file without them."""
    taken = {name: file.tensors[name] for name in names if name in file.tensors}
    rest = {name: value for name, value in file.tensors.items() if name not in taken}
    return taken, replace(file, tensors=rest)


def pooled_layer(name: str, layer: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """Kind and tensors of a layer on pooled features: without a bias it is for cosines, D×C."""
    weight = layer[f"{name}.weight"]
    if f"{name}.bias" in layer:
        return "linear", {"linear.weight": weight, "linear.bias": layer[f"{name}.bias"]}
    return "cosine", {"weight": weight.mT.contiguous()}
