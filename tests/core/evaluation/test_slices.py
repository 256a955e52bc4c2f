"""Groups of images: their values, and numbers that are those of the group evaluated alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, f1_score

from mlc_cli.core.datasets.columns import write_columns
from mlc_cli.core.evaluation import slices
from mlc_cli.core.evaluation.promises import Floor
from mlc_cli.core.evaluation.results import slices_as_dict
from mlc_cli.core.evaluation.scores import SavedScores, ScoredSplit
from mlc_cli.core.evaluation.slices import (
    NONE,
    measure_slices,
    promised_floors,
    slice_values,
    worst_slice,
)
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.errors import UsageError

CLASSES = ["cat", "cow", "dog"]


def made(values: list[str]) -> SavedScores:
    """Scores of images in folders of these names."""
    rng, images = np.random.default_rng(0), len(values)
    targets_NC = (rng.random((images, 3)) < 0.4).astype(np.int8)
    scores_NC = np.clip(rng.normal(0.35, 0.2, (images, 3)) + 0.3 * targets_NC, 0, 1)
    return SavedScores(
        scores_NC, targets_NC, CLASSES, [f"{v}/{n}.jpg" for n, v in enumerate(values)]
    )


def test_numbers_are_those_of_scikit_learn_on_the_group_alone() -> None:
    values = [["a", "b", "b"][n % 3] for n in range(300)]
    scores = made(values)
    thresholds_C = np.array([0.4, 0.5, 0.6])
    found = {one.value: one for one in measure_slices(["folder"], scores, thresholds_C)}
    assert [one.images for one in found.values()] == [found[v].images for v in found]
    assert {v: one.images for v, one in found.items()} == {"a": 100, "b": 200}
    for value, one in found.items():
        rows = np.array(values) == value
        own, truth = scores.probabilities_NC[rows], scores.targets_NC[rows]
        aps = [average_precision_score(truth[:, c], own[:, c]) for c in range(3)]
        assert one.metrics["mAP"].value == pytest.approx(np.mean(aps))
        micro = f1_score(truth, own >= thresholds_C, average="micro")
        assert one.metrics["OF1"].value == pytest.approx(micro)
        for measured in one.metrics.values():
            assert measured.low < measured.value < measured.high
        assert not one.floors


def test_the_worst_come_first_and_small_ones_are_marked_but_fail_no_gate() -> None:
    scores = made(["bad"] * 10 + ["empty"] * 3 + ["good"] * 87 + ["fine"] * 200)
    targets_NC = scores.targets_NC.copy()
    targets_NC[:10] = scores.probabilities_NC[:10] < 0.4  # the wrong way round
    targets_NC[10:13] = 0  # no positives: no mAP
    wrong = SavedScores(scores.probabilities_NC, targets_NC, CLASSES, scores.paths)
    found = measure_slices(["folder"], wrong, None)
    assert [found[0].value, found[-1].value] == ["bad", "empty"]
    assert [one.few for one in found] == [True, False, False, True]
    (plain,) = slices_as_dict([found[-1]])["slices"]
    assert plain["metrics"]["mAP"] == {"value": None, "low": None, "high": None, "images": 3}
    worst = worst_slice(found)
    assert worst is not None
    assert worst is found[1]
    assert worst_slice([found[0], found[-1]]) is None


@pytest.mark.parametrize("measure", ["recall", "precision", "fpr"])
def test_floors_are_measured_by_class_with_exact_intervals(measure: str) -> None:
    values = ["a"] * 150 + ["b"] * 150
    scores = made(values)
    floor = Floor(measure, 0.3 if measure == "fpr" else 0.7, 0.95)  # type: ignore[arg-type]
    thresholds_C = np.array([0.45, 0.9, 0.2])
    kept = [(floor, thresholds_C, ["dog"])]
    for one in measure_slices(["folder"], scores, None, kept):
        rows = np.array(values) == one.value
        assert list(one.floors) == [str(floor)]
        assert "dog" not in one.floors[str(floor)]
        missed = []
        for c, name in enumerate(CLASSES[:2]):
            decided = scores.probabilities_NC[rows, c] >= thresholds_C[c]
            truth = scores.targets_NC[rows, c] == 1
            of = {"recall": truth, "precision": decided, "fpr": ~truth}[measure]
            hits = int((of & (decided if measure != "precision" else truth)).sum())
            expected = binomtest(hits, int(of.sum())).proportion_ci(0.95, "exact")
            measured = one.floors[str(floor)][name]
            assert (measured.value, measured.images) == (hits / of.sum(), of.sum())
            ends = (measured.low, measured.high)
            assert ends == pytest.approx((expected.low, expected.high))
            low, high = ends
            missed += [name] if (low > 0.3 if measure == "fpr" else high < 0.7) else []
        assert one.missed == {str(floor): missed}


def test_floors_of_a_model_are_those_that_it_promises() -> None:
    model = card(
        thresholds=[0.5, 0.6, 1.0],
        lower_thresholds=[0.1, 0.2, 0.0],
        promise={
            "floors": ["precision>=0.9@95%", "recall>=0.8@90%"],
            "not_promised": {"dog": "precision>=0.9@95% cannot be promised: 3 positives"},
        },
    )
    (upper, upper_C, without), (lower, lower_C, none) = promised_floors(model)
    assert (upper, lower) == (Floor("precision", 0.9, 0.95), Floor("recall", 0.8, 0.9))
    assert (upper_C.tolist(), lower_C.tolist()) == (model.thresholds, model.lower_thresholds)
    assert (list(without), list(none)) == (["dog"], [])
    both = promised_floors(replace(model, lower_thresholds=None))
    assert [list(names) for _, _, names in both] == [["dog"], ["dog"]]


def test_rare_values_beyond_so_many_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "MOST", 3)
    scores = made([*["a"] * 20, *["b"] * 20, *[f"c{n}" for n in range(20)]])
    found = {one.value: one.images for one in measure_slices(["folder"], scores, None)}
    assert found == {"a": 20, "b": 20, "(20 others)": 20}


def values(folder: Path, by: str, paths: list[str], source: str | None = "val.json") -> list[str]:
    """What tells slices of images in a folder, by saved scores alone without a source."""
    scored = source and ScoredSplit(
        Path("m.safetensors"),
        card(),
        "",
        folder / source,
        lambda image: folder / paths[image],
        1e9,
        made(["a"]),
        {},
    )
    return slice_values(by, paths, scored or None)


def card(**others: Any) -> ModelCard:
    return ModelCard(
        classes=CLASSES, model={}, input_size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1), scale=1.0,
        **others,
    )  # fmt: skip


def photo(path: Path, size: tuple[int, int], make: str = "", model: str = "") -> None:
    exif = Image.Exif()
    if model:
        exif[0x010F], exif[0x0110] = make, model
    Image.new("RGB", size).save(path, exif=exif)


def test_images_tell_folder_camera_and_size(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    photo(tmp_path / "1.jpg", (300, 200), "NIKON CORPORATION", "NIKON D70")
    photo(tmp_path / "a/2.jpg", (128, 500), "Canon", "Canon EOS 5D")
    photo(tmp_path / "a/b/3.jpg", (127, 90), "Apple", "X")
    photo(tmp_path / "a/b/4.png", (64, 64))
    paths = ["1.jpg", "a/2.jpg", "a/b/3.jpg", "a/b/4.png"]
    found = {by: values(tmp_path, by, paths) for by in ("folder", "camera", "size")}
    assert found["folder"] == [".", "a", "a/b", "a/b"]
    assert found["camera"] == ["NIKON CORPORATION NIKON D70", "Canon EOS 5D", "Apple X", NONE]
    assert found["size"] == [f"shorter side {band}" for band in
                             ("128 to 255", "128 to 255", "64 to 127", "64 to 127")]  # fmt: skip


def test_kept_columns_tell_slices_and_numbers_become_bands(tmp_path: Path) -> None:
    paths = [f"{n}.jpg" for n in range(40)]
    cells = {p: {"site": "Ulm" if n % 2 else " ", "age": str(n)} for n, p in enumerate(paths[:39])}
    write_columns(tmp_path / "val.json", "", cells)
    found = {by: values(tmp_path, by, paths) for by in ("site", "age")}
    assert found["site"] == [NONE, "Ulm"] * 19 + [NONE, NONE]
    assert found["age"][-1] == NONE
    bands = {band: found["age"].count(band) for band in found["age"]}
    assert len(bands) == 5
    assert all(9 <= bands[band] <= 10 for band in bands if band != NONE)
    assert found["age"][0] == "0 to 9.5"
    few = {p: {"grade": str(n % 5), "camera": "own"} for n, p in enumerate(paths)}
    write_columns(tmp_path / "val.json", "", few)
    assert set(values(tmp_path, "camera", paths)) == {"own"}
    assert values(tmp_path, "grade", paths)[:6] == ["0", "1", "2", "3", "4", "0"]


@pytest.mark.parametrize(
    ("by", "source", "words"),
    [
        ("sit", "val.json", "did you mean 'site'"),
        ("age", "test.json", "--keep-columns"),
        ("camera", None, "saved scores"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, by: str, source: str | None, words: str) -> None:
    write_columns(tmp_path / "val.json", "", {"1.jpg": {"site": "Ulm"}})
    with pytest.raises(UsageError) as caught:
        values(tmp_path, by, ["1.jpg"], source)
    assert words in f"{caught.value.message} {caught.value.hint}"
