"""One pass over samples: what is joined, what is named, and how little memory it takes."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc_cli.core.datasets.converting.collect import Collected, Findings, collect
from mlc_cli.core.datasets.formats.base import Sample, Source
from mlc_cli.errors import DataError


def gather(*samples: tuple[Any, ...], findings: Findings | None = None, **more: Any) -> Collected:
    options = {key: more.pop(key) for key in list(more) if key not in Source.__dataclass_fields__}
    if "fixed" in options:
        options["classes"] = options.pop("fixed")
    source = Source(Path("root"), (Sample(*sample) for sample in samples), **more)
    return collect(source, Path("a.json"), findings or Findings(), **options)


def states(collected: Collected) -> dict[str, tuple[list[Any], list[Any]]]:
    own = collected.annotation
    return {
        path: tuple([own.classes[c] for c in sets.of(i)] for sets in (own.positives, own.others))
        for i, path in enumerate(own.paths)
    }


def test_order_of_images_stays_and_classes_are_sorted() -> None:
    collected = gather(("b.jpg", ["dog", "cat", "dog"]), ("a.jpg", []), ("c.jpg", ["ant"]))
    assert collected.annotation.classes == ("ant", "cat", "dog")
    assert states(collected) == {
        "b.jpg": (["cat", "dog"], []),
        "a.jpg": ([], []),
        "c.jpg": (["ant"], []),
    }
    assert list(states(collected)) == ["b.jpg", "a.jpg", "c.jpg"]
    assert collected.annotation.positives.indices.dtype == np.uint16


def test_integers_sort_as_numbers_and_integers_as_text_stay_text() -> None:
    assert gather(("a", [10, 9])).annotation.classes == (9, 10)
    assert gather(("a", ["10", "9"])).annotation.classes == ("10", "9")


@pytest.mark.parametrize("samples", [[("a", [1, "x"])], [("a", []), ("b", ())]])
def test_mixed_kinds_and_no_classes_are_refused(samples: list[Any]) -> None:
    with pytest.raises(DataError) as caught:
        gather(*samples)
    assert "a.json" in caught.value.message


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="no images"):
        gather(classes=["cat"])


def test_listed_classes_stay_without_images() -> None:
    assert gather(("a", []), classes=["dog", "cat"]).annotation.classes == ("cat", "dog")


def test_an_image_listed_twice_has_the_labels_of_both_and_is_noted() -> None:
    findings = Findings()
    collected = gather(
        ("a.jpg", ["cat"]), ("b.jpg", []), ("./a.jpg", ["dog"]), ("x//a.jpg", []), findings=findings
    )
    assert states(collected)["a.jpg"] == (["cat", "dog"], [])
    assert list(states(collected)) == ["a.jpg", "b.jpg", "x/a.jpg"]
    assert findings.noted.examples == {"images listed again (labels joined)": ["a.jpg"]}
    assert findings.dropped.counts == {}


def test_scattered_rows_join_in_silence() -> None:
    findings = Findings()
    rows = [("a", ["x"]), ("a", ["y"]), ("b", [], ["x"]), ("a", [], ["z"]), ("b", ["x"])]
    collected = gather(*rows, scattered=True, unlisted="unknown", findings=findings)
    assert states(collected) == {"a": (["x", "y"], ["z"]), "b": (["x"], [])}
    assert findings.noted.counts == {}
    assert findings.dropped.counts == {"labels both present and absent (present counts)": 1}


@pytest.mark.parametrize("unlisted", ["absent", "unknown"])
def test_what_is_said_beats_what_is_not_and_present_beats_all(unlisted: str) -> None:
    findings = Findings()
    rows = [("a", ["x"], ["y"]), ("a", [], ["x"]), ("a", ["z"], [])]
    collected = gather(*rows, classes=["x", "y", "z", "w"], unlisted=unlisted, findings=findings)
    present, other, rest = (1, -1, 0) if unlisted == "absent" else (1, 0, -1)
    assert collected.annotation.classes == ("w", "x", "y", "z")
    assert collected.annotation.targets_NC([0]).tolist() == [[rest, present, other, present]]
    assert list(findings.dropped.counts.values()) == [1]


def test_labels_outside_of_the_classes_are_refused_with_the_nearest() -> None:
    with pytest.raises(DataError) as caught:
        gather(("a", ["cta"]), ("b", ["cta", "dog"], ["owl"]), fixed=["dog", "cat"])
    assert "2 labels are not among the 2 classes" in caught.value.message
    assert "'cta', 2 times, did you mean 'cat'?" in caught.value.message
    assert "'owl', 1 times" in caught.value.message
    assert "on_unknown_class=drop" in caught.value.hint


def test_more_strangers_than_classes_can_be_dropped() -> None:
    collected = gather(
        ("a", ["dog", "cat"]), ("b", ["elk"]), fixed=["cat"], drop_unknown_labels=True
    )
    assert collected.annotation.targets_NC([0, 1]).tolist() == [[1], [0]]


def test_labels_outside_of_the_classes_are_dropped_and_counted_if_asked() -> None:
    findings = Findings()
    collected = gather(
        ("a", ["cta", "dog"]),
        ("b", ["cta"], ["owl"]),
        fixed=["dog", "cat"],
        drop_unknown_labels=True,
        findings=findings,
    )
    assert states(collected) == {"a": (["dog"], []), "b": ([], [])}
    assert findings.dropped.counts == {"labels that are not among the classes": 3}


def test_classes_of_the_user_go_before_those_of_the_format_and_compare_as_text() -> None:
    collected = gather(("a", [7]), ("b", [10]), fixed=["10", "7"], classes=[7, 10])
    assert states(collected) == {"a": (["7"], []), "b": (["10"], [])}


def test_one_image_in_two_splits_stays_in_both_and_is_noted() -> None:
    findings = Findings()
    rows = [("a", ["x"], (), "train"), ("b", ["x"], (), "train"), ("a", [], (), "val")]
    collected = gather(*rows, findings=findings)
    splits = collected.by_split()
    assert {name: list(split.paths) for name, split in splits.items()} == {
        "train": ["a", "b"],
        "val": ["a"],
    }
    assert findings.noted.examples == {"images in more than one split": ["a"]}
    joined = gather(*rows, join_splits=True)
    assert joined.splits == ("",)
    assert states(joined) == {"a": (["x"], []), "b": (["x"], [])}


def test_names_that_differ_in_case_alone_are_noted() -> None:
    findings = Findings()
    gather(("A.jpg", ["x"]), ("a.JPG", []), ("b.jpg", []), findings=findings)
    kind = "images whose path differs from that of another in case alone"
    assert findings.noted.examples == {kind: ["a.JPG"]}


def test_paths_that_lead_elsewhere_stay_as_they_are_to_be_refused_later() -> None:
    paths = ["../a.jpg", "/etc/a.jpg", "x/../../a.jpg", "/./a.jpg"]
    collected = gather(*((path, ["x"]) for path in paths))
    assert list(collected.annotation.paths) == ["../a.jpg", "/etc/a.jpg", "x/../../a.jpg", "/a.jpg"]


def test_a_path_that_is_not_text_is_dropped() -> None:
    findings = Findings()
    collected = gather(("\ud800.jpg", ["x"]), ("ü .jpg", ["y"]), findings=findings)
    assert states(collected) == {"ü .jpg": (["y"], [])}
    assert findings.dropped.examples == {"images whose path is not text": [r"'\ud800.jpg'"]}


def test_against_sets_in_python() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        paths = [f"{n}.jpg" for n in rng.integers(0, 30, 60)]
        rows = [
            (path, [f"c{c}" for c in rng.integers(0, 6, rng.integers(0, 4))],
             [f"c{c}" for c in rng.integers(0, 6, rng.integers(0, 3))])
            for path in paths
        ]  # fmt: skip
        expected: dict[str, tuple[set[str], set[str]]] = {}
        for path, present, others in rows:
            own = expected.setdefault(path, (set(), set()))
            own[0].update(present)
            own[1].update(others)
        found = states(gather(*rows, scattered=bool(rng.random() < 0.5)))
        assert found == {p: (sorted(a), sorted(b - a)) for p, (a, b) in expected.items()}
        assert list(found) == list(expected)


@pytest.mark.parametrize("grouped", [True, False], ids=["rows of an image together", "apart"])
def test_memory_is_that_of_the_arrays(grouped: bool) -> None:
    def rows(images: int) -> Iterator[Sample]:
        for number in range(3 * images):
            image = number // 3 if grouped else number % images
            yield Sample(f"train/{image:016x}.jpg", (f"/m/{number % 600}",))

    images = 20_000
    tracemalloc.start()
    collect(Source(Path(), rows(images), scattered=True), Path("a"), Findings())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / images < 600


@pytest.mark.parametrize(("names", "said"), [(["trainval", "train", "val"], 1),
                                             (["trainval", "test"], 0),
                                             (["train", "val"], 0)])  # fmt: skip
def test_trainval_beside_train_and_val_is_noted(names: list[str], said: int) -> None:
    findings = Findings()
    gather(*((f"{name}.jpg", ["cat"], (), name) for name in names), findings=findings)
    assert sum("train and val again" in kind for kind in findings.noted.counts) == said
