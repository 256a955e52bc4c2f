"""The diagnosis as a whole, and the choice of images to show."""

import numpy as np

from mlc_cli.core.evaluation.diagnosis import FITTED, HALF, choose_images, diagnose


def make(images: int = 80, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    targets_NC = (rng.random((images, classes)) < 0.3).astype(np.int8)
    return rng.random((images, classes)).astype(np.float32), targets_NC


def test_thresholds_decide_what_counts_as_a_mistake() -> None:
    scores_NC, targets_NC = make()
    half = diagnose(scores_NC, targets_NC, None, draws=5)
    never = diagnose(scores_NC, targets_NC, np.full(5, 2.0), draws=5)
    assert set(half.intervals.decisions) == {HALF}
    assert set(never.intervals.decisions) == {HALF, FITTED}
    assert sum(mistakes.extra_total for mistakes in half.mistakes) > 0
    assert sum(mistakes.extra_total for mistakes in never.mistakes) == 0
    assert never.mistakes[0].missed_total == np.count_nonzero(targets_NC[:, 0])


def test_images_are_chosen_within_the_limit() -> None:
    scores_NC, targets_NC = make()
    diagnosis = diagnose(scores_NC, targets_NC, None, draws=2)
    suspects = {s.image for s in (*diagnosis.suspects.missing, *diagnosis.suspects.wrong)}
    everything = choose_images(diagnosis, limit=10**6)
    assert everything.left_out == 0
    assert len(everything.labels) == 5
    assert len(set(everything.images)) == len(everything.images)
    for label in everything.labels:
        mistakes = diagnosis.mistakes[label]
        assert {*mistakes.extra, *mistakes.missed} <= set(everything.images)
    totals = [diagnosis.mistakes[label].total for label in everything.labels]
    assert totals == sorted(totals, reverse=True)
    few = choose_images(diagnosis, limit=len(suspects) + 10)
    assert suspects <= set(few.images)
    assert len(few.images) <= len(suspects) + 10
    assert few.labels == everything.labels[: len(few.labels)]
    assert 0 < few.left_out == 5 - len(few.labels)


def test_a_model_without_mistakes_needs_no_images() -> None:
    _, targets_NC = make()
    chosen = choose_images(diagnose(targets_NC.astype(np.float32), targets_NC, None, draws=2), 100)
    assert (chosen.labels, chosen.left_out, chosen.images) == ([], 0, [])
