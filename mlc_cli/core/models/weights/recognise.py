"""Whose checkpoint a file is, and which class each of its logits is."""

from dataclasses import replace

from mlc_cli.core.models.weights import deep_object_reid, ml_decoder, plain
from mlc_cli.core.models.weights.class_order import listed_classes
from mlc_cli.core.models.weights.files import WeightsFile
from mlc_cli.core.models.weights.foreign import Foreign
from mlc_cli.errors import WeightsError


def recognised(file: WeightsFile, weight_classes: str | None) -> Foreign | None:
    """Read a file as a checkpoint of another system; `None` if it is a backbone alone.

    Args:
        file: Any file of weights.
        weight_classes: Names of its classes, as `listed_classes` takes them, where the file itself
            has none.

    Raises:
        MlcError: There is no such list, or it is not of this file.
    """
    foreign = deep_object_reid.recognise(file) or ml_decoder.recognise(file)
    if weight_classes is None:
        return foreign
    foreign = foreign or plain.recognise(file)
    if foreign is None or foreign.head is None:
        raise WeightsError(
            f"{file.path}: --weight-classes names the classes of a head, and none is known in it"
        )
    names, size = listed_classes(weight_classes), foreign.head.size
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
