"""Classes renamed, joined and left out, against the states read one by one."""

from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.datasets.annotations import Annotation, Label
from mlc_cli.core.datasets.converting.class_changes import change_classes, drop_rare
from mlc_cli.core.datasets.converting.collect import Findings, collect
from mlc_cli.core.datasets.formats.base import Sample, Source
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError, UsageError


def random_annotation(seed: int, classes: list[Label], unlisted) -> Annotation:
    rng = np.random.default_rng(seed)
    samples = []
    for image in range(40):
        states = rng.integers(0, 3, len(classes))
        lists = [[c for c, s in zip(classes, states, strict=True) if s == k] for k in (1, 2)]
        samples.append(Sample(f"{image}.jpg", *lists))
    source = Source(Path(), samples, classes, unlisted)
    return collect(source, Path("a.json"), Findings()).annotation


def joined(states: list[int]) -> int:
    """Present beats all; absent only if all are."""
    return 1 if 1 in states else -1 if -1 in states else 0


@pytest.mark.parametrize("unlisted", ["absent", "unknown"])
@pytest.mark.parametrize("seed", range(5))
def test_states_of_joined_classes(seed: int, unlisted) -> None:
    before = random_annotation(seed, ["a", "b", "c", "d", "e"], unlisted)
    noted = IssueLog()
    after = change_classes(before, {"a": "z", "d": "z", "b": "c"}, ["e"], noted)
    assert after.classes == ("c", "z")
    old, new = (x.targets_NC(range(40)) for x in (before, after))
    expected = [[joined([row[1], row[2]]), joined([row[0], row[3]])] for row in old.tolist()]
    assert new.tolist() == expected
    assert noted.counts == {
        "classes under another name": 3,
        "classes that --drop-class leaves out": 1,
    }
    assert noted.examples["classes that --drop-class leaves out"] == [
        f"e: {sum(old[:, 4] == 1)} labels"
    ]


def test_names_may_change_places() -> None:
    before = random_annotation(1, ["a", "b"], "absent")
    after = change_classes(before, {"a": "b", "b": "a"}, [], IssueLog())
    assert (after.targets_NC(range(40)) == before.targets_NC(range(40))[:, ::-1]).all()


def test_numbers_beside_a_name_become_names() -> None:
    before = random_annotation(1, [2, 10, 3], "absent")
    assert change_classes(before, {"3": "cat"}, [], IssueLog()).classes == ("10", "2", "cat")
    assert change_classes(before, {}, ["3"], IssueLog()).classes == (2, 10)


def test_rare_classes_are_left_out_from_the_bound_on() -> None:
    before = random_annotation(2, ["a", "b", "c"], "absent")
    counts = before.positives.counts_C(3).tolist()
    least = sorted(counts)[1]
    noted = IssueLog()
    after = drop_rare(before, least, noted)
    assert after.class_names == [n for n, k in zip("abc", counts, strict=True) if k >= least]
    assert list(noted.counts.values()) == [3 - len(after.classes)]
    assert drop_rare(before, 0, noted) is before
    with pytest.raises(DataError, match="--min-images leaves no class"):
        drop_rare(before, 41, noted)


def test_names_that_do_not_exist_are_refused_and_listed_ones_without_labels_are_not() -> None:
    before = random_annotation(3, ["cat", "dog"], "absent")
    with pytest.raises(UsageError, match=r"--rename-class cats: .* did you mean 'cat'"):
        change_classes(before, {"cats": "dog"}, [], IssueLog())
    with pytest.raises(UsageError, match="--drop-class cow"):
        change_classes(before, {}, ["cow"], IssueLog())
    assert change_classes(before, {}, ["cow"], IssueLog(), listed=["cow"]).classes == before.classes


def test_a_data_set_never_loses_all_its_labels() -> None:
    samples = [Sample("1.jpg", ["cat"]), Sample("2.jpg", [])]
    source = Source(Path(), samples, ["cat", "dog"])
    before = collect(source, Path("a.json"), Findings()).annotation
    with pytest.raises(DataError, match="--drop-class leaves none of them"):
        change_classes(before, {}, ["cat"], IssueLog())
