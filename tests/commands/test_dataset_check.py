"""`mlc dataset-check`: from a folder to tables, JSON, a page and a cleaned copy."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest


@pytest.fixture
def broken(make_dataset) -> Path:
    """A data set with a lost, a truncated and a copied image, and a leak."""
    root = make_dataset()
    images = root / "images"
    (images / "train" / "000.png").unlink()
    content = (images / "train" / "001.png").read_bytes()
    (images / "train" / "001.png").write_bytes(content[:-30])
    for place in ("train/003.png", "val/000.png"):
        shutil.copy(images / "train" / "002.png", images / place)
    train = json.loads((root / "train.json").read_text())
    labels = dict(train["images"])
    for entry in train["images"]:
        entry[1] = labels["images/train/002.png"] if entry[0].endswith("003.png") else entry[1]
    (root / "train.json").write_text(json.dumps(train))
    return root


def test_tables_and_findings_are_on_stdout_and_the_sum_on_stderr(mlc, broken: Path) -> None:
    outcome = mlc("dataset-check", broken)
    assert outcome.code == 0, outcome.err
    for words in ("labels an image", "blue", "share of train", "46 of 48", "PNG 46",
                  "error    1 image is missing", "train: images/train/000.png",
                  "1 image is truncated", "1 file of val is a copy of one in train",
                  "1 file is a copy of another in its split", "-> "):  # fmt: skip
        assert words in outcome.out
    assert f"{broken}: 48 images, 3 errors" in outcome.err


def test_json_stands_alone_and_agrees(mlc, broken: Path) -> None:
    content = json.loads(mlc("dataset-check", broken, "--json").out)
    kinds = {finding["kind"] for finding in content["findings"]}
    assert {"missing-images", "truncated-images", "copies", "copies-across-splits"} <= kinds
    assert content["splits"]["train"]["images"] == 24
    assert len(content["unusable"]) == 2


def test_strict_is_code_three_with_all_results(mlc, broken: Path, make_dataset) -> None:
    outcome = mlc("dataset-check", broken, "--strict", "--json")
    assert outcome.code == 3
    assert json.loads(outcome.out)["images"] == 48
    assert "--strict: 3 errors" in outcome.err
    good = make_dataset(60, 30, name="good")
    outcome = mlc("dataset-check", good, "--strict")
    assert outcome.code == 0, outcome.out


def test_rules_of_the_settings_are_checked_and_completed(mlc, make_dataset, tmp_path: Path) -> None:
    root = make_dataset()
    rule = ["--set", "rules.implies={red: green}"]
    found = json.loads(mlc("dataset-check", root, *rule, "--json").out)["findings"]
    assert "red without green" in found[0]["message"]
    assert mlc("dataset-check", root, *rule, "--fix", tmp_path / "fixed").code == 0
    images = json.loads((tmp_path / "fixed" / "train.json").read_text())["images"]
    assert all("green" in labels for _, labels, *_ in images if "red" in labels)


def test_without_images_no_file_is_opened(mlc, broken: Path) -> None:
    shutil.rmtree(broken / "images")
    outcome = mlc("dataset-check", broken, "--no-images", "--json")
    assert outcome.code == 0
    content = json.loads(outcome.out)
    assert "files" not in content
    assert not [f for f in content["findings"] if "image" in f["kind"]]
    assert mlc("dataset-check", broken, "--no-images", "--fix", "x").code == 2


def test_a_faulty_annotation_is_a_finding_beside_the_others(mlc, broken: Path) -> None:
    (broken / "val.json").write_text('{"classes": ["blue"], "images": [["a", ["red"]], [1]]}')
    outcome = mlc("dataset-check", broken, "--strict")
    assert outcome.code == 3
    assert "'red'" in outcome.out
    assert "entries that are not [path, [labels]]" in outcome.out
    assert "1 image is truncated" in outcome.out
    assert "Traceback" not in outcome.err
    outcome = mlc("dataset-check", broken, "--fix", broken.parent / "fixed")
    assert outcome.code == 1
    assert "annotation file of val" in outcome.err
    assert not (broken.parent / "fixed").exists()


def test_the_cleaned_copy_passes_and_can_be_trained_on(
    mlc, broken: Path, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = mlc("train", "--data", broken, *tiny, "--epochs", "1")
    assert outcome.code == 1
    outcome = mlc("dataset-check", broken, "--fix", "fixed", "--html", "page.html")
    assert outcome.code == 0, outcome.err
    for words in ("cleaned copy of 44 images written to fixed", "because the file is missing",
                  "because a copy is in train", "page: page.html"):  # fmt: skip
        assert words in outcome.err
    assert "copies across" not in (tmp_path / "page.html").read_text()
    content = json.loads(mlc("dataset-check", "fixed", "--json").out)
    assert {f["severity"] for f in content["findings"]} <= {"note", "warning"}
    assert content["images"] == 44
    shutil.rmtree(broken)
    outcome = mlc("train", "--data", "fixed", *tiny, "--epochs", "1")
    assert outcome.code == 0, outcome.err
    assert mlc("dataset-check", "fixed", "--fix", "fixed").code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "pass DATA"),
        (["none"], 1, "no such folder"),
        (["."], 1, "dataset-convert"),
        ([".", "--near", "13"], 2, "near"),
        ([".", "--html", "none/page.html"], 2, "--html none/page.html"),
        ([".", "--set", "nera=3"], 2, "near"),
    ],
)
def test_wrong_use_is_answered_with_the_repair(
    mlc, tmp_path: Path, monkeypatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = mlc("dataset-check", *arguments)
    assert outcome.code == code
    assert words in outcome.err
    assert "Traceback" not in outcome.err


def test_settings_are_shown_and_nothing_is_read(mlc) -> None:
    outcome = mlc("dataset-check", "none", "--near", "4", "--no-images", "--show-settings")
    assert outcome.code == 0
    assert "near: 4" in outcome.out
    assert "images: false" in outcome.out


def test_many_classes_do_not_flood_the_screen(mlc, tmp_path: Path) -> None:
    classes = [f"class {n:04}" for n in range(300)]
    images = [[f"{n}.jpg", [classes[n % 300]]] for n in range(600)]
    (tmp_path / "train.json").write_text(json.dumps({"classes": classes, "images": images}))
    outcome = mlc("dataset-check", tmp_path, "--no-images")
    assert outcome.out.count("class 0") < 160
    assert "300 classes, of which the most and the least frequent are shown" in outcome.out


def test_it_starts_without_the_libraries_of_training(make_dataset, tmp_path: Path) -> None:
    script = (
        "import sys, atexit; sys.argv = ['mlc', 'dataset-check', *sys.argv[1:]]\n"
        "atexit.register(lambda: print('LOADED', *sorted(sys.modules)))\n"
        "from mlc_cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, make_dataset(4, 4), "--html", tmp_path / "page.html"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.partition("LOADED")[2].split()
    assert "cv2" in loaded
    assert {"torch", "timm", "sklearn", "tensorboard"}.isdisjoint(loaded)


def test_photographs_are_sound_and_copies_among_them_are_found(
    mlc, real_data: Path, tmp_path: Path
) -> None:
    photographs = real_data / "coco18"
    content = json.loads(mlc("dataset-check", photographs, "--json").out)
    assert content["images"] == 4000
    assert content["files"]["formats"] == {"JPEG": 4000}
    assert (content["findings"], content["copies"], content["near_copies"]) == ([], [], [])
    counts = {row["class"]: sum(row["positives"].values()) for row in content["per_class"]}
    assert (counts["person"], counts["parking meter"]) == (2420, 58)

    train = json.loads((photographs / "train.json").read_text())
    val = json.loads((photographs / "val.json").read_text())
    taken = train["images"][:100]
    (tmp_path / "images").mkdir()
    for path, _ in taken:
        shutil.copy(photographs / path, tmp_path / path)
    val["images"] = []
    for number, (path, labels) in enumerate(taken[:40]):
        pixels = cv2.imread(str(photographs / path))
        smaller = cv2.resize(pixels, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
        name = f"images/again{number}.jpg"
        cv2.imwrite(str(tmp_path / name), smaller, [cv2.IMWRITE_JPEG_QUALITY, 70])
        val["images"].append([name, labels])
    for split, content in (("train", {**train, "images": taken}), ("val", val)):
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
    content = json.loads(mlc("dataset-check", tmp_path, "--json").out)
    pairs = {tuple(image["image"] for image in pair["images"]) for pair in content["near_copies"]}
    assert pairs == {(taken[n][0], f"images/again{n}.jpg") for n in range(40)}


def test_names_with_line_ends_stay_on_their_line(mlc, tmp_path: Path) -> None:
    content = {"classes": ["a\nb"], "images": [["x.png", ["a\nb"]]]}
    (tmp_path / "train.json").write_text(json.dumps(content))
    lines = [line.strip() for line in mlc("dataset-check", tmp_path).out.splitlines()]
    assert "a\\nb: 1" in lines
