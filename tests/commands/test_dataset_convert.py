"""`mlc dataset-convert` as a user meets it: to a training, back again, and what it refuses."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.datasets.formats.build import readers, writers
from mlc_cli.settings.convert import ConvertSettings


@pytest.fixture
def coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a COCO file and its images in the working folder."""
    monkeypatch.chdir(tmp_path)

    def write(file: str = "ann.json", images: int = 20, folder: str = "photos") -> Path:
        names = ["cat", "dog", "traffic light"]
        objects = []
        rng = np.random.default_rng(images)
        (tmp_path / folder).mkdir(exist_ok=True)
        for number in range(images):
            pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
            assert cv2.imwrite(str(tmp_path / folder / f"{Path(file).stem}{number}.png"), pixels)
            for label in rng.permutation(3)[: number % 3 + (number % 5 == 0)]:
                objects.append(
                    {
                        "id": len(objects),
                        "image_id": number,
                        "category_id": int(label) * 7 + 1,
                        "bbox": [0, 0, 9, 9],
                        "area": 81,
                        "iscrowd": 0,
                    }
                )
        content = {
            "images": [{"id": n, "file_name": f"{Path(file).stem}{n}.png"} for n in range(images)],
            "annotations": objects,
            "categories": [{"id": c * 7 + 1, "name": name} for c, name in enumerate(names)],
        }
        (tmp_path / file).write_text(json.dumps(content))
        return Path(file)

    return write


def states(folder: Path, split: str) -> dict[str, list[int]]:
    own = read_annotation(folder / f"{split}.json")
    return dict(zip(own.paths, own.targets_NC(range(len(own))).tolist(), strict=True))


def test_a_file_without_splits_is_divided_and_trains_without_further_flags(
    mlc, coco, tiny: list[str]
) -> None:
    outcome = mlc("dataset-convert", "coco", coco(), "datasets/mine", "--images", "photos")
    assert outcome.code == 0, outcome.err
    assert "divided in train 0.8, val 0.2" in outcome.err
    sizes = [len(states(Path("datasets/mine"), split)) for split in ("train", "val")]
    assert sizes == [16, 4]
    trained = mlc("train", "--data", "datasets/mine", "--epochs", "1", *tiny)
    assert trained.code == 0, trained.err
    assert "train  16 images in photos" in trained.err


def test_a_table_in_the_working_folder_needs_no_more_than_its_name(mlc, coco) -> None:
    coco(images=4)
    rows = [f"ann{number}.png,{'cat;dog' if number else ''}\n" for number in range(4)]
    Path("labels.csv").write_text("".join(["image,label\n", *rows]))
    outcome = mlc("dataset-convert", "auto", "labels.csv", "data", "--images", "photos",
                  "--split", "train", "--strict", "--json")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "lists no classes; these 2 have images: cat, dog" in outcome.err
    assert states(Path("data"), "train") == {
        "ann0.png": [0, 0], "ann1.png": [1, 1], "ann2.png": [1, 1], "ann3.png": [1, 1],
    }  # fmt: skip


def test_splits_come_one_by_one_into_one_folder(mlc, coco) -> None:
    arguments = ("data", "--images", "photos")
    source = coco("instances_val2017.json", 7)
    outcome = mlc("dataset-convert", "coco", source, *arguments, "--split", "keep")
    assert "a training needs train too" in outcome.err
    assert [path.name for path in sorted(Path("data").iterdir())] == ["convert.json", "val.json"]
    outcome = mlc("dataset-convert", "auto", coco("instances_train2017.json", 9), *arguments)
    assert outcome.code == 0, outcome.err
    assert "split train2017 becomes train" in outcome.err
    assert "a training needs" not in outcome.err
    assert len(states(Path("data"), "val")) == 7
    assert len(states(Path("data"), "train")) == 9
    record = json.loads(Path("data/convert.json").read_text())
    assert [list(own["splits"]) for own in record["conversions"]] == [["val"], ["train"]]


def test_what_a_reader_finds_out_is_said(mlc, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("labels.csv").write_text("image,label\nphotos/0.png,cat|dog\nphotos/1.png,cat\n")
    outcome = mlc("dataset-convert", "csv-list", "labels.csv", "data", "--split", "train", "--json",
                  "--set", "images.check=false")  # fmt: skip
    assert "separator of labels: |" in outcome.err
    assert json.loads(outcome.out)["remarks"] == ["separator of labels: |"]


def test_a_validation_split_alone_is_divided_so_that_it_can_be_trained_on(mlc, coco) -> None:
    source = coco("instances_val2017.json", 10)
    outcome = mlc("dataset-convert", "coco", source, "data", "--images", "photos")
    assert outcome.code == 0, outcome.err
    assert "divided in train 0.8, val 0.2" in outcome.err
    assert "the source is val alone" in outcome.err
    assert "--split val keeps it whole" in outcome.err
    assert [len(states(Path("data"), split)) for split in ("train", "val")] == [8, 2]


def test_a_split_of_other_classes_is_not_put_beside(mlc, coco) -> None:
    coco("val.json")
    command = ("dataset-convert", "coco", "val.json", "data", "--images", "photos")
    assert mlc(*command, "--split", "keep").code == 0
    text = Path("val.json").read_text()
    Path("train.json").write_text(text.replace("cat", "cow").replace('"cowegory', '"category'))
    Path("train.json").write_text(
        Path("train.json").read_text().replace("cowegories", "categories")
    )
    before = Path("data/convert.json").read_bytes()
    outcome = mlc("dataset-convert", "coco", "train.json", "data", "--images", "photos")
    assert outcome.code == 1
    assert "only here: cow" in outcome.err
    assert "only there: cat" in outcome.err
    assert "--classes data/val.json" in outcome.err
    assert Path("data/convert.json").read_bytes() == before
    assert not Path("data/train.json").exists()


def test_a_second_source_without_a_name_has_to_be_named(mlc, coco) -> None:
    assert mlc("dataset-convert", "coco", coco(), "data", "--images", "photos").code == 0
    coco("more.json", 5)
    outcome = mlc("dataset-convert", "coco", "more.json", "data", "--images", "photos")
    assert outcome.code == 2
    assert "--split val" in outcome.err
    named = mlc("dataset-convert", "coco", "more.json", "data", "--images", "photos",
                "--split", "test")  # fmt: skip
    assert named.code == 0, named.err
    assert len(states(Path("data"), "test")) == 5


def test_nothing_is_replaced_unless_asked(mlc, coco) -> None:
    command = ("dataset-convert", "coco", coco(), "data", "--images", "photos")
    assert mlc(*command).code == 0
    assert mlc(*command, "--split", "0.8,0.2", "--seed", "0").code == 0  # the same files again
    outcome = mlc(*command, "--split", "0.5,0.5")
    assert outcome.code == 1
    assert "train.json" in outcome.err
    assert "--overwrite" in outcome.err
    assert len(states(Path("data"), "train")) == 16
    assert mlc(*command, "--split", "0.5,0.5", "--overwrite").code == 0
    assert len(states(Path("data"), "train")) == 10


def test_strict_writes_nothing_and_names_what_would_be_dropped(mlc, coco) -> None:
    command = ("dataset-convert", "coco", coco(), "data", "--images", "photos")
    Path("photos/ann3.png").unlink()
    outcome = mlc(*command, "--strict", "--json")
    assert outcome.code == 3
    report = json.loads(outcome.out)
    kind = "images whose file is missing"
    assert report["dropped"] == {kind: {"count": 1, "examples": ["ann3.png"]}}
    assert report["files"] == []
    assert "nothing is written" in outcome.err
    assert not Path("data").exists()
    relaxed = mlc(*command)
    assert relaxed.code == 0
    assert f"1 {kind}:\n  ann3.png" in relaxed.out
    assert sum(len(states(Path("data"), split)) for split in ("train", "val")) == 19


def test_the_report_adds_up(mlc, coco) -> None:
    outcome = mlc("dataset-convert", "coco", coco(), "data", "--images", "photos", "--json",
                  "--split", "0.6,0.2,0.2")  # fmt: skip
    report = json.loads(outcome.out)
    for split in ("train", "val", "test"):
        rows = np.array(list(states(Path("data"), split).values()))
        own = report["splits"][split]
        assert own["images"] == len(rows)
        assert own["labels"] == (rows == 1).sum() == sum(own["positives"].values())
        assert own["without_labels"] == ((rows == 1).sum(axis=1) == 0).sum()
        assert own["labels_per_image"] == pytest.approx((rows == 1).sum() / len(rows), abs=1e-4)
        assert list(own["positives"].values()) == (rows == 1).sum(axis=0).tolist()
    assert report["classes"] == ["cat", "dog", "traffic light"]
    assert json.loads(Path("data/convert.json").read_text())["conversions"][0]["files"] == [
        "train.json", "val.json", "test.json",
    ]  # fmt: skip


def test_drop_empty_leaves_negatives_out_and_says_how_many(mlc, coco) -> None:
    coco()
    command = ("dataset-convert", "coco", "ann.json", "data", "--images", "photos", "--json")
    report = json.loads(mlc(*command, "--drop-empty", "--split", "train", "--strict").out)
    assert report["noted"]["images without labels, left out"]["count"] > 0
    assert report["splits"]["train"]["without_labels"] == 0
    assert report["dropped"] == {}


@pytest.mark.parametrize("link", ["copy", "symlink", "hardlink"])
def test_images_in_the_result_outlive_their_source_but_for_links(
    mlc, coco, tiny: list[str], link: str
) -> None:
    outcome = mlc("dataset-convert", "coco", coco(), "data", "--images", "photos", "--link", link)
    assert outcome.code == 0, outcome.err
    more = ("--set", "data.allow_outside_root=true") if link == "symlink" else ()
    if more:
        assert " ".join(more) in outcome.err
    else:
        shutil.rmtree("photos")
    trained = mlc("train", "--data", "data", "--epochs", "1", *tiny, *more)
    assert trained.code == 0, trained.err


def test_images_outside_of_their_folder_are_dropped_by_name(mlc, coco) -> None:
    coco()
    content = json.loads(Path("ann.json").read_text())
    for image, name in zip(content["images"], ["../ann.json", "/etc/hostname"], strict=False):
        image["file_name"] = name
    Path("ann.json").write_text(json.dumps(content))
    report = json.loads(
        mlc("dataset-convert", "coco", "ann.json", "data", "--images", "photos", "--json").out
    )
    assert sum(kind["count"] for kind in report["dropped"].values()) == 2


def test_classes_of_the_user(mlc, coco) -> None:
    command = ("dataset-convert", "coco", coco(), "data", "--images", "photos")
    outcome = mlc(*command, "--classes", "cta,dog,traffic light")
    assert outcome.code == 1
    assert "'cat'" in outcome.err
    assert "did you mean 'cta'?" in outcome.err
    Path("names.txt").write_text("dog\r\ntraffic light\n\nzebra\n")
    outcome = mlc(*command, "--classes", "names.txt", "--set", "on_unknown_class=drop")
    assert outcome.code == 0, outcome.err
    assert read_annotation(Path("data/val.json")).classes == ("dog", "traffic light", "zebra")
    assert "labels that are not among the classes" in outcome.out
    assert "1 of 3 classes have no image" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["coco", "none.json", "data"], 1, "none.json"),
        (["coko", "ann.json", "data"], 2, "did you mean 'coco'?"),
        (["coco", "ann.json", "data", "--to", "yolo"], 2, "no format to write"),
        (["coco", "ann.json", "ann.json"], 1, "ann.json"),
        (["coco", "ann.json", "data", "--images", "none"], 1, "none"),
        (["coco", "ann.json"], 2, "pass DEST"),
        (["coco", "ann.json", "data", "--split", "0.8,0.8"], 2, "sum to 1"),
        (["coco", "ann.json", "data", "--split", "convert"], 2, "split"),
        (["coco", "ann.json", "data", "--group-by", "("], 2, "regular expression"),
        (["auto", "photos", "data", "--classes", "none.txt"], 1, "none.txt"),
        (["auto", ".git", "data"], 1, ".git"),
        (["auto", "empty", "data"], 1, "Name it, one of"),
        (["coco", "broken.json", "data"], 1, "broken.json"),
    ],
)
def test_mistakes_get_a_message_and_leave_nothing(
    mlc, coco, arguments: list[str], code: int, words: str
) -> None:
    coco()
    Path("empty").mkdir()
    Path("broken.json").write_bytes(Path("ann.json").read_bytes()[:500])
    before = {str(path) for path in Path().rglob("*")}
    outcome = mlc("dataset-convert", *arguments)
    assert outcome.code == code, outcome.err
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert {str(path) for path in Path().rglob("*")} == before


def test_splits_are_renamed_and_joined_as_asked(mlc, make_dataset, tmp_path: Path) -> None:
    data, out = make_dataset(9, 5), tmp_path / "out"
    rename = ("--set", "rename.val=train", "--set", "rename.test=val")
    outcome = mlc("dataset-convert", "mlc", data, out, *rename)
    assert outcome.code == 0, outcome.err
    assert [len(states(out, split)) for split in ("train", "val")] == [14, 5]
    assert list(states(out, "val")) == list(states(data, "test"))
    assert not (out / "test.json").exists()
    wrong = mlc("dataset-convert", "mlc", data, out, "--set", "rename.tset=val")
    assert wrong.code == 2
    assert "has no split tset" in wrong.err


def test_groups_stay_together(mlc, make_dataset, tmp_path: Path) -> None:
    data = make_dataset(24, 12)
    outcome = mlc("dataset-convert", "mlc", data, tmp_path / "out", "--split", "0.7,0.3",
                  "--group-by", r"images/\w+/0*(\d?)\d\.png", "--json")  # fmt: skip
    assert outcome.code == 0, outcome.err
    own = {
        split: {re.search(r"0*(\d?)\d\.png", path)[1] for path in states(tmp_path / "out", split)}
        for split in ("train", "val")
    }
    assert not own["train"] & own["val"]


def test_settings_are_shown_and_read_back(mlc, tmp_path: Path) -> None:
    shown = mlc("dataset-convert", "coco", "a", "b", "--split", "0.8,0.2", "--show-settings")
    (tmp_path / "c.yaml").write_text(shown.out)
    again = mlc("dataset-convert", "--config", tmp_path / "c.yaml", "--show-settings")
    assert again.out == shown.out


WRITERS = [writer.name for writer in writers()]


@pytest.mark.parametrize("to", WRITERS)
@pytest.mark.parametrize("link", ["reference", "copy"])
@pytest.mark.parametrize("unknown", [False, True], ids=["two states", "three states"])
def test_there_and_back_is_the_identity(
    mlc, make_dataset, tmp_path: Path, to: str, link: str, unknown: bool
) -> None:
    data = make_dataset(9, 5, unknown=unknown)
    in_place = link == "reference" and to != "mlc"
    there, back = data if in_place else tmp_path / "there", tmp_path / "back"
    outcome = mlc("dataset-convert", "mlc", data, there, "--to", to, "--link", link)
    if outcome.code:
        assert "cannot hold this data set" in outcome.err
        assert not (there / "convert.json").exists()
        assert to != "mlc"
        return
    returned = mlc("dataset-convert", to, there, back, "--strict", "--link", "copy")
    assert returned.code == 0, returned.err
    for split in ("train", "val", "test"):
        origin, result = states(data, split), states(back, split)
        assert list(origin.values()) == list(result.values())
        for before, after in zip(origin, result, strict=True):
            assert (data / before).read_bytes() == (back / after).read_bytes()


@pytest.mark.parametrize(
    ("more", "folder"), [((), "val/data"), (("--set", "images.folder=photos"), "photos")]
)
def test_images_for_fiftyone_are_put_beside_the_labels_of_their_split(
    mlc, make_dataset, tmp_path: Path, more: tuple[str, ...], folder: str
) -> None:
    data, there = make_dataset(9, 5), tmp_path / "there"
    command = ("dataset-convert", "mlc", data, there, "--to", "fiftyone", "--link", "copy")
    outcome = mlc(*command, *more)
    assert outcome.code == 0, outcome.err
    for path in json.loads((there / "val/data.json").read_text()).values():
        place = (there / "val" / path).resolve()
        assert place.is_file()
        assert place.is_relative_to(there.resolve() / folder)


def test_help_names_every_format(mlc) -> None:
    text = re.sub(r"[\s│]+", " ", mlc("dataset-convert", "--help").out)
    settings = ConvertSettings(format="auto", source="a", dest="b")
    for name in [reader.name for reader in readers(settings)] + WRITERS:
        assert re.search(rf"\b{name}\b", text), name


@pytest.mark.parametrize(
    ("place", "more", "splits"),
    [
        ("coco/instances_val2017.json", ["--images", "coco/val2017"], {"train": 16, "val": 4}),
        ("voc", [], {"train": 21, "val": 9, "test": 10}),
        (
            "roboflow_multilabel",
            ["--set", "images.check=false"],
            {"train": None, "val": None, "test_data": None},
        ),
    ],
)
def test_real_files(
    mlc, real_data: Path, tmp_path: Path, monkeypatch, place: str, more: list[str], splits
) -> None:
    monkeypatch.chdir(real_data / "formats")
    outcome = mlc("dataset-convert", "auto", place, tmp_path / "out", *more, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)["splits"]
    assert set(found) == set(splits)
    for name, count in splits.items():
        assert count in (None, found[name]["images"])
        assert found[name]["images"] == len(read_annotation(tmp_path / "out" / f"{name}.json"))


def test_classes_are_renamed_joined_and_left_out_and_counted(mlc, coco) -> None:
    outcome = mlc("dataset-convert", "coco", coco(), "data", "--images", "photos",
                  "--split", "train", "--rename-class", "cat=pet", "--rename-class", "dog=pet",
                  "--drop-class", "traffic light")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert read_annotation(Path("data/train.json")).classes == ("pet",)
    assert re.search(r"2 classes under another name:\n  cat becomes pet: \d+ labels", outcome.out)
    kept = mlc("dataset-convert", "coco", "ann.json", "kept", "--images", "photos", "--split",
               "train", "--classes", "pet", "--set", "on_unknown_class=drop",
               "--rename-class", "cat=pet")  # fmt: skip
    assert kept.code == 0, kept.err
    assert read_annotation(Path("kept/train.json")).classes == ("pet",)
    for flag, said in (("cat", "expected old=new"), ("cow=pet", "no such class"),
                       ("cat=pet=x", "expected old=new")):  # fmt: skip
        refused = mlc("dataset-convert", "coco", "ann.json", "no", "--images", "photos",
                      "--rename-class", flag)  # fmt: skip
        assert refused.code == 2
        assert said in refused.err
        assert not Path("no").exists()


def test_what_was_dropped_stands_before_the_error_of_a_later_step(mlc, coco) -> None:
    coco(images=2)
    rows = ["ann0.png,cat", "ann1.png,dog", "gone.png,cat"]
    Path("labels.csv").write_text("\n".join(["image,label", *rows]))
    Path("photos/ann1.png").unlink()
    outcome = mlc("dataset-convert", "csv-list", "labels.csv", "data", "--images", "photos")
    assert outcome.code == 1
    before, _, error = outcome.err.partition("too few to divide")
    assert error
    assert "dropped:\n2 images whose file is missing:\n  ann1.png\n  gone.png" in before
    assert not Path("data").exists()


def table(*rows: str, file: str = "photos/t.csv") -> str:
    Path(file).write_text("\n".join(rows))
    return file


def test_groups_of_a_column_stay_together_and_other_columns_stay_beside(mlc, coco) -> None:
    coco(images=24)
    rows = [f"ann{n}.png,{['cat', 'dog'][n % 2]},p{n // 4},{20 + n}" for n in range(24)]
    source = table("image,labels,patient,age", *rows)
    args = ("dataset-convert", "csv-list", source)
    plain = mlc(*args, "plain")
    assert "columns that are not used (--keep-columns keeps them): patient, age" in plain.err
    assert re.search(r"groups of one patient in several splits .--group-column patient", plain.out)
    assert not list(Path("plain").glob("*.columns.json"))

    for dest, flags in (("a", ("--group-column", "patient", "--keep-columns")),
                        ("b", ("--group-column", "patient"))):  # fmt: skip
        outcome = mlc(*args, dest, *flags, "--link", "hardlink")
        assert outcome.code == 0, outcome.err
        assert "in several splits" not in outcome.out
        patients = {}
        for split in ("train", "val"):
            kept = json.loads(Path(dest, f"{split}.columns.json").read_text())
            assert kept["group"] == "patient"
            assert [*kept["images"]] == list(read_annotation(Path(dest, f"{split}.json")).paths)
            for path, cells in kept["images"].items():
                number = int(re.findall(r"\d+", path)[0])
                expected = {"patient": f"p{number // 4}", "age": str(20 + number)}
                assert cells == (expected if dest == "a" else {"patient": expected["patient"]})
            patients[split] = {cells["patient"] for cells in kept["images"].values()}
        assert not patients["train"] & patients["val"]

    again = mlc("dataset-convert", "mlc", "a", "again", "--split", "0.5,0.5")  # the group is known
    assert again.code == 0, again.err
    kept = [json.loads(Path("again", f"{s}.columns.json").read_text()) for s in ("train", "val")]
    first, second = ({c["patient"] for c in own["images"].values()} for own in kept)
    assert not first & second
    assert sum(len(own["images"]) for own in kept) == 24
    mixed = mlc("dataset-convert", "mlc", "a", "mixed", "--split", "0.5,0.5", "--group-by", ".*")
    assert "--group-column patient keeps them together" in mixed.out
    checked = mlc("dataset-check", "mixed", "--no-images", "--fix", "fixed")
    assert checked.code == 2  # the copy needs the images
    checked = mlc("dataset-check", "mixed", "--fix", "fixed")
    assert "groups of one patient are in several splits" in checked.out
    assert "--group-column patient" in checked.out
    kept = json.loads(Path("fixed/train.columns.json").read_text())
    assert [*kept["images"]] == list(read_annotation(Path("fixed/train.json")).paths)


@pytest.mark.parametrize(
    ("form", "flags", "said"),
    [
        ("csv-list", ("--group-column", "pat"), "has no column pat"),
        ("csv-list", ("--group-column", "age", "--group-by", "x"), "both tell groups"),
        ("csv-list", ("--keep-columns", "--to", "coco"), "beside the files of mlc alone"),
        ("coco", ("--keep-columns",), "which has no columns"),
        ("coco", ("--classes", " ,"), "--classes names no class"),
        ("coco", ("--image-column", "file"), "which has no columns"),
    ],
)
def test_columns_that_cannot_be_had_are_refused(mlc, coco, form, flags, said) -> None:
    file = coco(images=4)
    rows = [f"ann{n}.png,cat;dog,{n}" for n in range(4)]
    source = table("image,labels,age", *rows) if form == "csv-list" else file
    outcome = mlc("dataset-convert", form, source, "data", "--images", "photos", *flags)
    assert outcome.code in (1, 2)
    assert said in outcome.err
    assert not Path("data").exists()


def test_several_label_columns_of_flags_are_classes_and_the_others_are_kept(mlc, coco) -> None:
    coco(images=4)
    source = table("image,cat,dog,indoors", *(f"ann{n}.png,{n % 2},{n // 2},1" for n in range(4)))
    outcome = mlc("dataset-convert", "auto", source, "data", "--label-column", "cat",
                  "--label-column", "dog", "--keep-columns", "--split", "train")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert list(states(Path("data"), "train").values()) == [[0, 0], [1, 0], [0, 1], [1, 1]]
    assert read_annotation(Path("data/train.json")).classes == ("cat", "dog")
    kept = json.loads(Path("data/train.columns.json").read_text())
    assert list(kept["images"].values()) == [{"indoors": "1"}] * 4


def test_rows_of_one_image_that_differ_in_kept_columns_are_counted(mlc, coco) -> None:
    coco(images=2)
    source = table("image,labels,age", "ann0.png,cat,1", "ann0.png,dog,2", "ann1.png,cat,3")
    outcome = mlc("dataset-convert", "csv-list", source, "data", "--keep-columns",
                  "--split", "train", "--label-column", "labels")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "1 rows whose kept columns differ" in outcome.out
    kept = json.loads(Path("data/train.columns.json").read_text())
    assert [cells["age"] for cells in kept["images"].values()] == ["1", "3"]


def test_a_zip_file_is_read_as_it_is_and_its_images_go_to_the_result(mlc, coco) -> None:
    coco(file="instances_val2017.json", images=6)
    shutil.make_archive("coco", "zip", ".", "photos")
    with zipfile.ZipFile("coco.zip", "a") as archive:
        archive.write("instances_val2017.json")
    outcome = mlc("dataset-convert", "auto", "coco.zip", "data", "--split", "val")
    assert outcome.code == 0, outcome.err
    assert "the images of coco.zip are in data now" in outcome.err
    whole = mlc("dataset-convert", "coco", "instances_val2017.json", "whole", "--images", "photos",
                "--split", "val")  # fmt: skip
    assert whole.code == 0
    expected = states(Path("whole"), "val")
    assert {Path(p).name: own for p, own in states(Path("data"), "val").items()} == expected
    assert all(Path("data", path).is_file() for path in states(Path("data"), "val"))
    record = json.loads(Path("data/convert.json").read_text())["conversions"][0]
    assert record["source"] == record["image_root"].partition("/")[0] == "coco.zip"
    assert str(Path.cwd()) not in json.dumps(record)
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]

    refused = mlc("dataset-convert", "auto", "coco.zip", "no", "--link", "symlink")
    assert refused.code == 2
    bare = shutil.make_archive("bare", "zip", ".", "instances_val2017.json")
    lost = mlc("dataset-convert", "auto", bare, "no")
    assert lost.code == 1
    assert "looked for in" in lost.err
    assert "/.bare." not in lost.err
    assert not Path("no").exists()


def test_without_a_format_two_places_are_source_and_result(mlc, coco) -> None:
    source = coco()
    assert mlc("dataset-convert", source, "out", "--images", "photos").code == 0
    divided = [path for split in ("train", "val") for path in states(Path("out"), split)]
    assert sorted(divided) == sorted(f"ann{n}.png" for n in range(20))
    outcome = mlc("dataset-convert", "coco", source)
    assert outcome.code == 2
    assert "pass DEST" in outcome.err
    assert "nowhere: there is no such" in mlc("dataset-convert", "nowhere", "out").err
