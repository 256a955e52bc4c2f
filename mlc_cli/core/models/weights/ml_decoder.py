"""Checkpoints of ML_Decoder (Ridnik et al. 2021), and the names of its decoder.

deep-object-reid has the decoder under the same names.
"""

from collections.abc import Mapping

from torch import Tensor

from mlc_cli.core.models.weights.files import WeightsFile
from mlc_cli.core.models.weights.foreign import (
    Foreign,
    ForeignHead,
    class_names,
    decoder_kind,
)
from mlc_cli.core.models.weights.plain import split_classifier
from mlc_cli.core.models.weights.timm import is_old_tresnet

ATTENTION_HEADS = 8
"""The file does not tell; both systems know no other number."""

LAYERS = {
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
    for theirs, ours in LAYERS.items()
    for part in ("weight", "bias")
} | {
    "query_embed": "queries",
    "query_embed.weight": "queries",
    "duplicate_pooling_bias": "class_bias",
}
MARK = "decoder.duplicate_pooling"
WORDS = "wordvec_proj."
"""Part of the names that only zero-shot decoders have: their queries come from word vectors."""


def recognise(file: WeightsFile) -> Foreign | None:
    """Read a file as a checkpoint of ML_Decoder, or of the TResNets before it, if it is one."""
    names = file.extras.get("idx_to_class")
    classes = None
    if isinstance(names, Mapping):
        classes = class_names((name, index) for index, name in names.items())
    marks = [name for name in file.tensors if name.endswith(f".{MARK}")]
    if len(marks) == 1:
        kind = decoder_kind(ATTENTION_HEADS, cosine=False)
        head, rest = split_decoder(file, marks[0].removesuffix("duplicate_pooling"), kind)
        return Foreign("a checkpoint of ML_Decoder", rest, head, classes)
    if is_old_tresnet(file.tensors):
        layer, rest = split_classifier(file)
        return Foreign("a checkpoint of TResNet", rest, layer, classes)
    return None


def split_decoder(file: WeightsFile, prefix: str, *kinds: str) -> tuple[ForeignHead, WeightsFile]:
    """Part the decoder from the rest.

    Args:
        file: With a decoder.
        prefix: Before the names of the decoder.
        kinds: What the decoder may be.
    """
    if odd := _odd_kind(file, prefix):
        names = [name for name in file.tensors if name.startswith(prefix) or WORDS in name]
        rest = {name: value for name, value in file.tensors.items() if name not in names}
        return ForeignHead((odd,), {}, tuple(names), 0), WeightsFile(file.path, rest, file.extras)
    state: dict[str, Tensor] = {}
    taken: list[str] = []
    for name, value in file.tensors.items():
        parts = _translated(name.removeprefix(prefix), value) if name.startswith(prefix) else {}
        if parts:
            state |= parts
            taken.append(name)
    rest = {name: value for name, value in file.tensors.items() if name not in taken}
    groups, members, _ = state["class_vectors"].shape
    size = len(state["class_bias"]) if "class_bias" in state else groups * members
    head = ForeignHead(kinds, state, tuple(taken), size)
    return head, WeightsFile(file.path, rest, file.extras)


def _odd_kind(file: WeightsFile, prefix: str) -> str:
    """What a decoder is that computes something else than ours; empty for one that is the same."""
    pooling = file.tensors[f"{prefix}duplicate_pooling"]
    if pooling.ndim != 3 or any(WORDS in name for name in file.tensors):
        return "a zero-shot ML-Decoder"
    if any(name.startswith(f"{prefix}layers.1.") for name in file.tensors):
        return "an ML-Decoder of several layers"
    return ""


def _translated(name: str, value: Tensor) -> dict[str, Tensor]:
    """A tensor of the decoder in the names of mlc; empty for one that mlc has no place for."""
    if name in NAMES:
        return {NAMES[name]: value}
    if name == "duplicate_pooling":  # G×E×M
        return {"class_vectors": value.mT.contiguous()}
    if name.startswith("layers.0.multihead_attn.in_proj_"):
        part = name.rsplit("_", maxsplit=1)[1]
        query, key_value = value.tensor_split([len(value) // 3])
        return {f"attention.query.{part}": query, f"attention.key_value.{part}": key_value}
    return {}
