"""Whose checkpoint a file is: its head in the names of mlc, its backbone, and its classes.

ML_Decoder (Ridnik et al. 2021) has a TResNet with its decoder or one layer on top. deep-object-reid
(Prokofiev & Sovrasov 2022) has a timm model (`model.`) or a TResNet-L (`body.`) with a pooled
head; or these below `backbone.`, with the same decoder (`mld_`) or a graph of labels (`gcn_`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from mlc_cli.core.models.heads.graph import normalised
from mlc_cli.core.models.heads.ml_decoder import decoder_kind
from mlc_cli.core.models.weights.class_order import Classes, listed_classes
from mlc_cli.core.models.weights.files import WeightsFile, is_old_tresnet
from mlc_cli.errors import WeightsError

OLD = "a checkpoint of deep-object-reid"
DECODER = "decoder.duplicate_pooling"
WORDS = "wordvec_proj."
"""Part of the names that only zero-shot decoders have: their queries come from word vectors."""
_LAYERS = {
    "embed_standart": "embed",
    "layers.0.norm1": "query_norm",
    "layers.0.norm2": "attention_norm",
    "layers.0.norm3": "ffn_norm",
    "layers.0.linear1": "ffn.0",
    "layers.0.linear2": "ffn.3",
    "layers.0.multihead_attn.out_proj": "attention.out",
}
NAMES = {
    f"{theirs}.{part}": f"{ours}.{part}"
    for theirs, ours in _LAYERS.items()
    for part in ("weight", "bias")
} | {
    "query_embed": "queries",
    "query_embed.weight": "queries",
    "duplicate_pooling_bias": "class_bias",
}
ATTENTION_HEADS = 8
"""The file does not tell; both systems know no other number."""
POOLED = [
    wrapper + name
    for wrapper in ("", "model.", "backbone.", "backbone.model.")
    for name in ("classifier", "fc", "head.fc")
]
"""Where layers on pooled features are, in the names of timm, of ASL and of plain old models."""
FACTORS = ("embedding_generator.0", "FC")
"""ASL's head for many classes: two layers without anything between them."""


@dataclass(frozen=True)
class Foreign:
    """A checkpoint of another system.

    Attributes:
        origin: Whose it was recognised as, in words.
        backbone: The file with all that is not of the head.
        classes: Class names in the order of the logits, if they are known.
        kinds: What the head may be, in the words of `Head.kind`: a file does not tell everything.
            Empty if no head was recognised.
        state: Tensors of the head in the names of mlc; empty if mlc cannot run it.
        names: Tensors of the head in the names of the file.
        size: Classes of the head, 0 if they are not known.
        bare: Whether nothing but the names of its tensors says what they are.
    """

    origin: str
    backbone: WeightsFile
    classes: Classes | None
    kinds: tuple[str, ...] = ()
    state: dict[str, Tensor] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    size: int = 0
    bare: bool = False


def recognise(file: WeightsFile, weight_classes: str | None = None) -> Foreign | None:
    """Read a file as a checkpoint of another system; `None` if it is a backbone alone.

    Where it does not name its classes, `weight_classes` does, as `listed_classes` takes them.

    Raises:
        MlcError: There is no such list, or it is not of this file.
    """
    file = replace(file, tensors={_unwrapped(name): v for name, v in file.tensors.items()})
    foreign = _recognised(file)
    if weight_classes is None:
        return foreign
    foreign = foreign or replace(_pooled("a backbone with a classifier", file, None), bare=True)
    if not foreign.kinds:
        raise WeightsError(
            f"{file.path}: --weight-classes names the classes of a head, and none is known in it"
        )
    names, size = listed_classes(weight_classes), foreign.size
    if foreign.classes is not None and list(map(str, foreign.classes)) != list(map(str, names)):
        raise WeightsError(
            f"{file.path}: names its classes itself, and not as --weight-classes {weight_classes}",
            "Leave out --weight-classes.",
        )
    if size and len(names) != size:
        raise WeightsError(
            f"{file.path}: has {size} classes, --weight-classes {weight_classes} names {len(names)}"
        )
    return replace(foreign, classes=foreign.classes or names)


def _recognised(file: WeightsFile) -> Foreign | None:
    classes = _class_names(file.extras)
    marks = [name for name in file.tensors if f".{name}".endswith(f".{DECODER}")]
    if marks == [DECODER]:
        return _decoder(f"{OLD}, mld_", file, classes, "decoder.", cosines=(False, True))
    if len(marks) == 1:
        prefix = marks[0].removesuffix("duplicate_pooling")
        return _decoder("a checkpoint of ML_Decoder", file, classes, prefix, cosines=(False,))
    if {"inp", "A", "head.weight"} <= file.tensors.keys():
        return _graph(f"{OLD}, gcn_", file, classes)
    if "classes_map" in file.extras or "model.act2.weight" in file.tensors:
        return _pooled(f"{OLD}, a plain model", file, classes)
    if is_old_tresnet(file.tensors):
        return _pooled("a checkpoint of TResNet", file, classes)
    return None


def _unwrapped(name: str) -> str:
    while name.startswith(("nncf_module.", "module.")):
        name = name.split(".", maxsplit=1)[1]
    return name


def _class_names(extras: Mapping[str, Any]) -> Classes | None:
    """Names in the order of their indexes, if these are 0, 1, 2 and so on.

    deep-object-reid keeps an index for each name, ML_Decoder a name for each index.
    """
    pairs: list[tuple[Any, Any]] = []
    for key, turned in (("classes_map", -1), ("idx_to_class", 1)):
        if isinstance(found := extras.get(key), Mapping):
            pairs = pairs or [pair[::turned] for pair in found.items()]
    known = sorted((pair for pair in pairs if isinstance(pair[0], int)), key=itemgetter(0))
    in_order = [index for index, _ in known] == list(range(len(known)))
    return [name for _, name in known] if known and in_order else None


def _decoder(
    origin: str, file: WeightsFile, classes: Classes | None, prefix: str, cosines: tuple[bool, ...]
) -> Foreign:
    """A file with an ML-Decoder below a prefix."""
    pooling_GEM = file.tensors[f"{prefix}duplicate_pooling"]
    odd = ""
    if pooling_GEM.ndim != 3 or any(WORDS in name for name in file.tensors):
        odd = "a zero-shot ML-Decoder"
    elif any(name.startswith(f"{prefix}layers.1.") for name in file.tensors):
        odd = "an ML-Decoder of several layers"
    if odd:
        names = [name for name in file.tensors if name.startswith(prefix) or WORDS in name]
        return Foreign(origin, file.part(names)[1], classes, (odd,), names=tuple(names))
    state: dict[str, Tensor] = {}
    taken = []
    for name in [name for name in file.tensors if name.startswith(prefix)]:
        own, value = name.removeprefix(prefix), file.tensors[name]
        if own in NAMES:
            state[NAMES[own]] = value
        elif own == "duplicate_pooling":
            state["class_vectors"] = pooling_GEM.mT.contiguous()
        elif own.startswith("layers.0.multihead_attn.in_proj_"):
            part = own.rpartition("_")[2]
            query, key_value = value.tensor_split([len(value) // 3])
            state |= {f"attention.query.{part}": query, f"attention.key_value.{part}": key_value}
        else:
            continue
        taken.append(name)
    size = len(state.get("class_bias", state["class_vectors"].flatten(0, 1)))
    kinds = tuple(decoder_kind(ATTENTION_HEADS, cosine=cosine) for cosine in cosines)
    return Foreign(origin, file.part(taken)[1], classes, kinds, state, tuple(taken), size)


def _graph(origin: str, file: WeightsFile, classes: Classes | None) -> Foreign:
    """A file with a graph, stored as re-weighted; its normalised links were made at each step.

    Layers are told by their shapes: attention has a column of one half for the node itself and
    one for its neighbour.
    """
    layers = {
        name: "first" if name.startswith("gc1.") else "second"
        for name, value in file.tensors.items()
        if name.startswith(("gc1.", "gc2.")) and value.ndim == 2
    }
    tensors, rest = file.part(["inp", "A", "head.weight", "head.bias", *layers])
    pooled, of_pooled = _layer("head", tensors)
    state = {f"pooled.{name}": value for name, value in of_pooled.items()}
    state["weights.vectors_CE"] = tensors["inp"].float()
    state["weights.links_CC"] = normalised(tensors["A"].double()).float()
    kind = "GCN"
    for name, ours in layers.items():
        if tensors[name].shape[1] == 1:
            kind = "GAT"
            state[f"weights.{ours}.attention"] = tensors[name].reshape(2, -1).T.contiguous()
        else:
            state[f"weights.{ours}.weight"] = tensors[name]
    kinds, size = (f"{kind}, {pooled}",), len(tensors["inp"])
    return Foreign(origin, rest, classes, kinds, state, tuple(tensors), size)


def _pooled(origin: str, file: WeightsFile, classes: Classes | None) -> Foreign:
    """A file with a layer on pooled features, if there is one."""
    for name in POOLED:
        factors = [f"{name}.{factor}" for factor in FACTORS]
        layer, rest = file.part(_weights_and_biases(name))
        parts, others = file.part(_weights_and_biases(*factors))
        if layer.get(f"{name}.weight", torch.empty(0)).ndim == 2:
            kind, state = _layer(name, layer)
        elif len(parts) == 4:
            layer, rest, kind = parts, others, "linear"
            first, shift, second, bias = (value.double() for value in parts.values())
            merged = {"linear.weight": second @ first, "linear.bias": second @ shift + bias}
            state = {name: value.float() for name, value in merged.items()}
        else:
            continue
        size = len(next(iter(state.values())))
        return Foreign(origin, rest, classes, (kind,), state, tuple(layer), size)
    return Foreign(origin, file, classes)


def _weights_and_biases(*layers: str) -> list[str]:
    return [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]


def _layer(name: str, layer: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """Kind and tensors of a layer on pooled features: without a bias it is for cosines, D×C."""
    weight = layer[f"{name}.weight"]
    if f"{name}.bias" in layer:
        return "linear", {"linear.weight": weight, "linear.bias": layer[f"{name}.bias"]}
    return "cosine", {"weight": weight.mT.contiguous()}
