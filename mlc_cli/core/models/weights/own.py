"""Checkpoints of mlc as starting weights."""

from pathlib import Path

from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.weights.report import LoadReport, other_classes
from mlc_cli.core.runs.checkpoint import has_card, read_card, read_state
from mlc_cli.errors import WeightsError

ORIGIN = "a checkpoint of mlc"


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint of mlc rather than weights of other origin."""
    return path.suffix == ".safetensors" and path.is_file() and has_card(path)


def load_checkpoint(
    model: Classifier, path: Path, classes: list[str] | list[int], *, reset_head: bool
) -> LoadReport:
    """Load a checkpoint of mlc, head included.

    Args:
        model: With a head for `classes`.
        path: The checkpoint.
        classes: Class names of the model.
        reset_head: Leave the head as it is if the checkpoint is for other classes.

    Raises:
        WeightsError: The classes differ and `reset_head` is off, or a tensor does not fit.
    """
    card, state = read_card(path), read_state(path)
    same = list(card.classes) == list(classes)
    if not same and not reset_head:
        raise other_classes(path, len(card.classes), len(classes))
    left_out = () if same else tuple(k for k in state if k.startswith("head."))
    kept = {k: v for k, v in state.items() if k not in left_out}
    own = model.state_dict()
    wrong = [k for k in kept if k not in own or own[k].shape != kept[k].shape]
    missing = tuple(k for k in own if k not in kept)
    if wrong or (same and missing):
        raise WeightsError(
            f"{path}: is for another model: {', '.join((*wrong, *missing)[:3])} do not fit",
            f"It was trained with backbone {card.model.get('backbone')} and head"
            f" {card.model.get('head', {}).get('name')}.",
        )
    model.load_state_dict(kept, strict=False)
    return LoadReport(str(path), len(kept), missing, left_out, (), ORIGIN, head=same)
