"""Checkpoints of deep-object-reid (Prokofiev & Sovrasov 2022).

Its models are a timm model (`model.`) or a TResNet-L (`body.`) with a pooled head; or these below
`backbone.`, with an ML-Decoder (`mld_`) or a graph of labels (`gcn_`) on top.
"""

from collections.abc import Mapping
from dataclasses import replace

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

WRAPPERS = ("nncf_module.", "module.")
CLASSIFIERS = ("model.classifier", "model.fc", "model.head.fc", "head.fc")
GRAPH = ("inp", "A", "gc1.", "gc2.", "head.")


def recognise(file: WeightsFile) -> Foreign | None:
    """Read a file as a checkpoint of deep-object-reid, if it is one."""
    file = replace(file, tensors={_unwrapped(name): v for name, v in file.tensors.items()})
    classes_map = file.extras.get("classes_map")
    classes = class_names(classes_map) if isinstance(classes_map, Mapping) else None
    kind = "a checkpoint of deep-object-reid"
    if MARK in file.tensors:
        kinds = (decoder_kind(ATTENTION_HEADS, cosine=cosine) for cosine in (False, True))
        decoder, rest = split_decoder(file, "decoder.", *kinds)
        return Foreign(f"{kind}, mld_", rest, decoder, classes)
    if {"inp", "A", "head.weight"} <= file.tensors.keys():
        graph, rest = _split(file, GRAPH)
        return Foreign(f"{kind}, gcn_", rest, _graph_head(graph), classes)
    if "classes_map" not in file.extras and "model.act2.weight" not in file.tensors:
        return None
    for classifier in CLASSIFIERS:
        if f"{classifier}.weight" in file.tensors:
            tensors, rest = _split(file, (f"{classifier}.",))
            bare = {name.rsplit(".", maxsplit=1)[1]: value for name, value in tensors.items()}
            layer, state = _pooled(bare)
            head = ForeignHead((layer,), state, tuple(tensors), len(next(iter(state.values()))))
            return Foreign(f"{kind}, a plain model", rest, head, classes)
    return Foreign(f"{kind}, a plain model", file, None, classes)


def _unwrapped(name: str) -> str:
    while name.startswith(WRAPPERS):
        name = name.split(".", maxsplit=1)[1]
    return name


def _split(file: WeightsFile, prefixes: tuple[str, ...]) -> tuple[dict[str, Tensor], WeightsFile]:
    taken = {name: value for name, value in file.tensors.items() if name.startswith(prefixes)}
    rest = {name: value for name, value in file.tensors.items() if name not in taken}
    return taken, replace(file, tensors=rest)


def _pooled(layer: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """Kind and tensors of a layer on pooled features: D×C, without a bias, for cosines."""
    if "bias" in layer:
        return "linear", {"linear.weight": layer["weight"], "linear.bias": layer["bias"]}
    return "cosine", {"weight": layer["weight"].mT.contiguous()}


def _graph_head(tensors: dict[str, Tensor]) -> ForeignHead:
    """What is stored is the graph as re-weighted; the normalised links were made on the way."""
    parts = {name.removeprefix("head."): v for name, v in tensors.items()}
    pooled, state = _pooled({k: v for k, v in parts.items() if k in ("weight", "bias")})
    state = {f"pooled.{name}": value for name, value in state.items()}
    state["weights.vectors_CE"] = tensors["inp"].float()
    links_CC = normalised(tensors["A"].double().numpy())
    state["weights.links_CC"] = tensors["inp"].new_tensor(links_CC)
    layer = "GCN"
    for theirs, ours in (("gc1.", "first"), ("gc2.", "second")):
        for name, value in tensors.items():
            if name.startswith(theirs) and value.ndim == 2 and value.shape[1] == 1:
                layer = "GAT"
                # the halves for the node itself and for its neighbour, one below the other
                state[f"weights.{ours}.attention"] = value.view(2, -1).T.contiguous()
            elif name.startswith(theirs):
                state[f"weights.{ours}.weight"] = value
    return ForeignHead(
        (f"{layer}, {pooled}",), state, tuple(tensors), len(state["weights.vectors_CE"])
    )
