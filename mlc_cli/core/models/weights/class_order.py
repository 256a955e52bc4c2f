"""Which class each logit of a foreign head is: by name, never by position alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
from pydantic import TypeAdapter
from torch import Tensor

from mlc_cli.core.datasets.formats.shared.lines import text_lines
from mlc_cli.core.system.files import named_faults
from mlc_cli.errors import WeightsError

Classes = list[str] | list[int]
Names = Sequence[str | int]
State = Mapping[str, Tensor]

BY_CLASS = {
    "weight", "linear.weight", "linear.bias", "class_bias", "weights.vectors_CE",
    "pooled.weight", "pooled.linear.weight", "pooled.linear.bias",
}  # fmt: skip
"""Tensors of heads, in the names of mlc, whose first axis is that of the classes."""
BY_GROUP = {"class_vectors", "queries"}
"""The same of an ML-Decoder that has a group for each class."""
_NAMES: TypeAdapter[Classes] = TypeAdapter(Classes)
UNLISTED = {
    "nus-wide": "ConceptsList/Concepts81.txt of the data set, if the head follows it",
    "openimages": "the idx_to_class of the file that it came with, one name a line",
}


def listed_classes(source: str) -> Classes:
    """Class names in the order of the logits of a head.

    Args:
        source: `coco`: 80 names in the order of the category ids of instances_val2014.json, as
            torchvision has them; `voc`: the 20 names of VOC in the order of the alphabet; or a
            text file with a name a line, or a `.json` file with a list of names or of numbers.

    Raises:
        MlcError: There is no such list, or it names a class twice.
    """
    if source in ("coco", "voc"):
        from torchvision.models import detection, segmentation  # noqa: PLC0415 - slow to import

        known = {
            "coco": detection.FasterRCNN_ResNet50_FPN_Weights.COCO_V1,
            "voc": segmentation.FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1,
        }
        categories: list[str] = known[source].meta["categories"]
        return [name for name in categories if name not in ("__background__", "N/A")]
    if source in UNLISTED:
        raise WeightsError(
            f"--weight-classes {source}: no public file says in which order a head has its classes",
            f"Name them in a file: {UNLISTED[source]}.",
        )
    path = Path(source).expanduser()
    names: Classes = [name for _, name in text_lines(path)]
    if path.suffix == ".json":
        with named_faults(path, "is not a list of names in JSON", WeightsError):
            names = _NAMES.validate_json(path.read_bytes(), strict=True)
    if not names or len(set(names)) < len(names):
        raise WeightsError(f"--weight-classes {source}: expected a name a line, each once")
    return names


def places(theirs: Names, ours: Names) -> list[int | None]:
    """Place among `theirs` of each of `ours`; `None` for classes that they lack."""
    place = {str(name): position for position, name in enumerate(theirs)}
    return [place.get(str(name)) for name in ours]


def positions(theirs: Names, ours: Names) -> list[int] | None:
    """The same if both are the same classes, each once."""
    order = [place for place in places(theirs, ours) if place is not None]
    same = sorted(order) == list(range(len(theirs))) and len(order) == len(ours)
    return order if same else None


def reordered(
    state: State, order: Sequence[int | None], own: State = MappingProxyType({})
) -> dict[str, Tensor]:
    """A head, in the names of mlc, with its classes in another order.

    That is the place of each in the file; a class without one keeps what it has in `own`, a new
    head. Where groups of an ML-Decoder hold several classes, each class gets the query of its group
    to itself, which gives the same logits.
    """
    if not own and order == list(range(len(order))):
        return dict(state)
    index_C = torch.tensor([place for place in order if place is not None])
    moved = {name: value[index_C] if name in BY_CLASS else value for name, value in state.items()}
    if "weights.links_CC" in state:
        moved["weights.links_CC"] = state["weights.links_CC"][index_C][:, index_C]
    if "class_vectors" in state:
        vectors_GME = state["class_vectors"]
        moved["class_vectors"] = vectors_GME.flatten(0, 1)[index_C][:, None]
        if "queries" in state:
            moved["queries"] = state["queries"][index_C // vectors_GME.shape[1]]
    stay = [c for c, place in enumerate(order) if place is not None]
    for name in (BY_CLASS | BY_GROUP) & moved.keys() & own.keys():
        moved[name] = own[name].clone().index_copy(0, torch.tensor(stay), moved[name])
    return moved
