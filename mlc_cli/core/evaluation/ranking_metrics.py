"""Further metrics of the field that look at the order of scores.

Names of arrays: N images, B images of a block, C classes. Targets are int8: 1 present, 0 absent, -1
unknown; unknown entries are left out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.evaluation.metrics import check_scores, ratio
from mlc_cli.core.evaluation.ranking import RankedPositives

BLOCK_CELLS = 2**22


def auroc(ranked: RankedPositives) -> float:
    """Area under the ROC curve of a class; nan where all is present.

    The probability that an image with the label scores higher than one without; equal scores count
    one half, which is the mean of those with at least and of those with more than a score. Of the
    pairs of two positives half are in order.
    """
    positives = len(ranked.scores_P)
    above = (ranked.sorted_rank_P + ranked.above_P).sum() / 2 - positives**2 / 2
    return float(1 - ratio(above, positives * (ranked.known - positives)))


def eleven_point_ap(ranked: RankedPositives) -> Any:
    """Average precision of Pascal VOC 2007.

    The mean, over the recalls 0, 0.1, ..., 1, of the highest precision at that recall or above
    (Everingham et al. 2010).
    """
    # ascending scores: falling recall
    best_P = np.maximum.accumulate(ranked.hits_P / ranked.sorted_rank_P)
    reached = ranked.hits_P >= np.linspace(0, 1, 11)[:, None] * len(best_P) - 1e-9
    return best_P[reached.sum(1) - 1].mean()


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
