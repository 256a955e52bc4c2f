"""Images without labels, as part of a training split."""

import os

import numpy as np

from mlc_cli.core.datasets.annotations import Annotation, LabelSets
from mlc_cli.core.datasets.converting.folds import with_images
from mlc_cli.core.loading.sources import Sources
from mlc_cli.errors import DataError


def with_unlabelled(
    folder: str, train: Annotation, listed: list[Annotation]
) -> tuple[Annotation, str]:
    """The training split with the images of a folder behind it, and how many these are.

    Every label of theirs is unknown. Images that are `listed` are left out.

    Raises:
        DataError: There are none, or the split is not of files on this machine.
    """
    if train.pieces or train.remote:
        raise DataError("data.unlabelled goes with a data set of files on this machine")
    known = {os.path.realpath(one.path(n)) for one in [train, *listed] for n in range(len(one))}
    sources = Sources((folder,))
    sources.check()
    found = dict.fromkeys(os.path.realpath(item.path) for item in sources)
    new = [path for path in found if path not in known]
    if not new:
        raise DataError(f"data.unlabelled: all {len(found)} images of {folder} are in the splits")
    all_C = np.arange(len(train.classes) * (train.unlisted == "absent"))
    starts, kind = np.arange(len(new) + 1) * len(all_C), train.others.indices.dtype
    others = LabelSets(np.tile(all_C, len(new)).astype(kind), starts)
    none = LabelSets(np.empty(0, kind), np.zeros_like(starts))
    left_out = f"; {len(found) - len(new)} that a split lists are left out"
    said = f"unlabelled  {len(new)} images of {folder}" + left_out * (len(found) > len(new))
    return with_images(train, new, none, others), said
