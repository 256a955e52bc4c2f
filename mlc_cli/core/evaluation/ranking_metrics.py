"""Further metrics of the field that look at the order of scores.

Names of arrays: N images, B images of a block, C classes. Targets are int8: 1 present, 0 absent, -1
unknown; unknown entries are left out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from mlc_cli.core.evaluation.metrics import Floats, check_scores
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.threads import in_threads

BLOCK_CELLS = 2**22


def auroc_C(scores_NC: NDArray[Any], targets_NC: NDArray[np.int8]) -> Floats:
    """Area under the ROC curve of each class; nan where nothing is present, or all is.

    The probability that an image with the label scores higher than one without; equal scores count
    one half.
    """
    check_scores(scores_NC, targets_NC)
    result = np.full(scores_NC.shape[1], np.nan)

    def fill(c: int) -> None:
        known_N = targets_NC[:, c] >= 0
        present_K = targets_NC[known_N, c] == 1
        positives = int(present_K.sum())
        negatives = len(present_K) - positives
        if positives and negatives:
            ranks_K = rankdata(scores_NC[known_N, c])
            above = ranks_K[present_K].sum() - positives * (positives + 1) / 2
            result[c] = above / (positives * negatives)

    list(in_threads(fill, range(scores_NC.shape[1]), min(8, usable_cores())))
    return result


def ranking_metrics(scores_NC: NDArray[Any], targets_NC: NDArray[np.int8]) -> tuple[float, float]:
    """Label ranking average precision and coverage error, as scikit-learn defines them.

    The first is the mean over images of: for each label that is present, the part of labels present
    among those that score at least as high. It is 1 for an image with no label or all of them. The
    second is how far down the ranking one has to go, on average, to find all labels of an image.

    Returns:
        Both; nan without images.
    """
    check_scores(scores_NC, targets_NC)
    images, classes = scores_NC.shape
    step = max(1, BLOCK_CELLS // classes)
    sums = [
        _of_block(scores_NC[start : start + step], targets_NC[start : start + step])
        for start in range(0, images, step)
    ]
    if not sums:
        return float("nan"), float("nan")
    precision, depth = np.sum(sums, 0) / images
    return float(precision), float(depth)


def _of_block(scores_BC: NDArray[Any], targets_BC: NDArray[np.int8]) -> tuple[float, float]:
    classes = scores_BC.shape[1]
    scores_BC = np.where(targets_BC >= 0, scores_BC, -np.inf)
    order_BC = scores_BC.argsort(1)
    ascending_BC = np.take_along_axis(scores_BC, order_BC, 1)
    present_BC = np.take_along_axis(targets_BC == 1, order_BC, 1)
    first_BC = np.broadcast_to(np.arange(classes), scores_BC.shape).copy()
    first_BC[:, 1:][ascending_BC[:, 1:] == ascending_BC[:, :-1]] = 0
    first_BC = np.maximum.accumulate(first_BC, 1)  # of the equal scores
    rank_BC = classes - first_BC
    hits_BC = np.take_along_axis(present_BC[:, ::-1].cumsum(1)[:, ::-1], first_BC, 1)
    positives_B = present_BC.sum(1)
    sums_B = np.where(present_BC, hits_BC / rank_BC, 0).sum(1)
    precision_B = np.where(positives_B, sums_B / np.maximum(positives_B, 1), 1.0)
    return float(precision_B.sum()), float(np.where(present_BC, rank_BC, 0).max(1).sum())


def top_k_NC(scores_NC: NDArray[Any], k: int = 3) -> NDArray[np.bool_]:
    """Which labels are among the k that score highest in their image.

    Together with a threshold these are the top-3 decisions of ML-GCN and the papers after it: at
    most three labels an image.
    """
    chosen_NC = np.zeros(scores_NC.shape, np.bool_)
    k = min(k, scores_NC.shape[1])
    best_NK = np.argpartition(scores_NC, -k, 1)[:, -k:]
    np.put_along_axis(chosen_NC, best_NK, values=True, axis=1)
    return chosen_NC
