"""Splitting images so that every class is shared out evenly.

Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011): the rarest class first, each of its
images goes where that class is wanted most.

Names of arrays: N images, C classes, K parts.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def stratify(targets_NC: NDArray[np.int8], shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Share images out to parts.

    Args:
        targets_NC: 1 present; everything else counts as not present.
        shares: Wanted part of the images of each of the K parts; they are scaled to sum to 1.
        seed: Decides between equals.

    Returns:
        Part of each image, 0 to K - 1.
    """
    rng = np.random.default_rng(seed)
    share_K = np.asarray(shares, np.float64) / np.sum(shares)
    present_NC = targets_NC == 1
    wanted_CK = present_NC.sum(axis=0)[:, None] * share_K
    wanted_K = len(targets_NC) * share_K
    part_N = np.full(len(targets_NC), -1, np.int64)
    left_C = present_NC.sum(axis=0)
    while (left_C > 0).any():
        rarest = int(np.where(left_C > 0, left_C, np.iinfo(np.int64).max).argmin())
        members = np.flatnonzero(present_NC[:, rarest] & (part_N < 0))
        for image in rng.permutation(members):
            part = _most_wanted(wanted_CK[rarest], wanted_K, rng)
            part_N[image] = part
            wanted_CK[present_NC[image], part] -= 1
            wanted_K[part] -= 1
            left_C -= present_NC[image]
    for image in rng.permutation(np.flatnonzero(part_N < 0)):
        part = _most_wanted(wanted_K, wanted_K, rng)
        part_N[image] = part
        wanted_K[part] -= 1
    return part_N


def _most_wanted(
    first_K: NDArray[np.float64], second_K: NDArray[np.float64], rng: np.random.Generator
) -> int:
    """Part with the largest first value, then the largest second, then at random."""
    best = np.flatnonzero(first_K == first_K.max())
    if len(best) > 1:
        best = best[second_K[best] == second_K[best].max()]
    return int(best[0] if len(best) == 1 else rng.choice(best))
