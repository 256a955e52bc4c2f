"""What an exported file knows beside its graph.

The keys are those that OpenVINO Model API reads, so that its stock client needs no configuration;
clients leave out keys that they do not know, which is where the whole model card stands. In an
IR they are `rt_info` under `model_info`, in ONNX metadata named `model_info KEY`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.evaluation.probabilities import logit
from mlc_cli.core.runs.card import ModelCard, card_from_json, card_to_json
from mlc_cli.core.system.checksum import digest_of
from mlc_cli.errors import CheckpointError, MlcError

SECTION = "model_info"
PICTURE = "image"
"""Input of a graph with embedded resize."""
RESIZE_TYPES = {"squash": "standard", "letterbox": "fit_to_window_letterbox", "crop": "crop"}
"""What the client calls a way to resize."""
Parity = Literal["unchecked", "passed", "failed"]


@dataclass(frozen=True)
class ExportInfo:
    """What is known of an exported file.

    Attributes:
        card: Of the checkpoint that it was made of.
        folded: Whether the graph subtracts the logits of the thresholds, so that 0.5 decides.
        parity: Whether its outputs were compared with those of the checkpoint, and the outcome.
        embedded: Whether the graph takes decoded pixels of any size, N×H×W×3, and resizes them.
    """

    card: ModelCard
    folded: bool = False
    parity: Parity = "unchecked"
    embedded: bool = False

    def unfold(self, logits_NC: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits as the model meant them, of what the graph gives."""
        if not self.folded or self.card.thresholds is None:
            return logits_NC
        return logits_NC + threshold_logits(self.card.thresholds)


def threshold_logits(thresholds_C: Sequence[float]) -> NDArray[np.float32]:
    """What a graph with folded thresholds subtracts, C: their logits."""
    return logit(thresholds_C).astype(np.float32)


def to_entries(info: ExportInfo, *, normalised_inside: bool) -> dict[str, str]:
    """Keys and values to write.

    With `normalised_inside`, the graph takes BGR in 0..255 and normalises it itself (the IR);
    otherwise it takes normalised RGB, which the client then has to make (ONNX).

    Raises:
        MlcError: Two class names would be one for the client.
    """
    card = info.card
    entries = {
        "model_type": "Classification",
        "task_type": "classification",
        "multilabel": "True",
        "hierarchical": "False",
        "labels": " ".join(client_labels(card.classes)),
        "label_info": json.dumps([str(name) for name in card.classes], ensure_ascii=False),
        "confidence_threshold": "0.5",
        "output_raw_scores": "True",
        "resize_type": RESIZE_TYPES[card.resize],
        "interpolation_mode": "LINEAR",
        "pad_value": "0",
        "reverse_input_channels": str(not normalised_inside),
        "thresholds_folded": str(info.folded),
        "resize_embedded": str(info.embedded),
    }
    if info.embedded:  # the client hands over what it is given
        height, width = card.input_size
        entries |= {
            "embedded_processing": "True",
            "orig_height": str(height),
            "orig_width": str(width),
        }
    if not normalised_inside:
        entries["mean_values"] = " ".join(f"{255 * value:.9g}" for value in card.mean)
        entries["scale_values"] = " ".join(f"{255 * value:.9g}" for value in card.std)
    if card.thresholds is not None:
        entries["thresholds"] = " ".join(repr(value) for value in card.thresholds)
    if card.lower_thresholds is not None:
        entries["lower_thresholds"] = " ".join(repr(value) for value in card.lower_thresholds)
    if card.rules:
        entries["rules"] = json.dumps(card.rules.written(), ensure_ascii=False)
        entries["rules_folded"] = str(card.rules.folded)
    if card.promise is not None:
        entries["promise"] = json.dumps(card.promise, ensure_ascii=False)
    own = {"digest": digest_of(entries), "parity": info.parity, "mlc": card_to_json(card)}
    return entries | own


def client_labels(classes: Sequence[str] | Sequence[int]) -> list[str]:
    """Class names for a client that splits its list at white space: `_` stands for it.

    Raises:
        MlcError: Two names become one.
    """
    labels = ["_".join(str(name).split()) or "_" for name in classes]
    first: dict[str, str] = {}
    for name, label in zip(map(str, classes), labels, strict=True):
        if label in first:
            raise MlcError(
                f"the classes {first[label]!r} and {name!r} would both be {label!r} for clients of"
                " OpenVINO Model API, whose labels hold no white space",
                "Rename one of them in the annotation files and train again.",
            )
        first[label] = name
    return labels


def from_entries(entries: Mapping[str, str], path: Path, *, sealed: bool) -> ExportInfo:
    """Read what `to_entries` wrote; `sealed` files carry a checksum.

    Raises:
        CheckpointError: The file was not exported by mlc, or its metadata is damaged.
    """
    if "mlc" not in entries:
        raise CheckpointError(
            f"{path}: was not exported by mlc: it does not know its classes and input size",
            "Export a checkpoint with: mlc export --ir",
        )
    card = card_from_json(entries["mlc"], path, sealed=sealed)
    folded, digest = entries.get("thresholds_folded"), entries.get("digest")
    own = ("digest", "parity", "mlc")
    written = {key: text for key, text in entries.items() if key not in own}
    parity = entries.get("parity", "" if digest else "unchecked")
    known = digest in (None, digest_of(written)) and parity in get_args(Parity)
    if not known or folded not in ("True", "False"):
        raise CheckpointError(f"{path}: its metadata is damaged or was changed")
    embedded = entries.get("resize_embedded") == "True"
    return ExportInfo(card, folded == "True", cast("Parity", parity), embedded)


def check_shapes(
    info: ExportInfo, image: Sequence[object], logits: Sequence[object], path: Path
) -> None:
    """Compare what a graph takes and gives with what its file says.

    Raises:
        CheckpointError: It is another.
    """
    wanted = [3, *info.card.input_size], [len(info.card.classes)]
    if info.embedded:
        wanted, image = ([3], wanted[1]), image[-1:]
    if ([*image[-3:]], [*logits[-1:]]) != wanted:
        raise CheckpointError(
            f"{path}: its graph goes from {[*image[-3:]]} to {[*logits[-1:]]}, and its metadata"
            f" from {wanted[0]} to {wanted[1]}"
        )
