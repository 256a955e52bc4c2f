"""YOLO."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.yolo import YOLO_READER
from mlc_cli.errors import DataError

COCO8 = """# Ultralytics
path: ../datasets/coco8 # dataset root dir
train: images/train
val: images/val
test:

names:
  0: person
  1: no
  2: traffic light
"""
BOX = "{} 0.479492 0.688771 0.955609 0.5955\n"


@pytest.fixture
def coco8(put: Callable[..., Path]) -> Path:
    """A data set beside the folder of its file, as Ultralytics has it."""
    put("datasets/coco8/images/train/1.jpg"), put("datasets/coco8/images/train/2.png")
    put("datasets/coco8/images/train/3.jpg"), put("datasets/coco8/images/val/4.jpg")
    put("datasets/coco8/labels/train/1.txt", BOX.format(0) + BOX.format(0) + BOX.format(2))
    put("datasets/coco8/labels/train/2.txt", "")
    put("datasets/coco8/labels/val/4.txt", "1 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.3\r\n")
    return put("cfg/data.yaml", COCO8)


def test_boxes_outlines_and_images_without(coco8: Path, read_all) -> None:
    reading = read_all(YOLO_READER, coco8)
    assert reading.states == {
        ("train", "images/train/1.jpg"): ({"person", "traffic light"}, set()),
        ("train", "images/train/2.png"): (set(), set()),
        ("train", "images/train/3.jpg"): (set(), set()),
        ("val", "images/val/4.jpg"): ({"no"}, set()),
    }
    assert reading.source.classes == ["person", "no", "traffic light"]
    assert reading.source.image_root.resolve() == coco8.parent.parent / "datasets/coco8"
    assert not reading.dropped.counts
    assert reading.source.remarks == ()
    assert YOLO_READER.detect(coco8) == "names of classes in data.yaml"
    assert YOLO_READER.detect(coco8.parent) == "names of classes in data.yaml"


def test_relative_places_work_from_the_folder_itself(coco8: Path, read_all, monkeypatch) -> None:
    monkeypatch.chdir(coco8.parent)
    assert ("val", "images/val/4.jpg") in read_all(YOLO_READER, Path("data.yaml")).states


def test_roboflow_means_the_folder_of_the_file(put, read_all, tmp_path: Path) -> None:
    put(
        "data.yaml",
        "train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: ['dog', 'cat']\n",
    )
    put("train/images/a_jpg.rf.0af.jpg"), put("train/labels/a_jpg.rf.0af.txt", BOX.format(1))
    put("valid/images/b.jpg"), put("valid/labels/b.txt")
    assert read_all(YOLO_READER, tmp_path).states == {
        ("train", "train/images/a_jpg.rf.0af.jpg"): ({"cat"}, set()),
        ("val", "valid/images/b.jpg"): (set(), set()),
    }


def test_the_last_images_in_a_path_becomes_labels(put, read_all, tmp_path: Path) -> None:
    put("data.yaml", "train: images/my/images\nnames: [a, b]\n")
    put("images/my/images/1.jpg"), put("images/my/labels/1.txt", BOX.format(1))
    assert read_all(YOLO_READER, tmp_path).labels == {"images/my/images/1.jpg": {"b"}}


def test_lists_of_images_and_several_folders(put, read_all, tmp_path: Path) -> None:
    put("data.yaml", "train: [more/images, train.txt]\nval: val.txt\nnames: {0: a}\n")
    put("more/images/1.jpg"), put("labels/2.txt", BOX.format(0))
    put("train.txt", "./images/2.jpg\n\nimages/3.jpg\r\n")
    put("val.txt", f"{tmp_path}/images/4.jpg\n/else/where/5.jpg\n../6.jpg\n")
    assert read_all(YOLO_READER, tmp_path).states == {
        ("train", "more/images/1.jpg"): (set(), set()),
        ("train", "images/2.jpg"): ({"a"}, set()),
        ("train", "images/3.jpg"): (set(), set()),
        ("val", "images/4.jpg"): (set(), set()),
        ("val", "/else/where/5.jpg"): (set(), set()),
        ("val", f"{tmp_path.parent}/6.jpg"): (set(), set()),
    }


@pytest.fixture
def scattered(put: Callable[..., Path]) -> Path:
    """Images in several folders, in a folder whose own name looks like a pattern."""
    for name in ("a/1.jpg", "a/2.PNG", "a/deep/3.jpg", "b/4.jpg", "b [1].jpg"):
        put(f"set[1]/images/{name}")
    put("set[1]/labels/a/1.txt", BOX.format(0)), put("set[1]/labels/a/deep/3.txt", BOX.format(1))
    put("set[1]/images/a/notes.txt", "no list of images"), put("set[1]/images/.hidden/5.jpg")
    return put("set[1]/more/x.jpg").parent.parent


@pytest.mark.parametrize(
    ("entry", "images"),
    [
        ("images/*/[12].*", ["a/1.jpg", "a/2.PNG"]),
        ("images/?/*.jpg", ["a/1.jpg", "b/4.jpg"]),
        ("../images/a/*.jpg", ["a/1.jpg"]),
        ("images/a/**", ["a/1.jpg", "a/2.PNG", "a/deep/3.jpg"]),
        ("images/**/*.jpg", ["a/1.jpg", "a/deep/3.jpg", "b [1].jpg", "b/4.jpg"]),
        ("images/a*", ["a/1.jpg", "a/2.PNG", "a/deep/3.jpg"]),
        ("images/a/*", ["a/1.jpg", "a/2.PNG", "a/deep/3.jpg"]),
        ("images/b [1].jpg", ["b [1].jpg"]),
        ("images/.hid*/5.jpg", [".hidden/5.jpg"]),
        (["images/b", "images/a/1*"], ["b/4.jpg", "a/1.jpg"]),
    ],
)
def test_an_entry_may_be_a_pattern_an_image_or_several(
    scattered: Path, read_all, entry: str | list[str], images: list[str]
) -> None:
    (scattered / "data.yaml").write_text(f"train: {json.dumps(entry)}\nnames: [cat, dog]\n")
    reading = read_all(YOLO_READER, scattered)
    assert list(reading.states) == [("train", f"images/{image}") for image in images]
    labels = {"a/1.jpg": {"cat"}, "a/deep/3.jpg": {"dog"}}
    assert list(reading.labels.values()) == [labels.get(image, set()) for image in images]
    bare = labels.keys().isdisjoint(images)
    assert [kind for kind in reading.dropped.counts if not (bare and "label file" in kind)] == []


def test_a_pattern_may_be_absolute_and_name_lists(put, read_all, tmp_path: Path) -> None:
    put("images/1.jpg"), put("more/2.jpg"), put("lists/notes.md", "x")
    put("lists/a.txt", "../images/1.jpg\n"), put("lists/b.txt", "../more\n")
    put("data.yaml", f"train: lists/*.txt\nval: '{tmp_path}/m*'\nnames: [cat]\n")
    assert list(read_all(YOLO_READER, tmp_path).states) == [
        ("train", "images/1.jpg"),
        ("train", "more/2.jpg"),
        ("val", "more/2.jpg"),
    ]


def test_lines_of_a_list_may_be_patterns_and_folders(scattered: Path, put, read_all) -> None:
    put("set[1]/data.yaml", "train: train.txt\nnames: [cat, dog]\n")
    lines = ["./images/a/*.jpg", f"{scattered}/images/b", "images/b [1].jpg", "images/no [2].jpg",
             "images/gone/*.jpg", "**x/*", "1.dng", "*.txt"]  # fmt: skip
    put("set[1]/train.txt", "\ufeff" + "\r\n".join(lines))
    reading = read_all(YOLO_READER, scattered)
    assert [path for _, path in reading.states] == [
        "images/a/1.jpg", "images/b/4.jpg", "images/b [1].jpg", "images/no [2].jpg", "1.dng",
    ]  # fmt: skip
    assert reading.labels["images/a/1.jpg"] == {"cat"}
    assert reading.dropped.counts == {"patterns of a list that no image fits": 3}
    assert reading.dropped.examples["patterns of a list that no image fits"][0] == (
        f"{scattered}/train.txt, line 5: images/gone/*.jpg"
    )


@pytest.mark.parametrize("entry", ["gone/*", "**x", "[z-a]*", "a\\0*", "*" * 5000, "/*/gone/?"])
def test_a_pattern_that_nothing_fits_is_counted(put, read_all, entry: str) -> None:
    reading = read_all(YOLO_READER, put("data.yaml", f'train: "{entry}"\nnames: [a]\n'))
    assert not reading.states
    assert reading.dropped.counts == {"folders and lists of images that are not there": 1}


def test_a_pattern_goes_round_no_circle_of_links(scattered: Path, read_all) -> None:
    (scattered / "images/a/deep/one").symlink_to(scattered / "images")
    (scattered / "images/a/deep/two").symlink_to(scattered / "images")
    (scattered / "data.yaml").write_text("train: images/**/3.jpg\nnames: [cat, dog]\n")
    assert read_all(YOLO_READER, scattered).labels == {"images/a/deep/3.jpg": {"dog"}}


def test_images_may_be_named_by_the_user(coco8: Path, read_all) -> None:
    root = coco8.parent.parent / "datasets"
    reading = read_all(YOLO_READER, coco8, root)
    assert reading.source.image_root == root
    assert ("val", "coco8/images/val/4.jpg") in reading.states


def test_lines_that_are_no_box_are_counted(coco8: Path, put, read_all) -> None:
    lines = (
        BOX.format(2)
        + BOX.format(9)
        + BOX.format(-1)
        + BOX.format("x")
        + "1 0.5\n"
        + BOX.format(0.5)
    )
    put("datasets/coco8/labels/train/1.txt", lines + BOX.format("nan") + BOX.format("inf"))
    put("datasets/coco8/labels/train/2.txt", b"\xff\xfe0")
    reading = read_all(YOLO_READER, coco8)
    assert reading.labels["images/train/1.jpg"] == {"traffic light"}
    assert "images/train/2.png" not in reading.labels
    assert reading.dropped.counts == {
        "boxes of a class that has no name": 3,
        "lines that are no box": 4,
        "images whose boxes cannot be read": 1,
    }
    assert "1.txt, line 2: 9" in reading.dropped.examples["boxes of a class that has no name"][0]


def test_places_that_are_not_there_are_counted(put, read_all) -> None:
    reading = read_all(YOLO_READER, put("data.yaml", "train: gone\nnames: [a]\n"))
    assert reading.dropped.counts == {"folders and lists of images that are not there": 1}


def test_a_split_without_a_folder_of_labels_is_said(put, read_all, tmp_path: Path) -> None:
    put("images/1.jpg"), put("data.yaml", "train: images\nnames: [a]\n")
    [remark] = read_all(YOLO_READER, tmp_path).source.remarks
    assert (
        remark
        == f"train: there is no folder {tmp_path}/labels, so that all images are without labels"
    )


def test_a_count_stands_for_names(put, read_all, tmp_path: Path) -> None:
    put("a.yaml", "nc: 3\ntrain: images\n"), put("images/1.jpg"), put("labels/1.txt", BOX.format(2))
    assert read_all(YOLO_READER, tmp_path).labels == {"images/1.jpg": {"class_2"}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("names: [a\n", "not valid YAML"),
        ("names: 3\n", "neither a list"),
        ("names:\n", "neither a list"),
        ("names: [[a]]\n", "neither a list"),
        ("names: {x: a}\n", "neither a list"),
        ("nc: 99999999999\n", "neither a list"),
        ("names: " + "[" * 3000, "not valid YAML"),
    ],
)
def test_a_damaged_file_is_refused(put, read_all, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_all(YOLO_READER, put("data.yaml", content))


def test_tags_of_python_run_nothing(put, read_all) -> None:
    file = put("data.yaml", "names: !!python/object/apply:os.system ['exit 1']\n")
    assert read_all(YOLO_READER, file).source.classes == ["exit 1"]


def test_a_folder_without_the_file_is_refused(put, read_all, tmp_path: Path) -> None:
    put("settings.yaml", "name: x\n")
    assert YOLO_READER.detect(tmp_path) is None
    with pytest.raises(DataError, match=r"no data\.yaml"):
        read_all(YOLO_READER, tmp_path)


NAMED = {"p0.jpg": {"cat"}, "p1.jpg": {"dog"}, "p2.jpg": set()}


def by_name(labels) -> dict[str, set[str]]:
    return {path.rpartition("/")[2]: own for path, own in labels.items()}


VARIANTS = {
    "labelImg": ("", "", {"classes.txt": "cat\ndog\n"}),
    "labelImg's own folder": ("images/", "labels/", {"labels/classes.txt": "cat\ndog\n"}),
    "Label Studio": ("images/", "labels/", {"classes.txt": "cat\r\ndog", "notes.json": "{}"}),
    "Darknet": (
        "obj/",
        "obj/",
        {
            "obj.data": "classes=2\ntrain = data/train.txt\nnames = data/obj.names\n",
            "obj.names": "cat\ndog\n",
            "train.txt": "data/obj/p0.jpg\ndata/obj/p1.jpg\ndata/obj/p2.jpg\n",
        },
    ),
    "CVAT, Ultralytics": (
        "images/train/",
        "labels/train/",
        {
            "data.yaml": "names: {0: cat, 1: dog}\npath: .\ntrain: train.txt\n",
            "train.txt": "".join(f"data/images/train/p{n}.jpg\n" for n in range(3)),
        },
    ),
    "beside the images": ("train/images/", "train/images/", {
        "data.yaml": "train: ../train/images\nnames: [cat, dog]\n",
    }),
}  # fmt: skip


@pytest.mark.parametrize(
    "box", [BOX, "{} 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n"], ids=["box", "turned"]
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_name_classes_and_images_in_their_own_way(
    put, read_all, tmp_path: Path, variant: str, box: str
) -> None:
    images, labels, files = VARIANTS[variant]
    for name, content in files.items():
        put(name, content)
    for number in range(3):
        put(f"{images}p{number}.jpg")
        put(f"{labels}p{number}.txt", box.format(number) if number < 2 else "")
    reading = read_all(YOLO_READER, tmp_path)
    assert by_name(reading.labels) == NAMED
    assert reading.source.classes == ["cat", "dog"]
    assert YOLO_READER.detect(tmp_path)
    assert not reading.dropped.counts
    assert {split for split, _ in reading.states} == ({"train"} if "train" in str(files) else {""})


def test_boxes_may_have_names_and_folders_be_splits(put, read_all, tmp_path: Path) -> None:
    put("train/a.jpg"), put("train/a.txt", "traffic light 1 2 30 40\ncat 5 6 7 8\n")
    put("valid/b.jpg"), put("valid/b.txt", "7 .1 .2 .3 .4\n"), put("valid/c.jpg")
    reading = read_all(YOLO_READER, tmp_path)
    assert reading.states == {
        ("train", "train/a.jpg"): ({"traffic light", "cat"}, set()),
        ("valid", "valid/b.jpg"): ({"class_7"}, set()),
        ("valid", "valid/c.jpg"): (set(), set()),
    }
    assert "no file names the classes" in reading.source.remarks[0]


def test_labels_of_images_elsewhere_are_found_by_their_stem(put, read_all, tmp_path: Path) -> None:
    (
        put("set/data.yaml", "train: train.txt\nnames: [cat]\n"),
        put("set/labels/x/1.txt", BOX.format(0)),
    )
    put("set/train.txt", "/content/set/images/1.jpg\n/content/set/images/2.jpg\n")
    assert list(read_all(YOLO_READER, tmp_path / "set").labels.values()) == [{"cat"}, set()]


def test_without_any_label_file_the_images_are_counted(put, read_all, tmp_path: Path) -> None:
    put("data.yaml", "train: images\nnames: [cat]\n"), put("images/1.jpg"), put("images/2.jpg")
    [(kind, count)] = read_all(YOLO_READER, tmp_path).dropped.counts.items()
    assert (count, "none was found" in kind) == (2, True)


@pytest.mark.parametrize("name", ["cfg/data.yaml", "datasets/coco8/labels/train/1.txt"])
def test_any_damage_ends_in_a_message(coco8: Path, name: str, damaged_outcomes) -> None:
    root = coco8.parent.parent
    assert "read" in damaged_outcomes(YOLO_READER, coco8, root / name)


def test_any_damage_of_a_list_ends_in_a_message(put, damaged_outcomes) -> None:
    file = put("data.yaml", "train: train.txt\nnames: [a]\n")
    assert "read" in damaged_outcomes(
        YOLO_READER, file, put("train.txt", "images/1.jpg\n./2.jpg\n")
    )
