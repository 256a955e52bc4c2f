"""COCO in its layouts."""

import json
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.coco import COCO_WRITER, coco_reader
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError


def coco(images, categories, annotations) -> dict:
    """Content of a file: images and categories by number, annotations as (image, category)."""
    return {
        "info": {"description": "made", "year": 2017},
        "licenses": [{"id": 1, "name": "none", "url": ""}],
        "images": [
            {"license": 1, "file_name": name, "height": 480, "width": 640, "id": number}
            for number, name in images.items()
        ],
        "annotations": [
            {"segmentation": [[1.5, 2, 3, 4, 5, 6]], "area": 100.5, "iscrowd": 0,
             "image_id": image, "bbox": [1, 2, 3, 4], "category_id": category, "id": number} | more
            for number, (image, category, *rest) in enumerate(annotations)
            for more in (rest[0] if rest else {},)
        ],
        "categories": [
            {"supercategory": "thing", "id": number, "name": name}
            for number, name in categories.items()
        ],
    }  # fmt: skip


CLASSES = {1: "person", 18: "dog", 90: "tooth brush"}
TRAIN = coco(
    {9: "000000000009.jpg", 25: "ä b.jpg", 30: "none.jpg"},
    CLASSES,
    [(9, 90), (25, 18), (9, 1), (9, 90)],
)


@pytest.fixture
def official(put) -> Path:
    put("coco/annotations/instances_train2017.json", TRAIN)
    put("coco/annotations/instances_val2017.json", coco({1: "v.jpg"}, CLASSES, [(1, 18)]))
    put("coco/annotations/captions_val2017.json", {"images": [], "annotations": []})
    for image in ("train2017/000000000009.jpg", "train2017/ä b.jpg", "val2017/v.jpg"):
        put(f"coco/{image}")
    return put("coco/LICENSE").parent


def test_official_layout(official, read_all) -> None:
    reading = read_all(coco_reader(), official)
    assert reading.states == {
        ("train2017", "train2017/000000000009.jpg"): ({"person", "tooth brush"}, set()),
        ("train2017", "train2017/ä b.jpg"): ({"dog"}, set()),
        ("train2017", "train2017/none.jpg"): (set(), set()),
        ("val2017", "val2017/v.jpg"): ({"dog"}, set()),
    }
    assert reading.source.classes == ["person", "dog", "tooth brush"]
    assert reading.source.image_root == official
    assert not reading.dropped.counts
    seen = coco_reader().detect(official)
    assert seen == "images and annotations in annotations/instances_train2017.json and 1 more"


def test_one_file_finds_its_images_beside_its_folder_or_where_it_is_told(
    official, read_all
) -> None:
    file = official / "annotations" / "instances_val2017.json"
    assert read_all(coco_reader(), file).states == {("val2017", "val2017/v.jpg"): ({"dog"}, set())}
    reading = read_all(coco_reader(), file, official / "val2017")
    assert reading.source.image_root == official / "val2017"
    assert list(reading.states) == [("val2017", "v.jpg")]


def test_the_folder_of_the_files_is_a_source_with_other_files_beside_them(
    official, read_all
) -> None:
    captions = {"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": "A dog."}]}
    (official / "annotations/captions_val2017.json").write_text(json.dumps(captions))
    reading = read_all(coco_reader(), official / "annotations")
    assert reading.states == read_all(coco_reader(), official).states


@pytest.mark.parametrize(
    ("image", "prefix"),
    [
        ("images/train/a.jpg", "images/train/"),
        ("images/train/b.jpg", "images/train/"),
        ("train/a.jpg", "train/"),
        ("images/a.jpg", "images/"),
        ("a.jpg", ""),
        ("other/a.jpg", ""),
    ],
)
def test_images_are_looked_for_in_the_usual_folders(put, read_all, image, prefix) -> None:
    put(f"data/{image}")
    file = put("data/annotations/instances_train.json", coco({1: "a.jpg"}, CLASSES, []))
    assert list(read_all(coco_reader(), file).labels) == [f"{prefix}a.jpg"]


def test_roboflow_layout(put, read_all) -> None:
    for split in ("train", "valid"):
        content = coco({0: f"{split}.jpg"}, {1: "cat", 2: "dog"}, [(0, 2)])
        content["categories"] = [
            {"id": 0, "name": "pets", "supercategory": "none"},
            *({**category, "supercategory": "pets"} for category in content["categories"]),
        ]
        put(f"pets/{split}/_annotations.coco.json", content)
        put(f"pets/{split}/{split}.jpg")
    folder = put("pets/README.roboflow.txt").parent
    reading = read_all(coco_reader(), folder)
    assert reading.states == {
        ("train", "train/train.jpg"): ({"dog"}, set()),
        ("valid", "valid/valid.jpg"): ({"dog"}, set()),
    }
    assert reading.source.classes == ["cat", "dog"]
    assert reading.dropped.counts == {"categories that only head others": 2}
    one = read_all(coco_reader(), folder / "valid" / "_annotations.coco.json")
    assert list(one.states) == [("valid", "valid.jpg")]
    assert one.source.image_root == folder / "valid"


def test_a_category_0_with_objects_is_a_class(put, read_all) -> None:
    content = coco({1: "a.jpg"}, {0: "pets", 1: "cat"}, [(1, 0)])
    content["categories"][1]["supercategory"] = "pets"
    reading = read_all(coco_reader(), put("a.json", content))
    assert reading.labels == {"a.jpg": {"pets"}}
    assert reading.source.classes == ["pets", "cat"]
    unused = read_all(coco_reader(), put("b.json", coco({1: "a.jpg"}, {0: "pets", 1: "cat"}, [])))
    assert unused.source.classes == ["pets", "cat"]


def test_labels_without_objects(put, read_all) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "sub/b.jpg"}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"id": 1, "image_id": 2, "category_id": 2}],
    }
    file = put("data/annotations/labels_val.json", content)
    put("data/images/val/a.jpg")
    reading = read_all(coco_reader(), file.parent.parent)
    assert reading.states == {
        ("val", "images/val/a.jpg"): (set(), set()),
        ("val", "images/val/sub/b.jpg"): ({"dog"}, set()),
    }


CROWDED = coco(
    {1: "a.jpg", 2: "b.jpg"},
    CLASSES,
    [(1, 1, {"iscrowd": 1, "area": 9e4}), (1, 18, {"area": 99.9}), (2, 1, {"area": 100}),
     (2, 90, {"area": None})],
)  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "first", "dropped"),
    [
        (coco_reader(), {"person", "dog"}, {}),
        (coco_reader(crowd="drop"), {"dog"}, {"annotations of crowds": 1}),
        (
            coco_reader(min_area=100),
            {"person"},
            {"annotations of less than 100 square pixels": 1},
        ),
    ],
)
def test_crowds_and_small_objects(put, read_all, reader, first, dropped) -> None:
    reading = read_all(reader, put("a.json", CROWDED))
    assert reading.labels == {"a.jpg": first, "b.jpg": {"person", "tooth brush"}}
    assert reading.dropped.counts == dropped


def test_what_points_nowhere_is_counted(put, read_all) -> None:
    content = coco({1: "a.jpg"}, {1: "cat", 2: "cat"}, [(1, 2), (7, 1), (1, 7), (None, 1)])
    content["images"] += [{"id": 1, "file_name": "a.jpg"}, {"id": 2}, {"file_name": "x.jpg"}]
    content["categories"] += [{"id": 1, "name": "dog"}, {"id": 5}, {"name": "dog"}]
    reading = read_all(coco_reader(), put("a.json", content))
    assert reading.labels == {"a.jpg": {"cat"}}
    assert reading.source.classes == ["cat"]
    assert reading.dropped.counts == {
        "categories with the name of another (joined)": 1,
        "categories without a name, or without a number of their own": 3,
        "images without a file name, or without a number of their own": 2,
        "annotations of images that are not listed": 2,
        "annotations of categories that are not listed": 1,
    }
    assert "a.json, entry 1: image 7, category 1" in reading.dropped.lines()


def test_names_with_folders_are_paths_and_addresses_are_looked_up(put, read_all) -> None:
    names = [
        "x\\a.jpg",
        "../out.jpg",
        "/abs/a.jpg",
        "http://host/y/b%20c.jpg?size=1",
        "s3://x/no.jpg",
    ]
    put("x/a.jpg")
    put("deep/y/b c.jpg")
    put("deep/z/b c.jpg")
    reading = read_all(coco_reader(), put("a.json", coco(dict(enumerate(names)), CLASSES, [])))
    assert list(reading.labels) == [
        "x/a.jpg", "../out.jpg", "/abs/a.jpg", "deep/y/b c.jpg", "no.jpg",
    ]  # fmt: skip
    assert not reading.dropped.counts


def test_text_as_numbers_and_not_a_number(put, read_all) -> None:
    content = coco({"a": "a.jpg"}, {1: "cat"}, [("a", 1, {"area": float("nan")})])
    reading = read_all(coco_reader(min_area=5), put("a.json", json.dumps(content)))
    assert reading.labels == {"a.jpg": {"cat"}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(TRAIN)[:700], "line 1, column"),
        (json.dumps(TRAIN, ensure_ascii=False).encode("latin-1"), "not UTF-8"),
        ({**TRAIN, "annotations": 3}, "$.annotations"),
        ({"images": [], "annotations": []}, "`categories`"),
        ({"images": [], "categories": []}, "`annotations`"),
        ({**TRAIN, "images": ["a.jpg"]}, "$.images[0]"),
    ],
)
def test_what_is_not_coco_is_refused_by_name_and_place(put, content, message) -> None:
    file = put("a.json", content)
    with pytest.raises(DataError) as caught:
        coco_reader().read(file, None, IssueLog())
    assert str(file) in caught.value.message
    assert message in caught.value.message


def test_a_folder_without_coco_is_refused(put) -> None:
    folder = put("data/other.json", [{"annotations": [{}]}]).parent
    assert coco_reader().detect(folder) is None
    assert coco_reader().detect(folder / "nothing") is None
    with pytest.raises(DataError, match="no file has images and annotations"):
        coco_reader().read(folder, None, IssueLog())


def test_damage_is_reported_or_counted(put, stands_damage) -> None:
    content = coco({1: "a.jpg", 2: "http://h/b.jpg"}, {0: "x", 1: "cat"}, [(1, 1), (2, 0)])
    file = put("data/annotations/instances_val.json", content)
    stands_damage(coco_reader(crowd="drop", min_area=5), file.parent.parent, file)


@pytest.mark.parametrize("folder", ["images/train/", "images/", ""])
def test_what_is_written_is_read(make_splits, round_trip, folder) -> None:
    splits = {
        "train": [[f"{folder}ä b.jpg", ["dog"]], [f"{folder}2.jpg", []]],
        "val": [["images/val/3.png", ["cat", "dog"]], ["images/val/3.jpg", ["cat"]]],
    }
    round_trip(COCO_WRITER, coco_reader(), make_splits(splits, ["dog", "cat", "never"]))


def test_what_is_written_says_no_more_than_is_known(make_splits) -> None:
    splits = make_splits({"val": [["images/val/a.jpg", ["dog"]]]}, ["dog", "cat"])
    [file] = COCO_WRITER.write(splits, splits["val"].folder)
    assert file == splits["val"].folder / "annotations" / "labels_val.json"
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "categories": [
            {"id": 1, "name": "cat", "supercategory": ""},
            {"id": 2, "name": "dog", "supercategory": ""},
        ],
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 2}],
    }


@pytest.mark.parametrize(
    ("images", "classes", "unlisted", "reason"),
    [
        ([["a.jpg", ["x"], ["y"]]], ["x", "y"], "absent", "1 labels are unknown"),
        ([["a.jpg", ["x"]]], ["x", "y", "z"], "unknown", "2 labels are unknown"),
        ([["a.jpg", [1]]], [1, 2], "absent", "classes are integers"),
    ],
)
def test_what_cannot_be_written_is_told(make_splits, images, classes, unlisted, reason) -> None:
    [loss] = COCO_WRITER.losses(make_splits({"val": images}, classes, unlisted))
    assert reason in loss


def test_real_instances(real_data, read_all) -> None:
    folder = real_data / "formats" / "coco"
    content = json.loads((folder / "instances_val2017.json").read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in content["categories"]}
    expected = {f"val2017/{image['file_name']}": set() for image in content["images"]}
    files = {image["id"]: f"val2017/{image['file_name']}" for image in content["images"]}
    for item in content["annotations"]:
        expected[files[item["image_id"]]].add(names[item["category_id"]])
    reading = read_all(coco_reader(), folder)
    assert reading.labels == expected
    assert len(reading.source.classes) == 80
    assert not reading.dropped.counts
    assert {split for split, _ in reading.states} == {"val2017"}


def test_panoptic_segments_are_objects(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "categories": [{"id": 1, "name": "cat", "isthing": 1}, {"id": 9, "name": "sky"}],
        "annotations": [
            {"image_id": 1, "file_name": "a.png", "segments_info": [
                {"id": 5, "category_id": 1, "area": 90, "iscrowd": 0},
                {"id": 6, "category_id": 9, "area": 2, "iscrowd": 0}]},
            {"image_id": 2, "file_name": "b.png", "segments_info": []},
        ],
    }  # fmt: skip
    path = tmp_path / "panoptic_val2017.json"
    path.write_text(json.dumps(content))
    dropped = IssueLog()
    source = coco_reader(min_area=10).read(path, None, dropped)
    assert [(s.path, s.labels, s.split) for s in source.samples] == [
        ("a.jpg", ("cat",), "val2017"), ("b.jpg", (), "val2017")]  # fmt: skip
    assert dropped.counts == {"annotations of less than 10 square pixels": 1}
