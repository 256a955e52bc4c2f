"""Checkpoints of deep-object-reid (Prokofiev & Sovrasov 2022).

Its models are a timm model (`model.`) or a TResNet-L (`body.`) with a pooled head; or these below
`backbone.`, with an ML-Decoder (`mld_`) or a graph of labels (`gcn_`) on top.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from mlc_cli.core.models.label_graph import normalised
from mlc_cli.core.models.weights.files import WeightsFile
from mlc_cli.core.models.weights.foreign import (
    Foreign,
    ForeignHead,
    class_names,
    decoder_kind,
)
from mlc_cli.core.models.weights.ml_decoder import ATTENTION_HEADS, MARK, split_decoder
from mlc_cli.core.models.weights.plain import pooled_layer, split, split_classifier

WRAPPERS = ("nncf_module.", "module.")
OURS = {"gc1": "first", "gc2": "second"}


def recognise(file: WeightsFile) -> Foreign | None:
    """Read a file as a checkpoint of deep-object-reid, if it is one."""
    file = replace(file, tensors={_unwrapped(name): v for name, v in file.tensors.items()})
    classes_map = file.extras.get("classes_map")
    classes = class_names(classes_map.items()) if isinstance(classes_map, Mapping) else None
    kind = "a checkpoint of deep-object-reid"
    if MARK in file.tensors:
        kinds = (decoder_kind(ATTENTION_HEADS, cosine=cosine) for cosine in (False, True))
        decoder, rest = split_decoder(file, "decoder.", *kinds)
        return Foreign(f"{kind}, mld_", rest, decoder, classes)
    if {"inp", "A", "head.weight"} <= file.tensors.keys():
        graph, rest = split(file, ["inp", "A", "head.weight", "head.bias", *_layers(file.tensors)])
        return Foreign(f"{kind}, gcn_", rest, _graph_head(graph), classes)
    if "classes_map" not in file.extras and "model.act2.weight" not in file.tensors:
        return None
    head, rest = split_classifier(file)
    return Foreign(f"{kind}, a plain model", rest, head, classes)


def _unwrapped(name: str) -> str:
    while name.startswith(WRAPPERS):
        name = name.split(".", maxsplit=1)[1]
    return name


def _layers(tensors: Mapping[str, Tensor]) -> list[str]:
    return [n for n, value in tensors.items() if n.startswith(("gc1.", "gc2.")) and value.ndim == 2]


def _graph_head(tensors: dict[str, Tensor]) -> ForeignHead:
    """The graph is stored as re-weighted; its normalised links were made at each step.

    Layers are told by their shapes: attention has a column of one half for the node itself and
    one for its neighbour.
    """
    pooled, of_pooled = pooled_layer("head", tensors)
    state = {f"pooled.{name}": value for name, value in of_pooled.items()}
    links_CC = normalised(tensors["A"].double().numpy())
    state["weights.vectors_CE"] = tensors["inp"].float()
    state["weights.links_CC"] = torch.from_numpy(links_CC).float()
    layer = "GCN"
    for name in _layers(tensors):
        ours, value = OURS[name.split(".", maxsplit=1)[0]], tensors[name]
        if value.shape[1] == 1:
            layer = "GAT"
            state[f"weights.{ours}.attention"] = value.reshape(2, -1).T.contiguous()
        else:
            state[f"weights.{ours}.weight"] = value
    return ForeignHead((f"{layer}, {pooled}",), state, tuple(tensors), len(tensors["inp"]))
