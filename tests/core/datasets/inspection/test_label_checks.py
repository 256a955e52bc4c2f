"""Findings that need no image, one by one."""

import json
import re
import time

import pytest

from mlc_cli.core.datasets.inspection.collection import read_collection
from mlc_cli.core.datasets.inspection.inspect import Inspection, inspect
from mlc_cli.core.datasets.inspection.names import of_other_things


def kinds(inspection: Inspection) -> dict[str, str]:
    return {finding.kind: finding.severity for finding in inspection.findings}


def find(inspection: Inspection, kind: str):
    found = [finding for finding in inspection.findings if finding.kind == kind]
    assert len(found) == 1, kinds(inspection)
    return found[0]


@pytest.fixture
def check(examine):
    """Inspect annotation alone."""

    def run(splits, **others) -> Inspection:
        files = {entry[0]: None for entries in splits.values() for entry in entries}
        return examine(splits, files, images=False, **others)

    return run


def balanced(split: str, images: int = 50) -> list[list]:
    labels = (["cat"], ["dog"], ["cat", "dog"])
    return [[f"{split}/{n}.jpg", labels[n % 3]] for n in range(images)]


def test_a_good_data_set_has_no_findings(check) -> None:
    found = check({"train": balanced("train"), "val": balanced("val"), "test": balanced("test")})
    assert found.findings == ()
    assert found.verdict == "0 errors, 0 warnings, 0 notes"


def test_a_faulty_file_is_an_error_with_all_its_faults(check) -> None:
    found = check({"train": [["a", ["cow"]], ["a", []]], "val": balanced("val")})
    finding = find(found, "annotation")
    assert finding.severity == "error"
    assert "'cow'" in finding.message
    assert "more than once" in finding.message
    assert found.statistics.splits.keys() == {"val"}


@pytest.mark.parametrize(("there", "missing"), [("train", "val"), ("val", "train")])
def test_a_missing_split_is_a_warning(check, there: str, missing: str) -> None:
    finding = find(check({there: balanced(there)}), "missing-split")
    assert finding.severity == "warning"
    assert f"{missing}.json" in finding.message


def test_other_classes_in_a_split_are_an_error(make_data) -> None:
    root = make_data({"train": balanced("train")}, dict.fromkeys(e[0] for e in balanced("train")))
    content = json.loads((root / "train.json").read_text())
    content["classes"] = ["cat", "dog", "cow"]
    content["images"] = [[f"v{path}", labels] for path, labels in content["images"]]
    (root / "val.json").write_text(json.dumps(content))
    finding = find(inspect(read_collection(root), None, 6), "classes-differ")
    assert finding.severity == "error"
    assert "cow" in finding.message


@pytest.mark.parametrize("path", ["train/3.jpg", "./train/3.jpg", "train/../train/3.jpg"])
def test_the_same_path_in_two_splits_is_an_error(check, path: str) -> None:
    found = check({"train": balanced("train"), "val": [*balanced("val"), [path, ["cat"]]]})
    finding = find(found, "same-path")
    assert (finding.severity, finding.count, finding.examples) == ("error", 1, (path,))
    assert "val is also in train" in finding.message


def test_classes_without_images_are_named_by_where_they_lack(check) -> None:
    cats = [[path, ["cat"]] for path, _ in balanced("val")]
    found = check(
        {"train": balanced("train"), "val": [*cats, ["v.jpg", []]]}, classes=["cat", "cow", "dog"]
    )
    assert find(found, "no-positives").examples == ("cow",)
    finding = find(found, "no-positives-in-split")
    assert (finding.severity, finding.examples) == ("note", ("dog",))
    assert "of val" in finding.message


def test_a_class_that_cannot_be_learnt_is_a_warning(check) -> None:
    cats = [[path, ["cat"]] for path, _ in balanced("train")]
    found = check({"train": [*cats, ["t.jpg", []]], "val": balanced("val")})
    assert find(found, "no-positives-in-split").severity == "warning"


def test_a_class_on_every_image_is_a_warning(check) -> None:
    always = [[path, sorted({"cat", *labels})] for path, labels in balanced("train")]
    finding = find(check({"train": always, "val": balanced("val")}), "no-negatives")
    assert (finding.severity, finding.examples) == ("warning", ("cat",))


def test_unknown_states_are_no_negatives(check) -> None:
    entries = [[path, ["cat"]] for path, _ in balanced("train")]
    entries[0] = [entries[0][0], [], ["cat"]]
    finding = find(check({"train": entries, "val": balanced("val")}), "no-negatives")
    assert finding.message == "1 class is known to be absent from no image of train"
    assert finding.examples == ("cat: 49 present, 1 unknown",)


def test_where_only_positives_are_known_no_class_is_said_to_be_on_every_image(check) -> None:
    found = check({"train": balanced("train"), "val": balanced("val")}, unlisted="unknown")
    for finding in [f for f in found.findings if f.kind == "no-negatives"]:
        assert "on every image" not in finding.message
        assert finding.examples[0].startswith("cat: 33 present, 17 unknown")


def test_splits_without_any_label_are_errors_and_test_alone_is_a_warning(check) -> None:
    bare = {name: [[f"{name}/{n}.jpg", []] for n in range(5)] for name in ("train", "val", "test")}
    found = check(bare)
    severities = [f.severity for f in found.findings if f.kind == "no-labels"]
    assert severities == ["error", "error", "warning"]
    assert "without-labels" not in kinds(found)
    labelled = {"train": balanced("train"), "val": balanced("val"), "test": bare["test"]}
    assert kinds(check(labelled, name="other")) == {
        "no-labels": "warning",
        "no-positives-in-split": "note",
    }


@pytest.mark.parametrize(("path", "key"), [
    ("patient{g}/study1/view{n}.jpg", "patient7"),
    ("vid_{g}-{n:04}.jpg", "vid_7"),
    ("images/{s}/trip{g}_frame{n:03}.png", "trip7"),
    ("clip{g}_mp4-{n}_jpg.rf.0a1b{n}.jpg", "clip7"),
    ("0000{g:04}_{n:03}.png", "00000007"),
    ("{s}/p{g:02}_{n}.jpg", "p07"),
    ("a/Video {g}/{n}.jpg", "Video 7"),
])  # fmt: skip
def test_groups_in_several_splits_are_found_by_name(check, path: str, key: str) -> None:
    entries = {
        s: [[path.format(s=s, g=g, n=2 * n + (s == "val")), own] for g, (_, own) in
            enumerate(balanced("", 10)) for n in range(3)]
        for s in ("train", "val")
    }  # fmt: skip
    finding = find(check(entries), "split-groups")
    assert (finding.severity, finding.count) == ("warning", 10)
    assert f"{key}: 3 in train, 3 in val" in finding.examples
    pattern = re.search("--group-by '([^']+)'", finding.repair)
    assert pattern
    found = re.search(pattern[1], entries["train"][-1][0])
    assert found
    assert found[min(1, len(found.groups()))] == key.replace("7", "9")


@pytest.mark.parametrize("path", [
    "{s}/video_{n:03}.jpg", "COCO_{s}2014_{n:06}.jpg", "200{g}_{n:06}.jpg",
    "IMG_2023010{g}_{n}.jpg", "c{n}/0001_{g}.jpg", "{n}.jpg", "IMG_{n}.jpg", "{s}/frame_{n:04}.jpg",
])  # fmt: skip
def test_names_that_tell_no_group_are_left_alone(check, path: str) -> None:
    entries = {
        s: [[path.format(s=s, g=n % 8, n=2 * n + (s == "val" and "video" not in path)), own]
            for n, (_, own) in enumerate(balanced("", 60))]
        for s in ("train", "val")
    }  # fmt: skip
    assert "split-groups" not in kinds(check(entries))


def test_names_without_end_take_no_time(check) -> None:
    hostile = ["a_" * 3000, "1 " * 490, " " * 980, "frame." * 160, ".rf" * 300]
    entries = {
        s: [[f"{s}{n}{name}", []] for n, name in enumerate(hostile)] for s in ("train", "val")
    }
    started = time.perf_counter()
    check(entries)
    assert time.perf_counter() - started < 5


def test_rare_classes_of_train_are_noted(check) -> None:
    found = check({"train": [*balanced("train"), *[[f"r{n}", ["cow"]] for n in range(19)]],
                   "val": balanced("val")}, classes=["cat", "cow", "dog"])  # fmt: skip
    assert find(found, "few-positives").examples == ("cow: 19",)


def test_images_without_labels_are_noted_with_their_share(check) -> None:
    found = check({"train": [*balanced("train", 30), *[[f"e{n}", []] for n in range(10)]],
                   "val": balanced("val")})  # fmt: skip
    finding = find(found, "without-labels")
    assert (finding.severity, finding.count, finding.more) == ("note", 10, 0)
    assert "(25.0%)" in finding.message


@pytest.mark.parametrize(
    ("names", "kind", "severity"),
    [
        (["cat", " dog"], "spaces-in-names", "warning"),
        (["Cat", "cat"], "twin-names", "warning"),
        (["cat", "cats"], "plural-names", "note"),
        (["cat", "dog']"], "odd-names", "warning"),
        (["cat", '"dog'], "odd-names", "warning"),
        (["cat", "dog;"], "odd-names", "warning"),
        (["cat", "images/dog.JPG"], "odd-names", "warning"),
        (["umbrella", "umbrela"], "misspelt-names", "note"),
    ],
)
def test_suspicious_names(check, names: list[str], kind: str, severity: str) -> None:
    entries = [[f"{n}.jpg", [names[n % 2]]] for n in range(60)]
    found = check({"train": entries, "val": [[f"v{path}", own] for path, own in entries]},
                  classes=names)  # fmt: skip
    assert kinds(found) == {kind: severity}
    assert names[1] in find(found, kind).examples[0]


def test_names_with_marks_inside_are_good_names() -> None:
    names = ["bat (animal)", "A / B", "O'Brien", "C++", "v1.5", "rock'n'roll", "a[1]", "Dr. No"]
    assert of_other_things(names) == []
    assert of_other_things(["dog)", "(dog", "f(x)", "a.csv"]) == ["dog)", "(dog", "a.csv"]


def test_integers_are_not_taken_for_names(check) -> None:
    entries = [[f"{n}.jpg", [[1, 11][n % 2]]] for n in range(60)]
    found = check(
        {"train": entries, "val": [[f"v{p}", own] for p, own in entries]}, classes=[1, 11]
    )
    assert found.findings == ()


def test_classes_that_are_never_apart_are_noted(check) -> None:
    entries = [[f"{n}.jpg", ["cat", "dog"] if n % 2 else []] for n in range(60)]
    found = check({"train": entries, "val": [[f"v{path}", own] for path, own in entries]})
    assert find(found, "always-together").examples == ("cat / dog: 60",)
    entries[0][1] = ["cat"]
    found = check({"train": entries, "val": [[f"v{path}", own] for path, own in entries]},
                  name="apart")  # fmt: skip
    assert "always-together" not in kinds(found)


def test_findings_come_worst_first_and_show_ten(check) -> None:
    shared = balanced("train")[:12]
    found = check({"train": [*balanced("train"), ["e.jpg", []]], "val": shared, "test": []})
    severities = [finding.severity for finding in found.findings]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    finding = find(found, "same-path")
    assert (finding.count, len(finding.examples), finding.more) == (12, 10, 2)
    assert "12 images of val are also in train" in finding.message
