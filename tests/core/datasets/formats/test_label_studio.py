"""Exports of Label Studio, as its converter writes them."""

import json
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.label_studio import LABEL_STUDIO_READER
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

UNLABELLED = "tasks that are not labelled (all their states are unknown)"


def choices(*names, tag="animals") -> dict:
    return {"from_name": tag, "to_name": "image", "type": "choices", "value": {"choices": names}}


def annotation(*results, cancelled=False) -> dict:
    return {"id": 7, "completed_by": 1, "result": results, "was_cancelled": cancelled,
            "ground_truth": False, "lead_time": 1.5}  # fmt: skip


def task(number, image, *annotations) -> dict:
    return {"id": number, "data": {"image": image}, "annotations": annotations,
            "predictions": [{"result": [choices("guess")]}]}  # fmt: skip


BOX = {"from_name": "box", "to_name": "image", "type": "rectanglelabels", "original_width": 100,
       "value": {"x": 1, "y": 2, "width": 3, "height": 4, "rectanglelabels": ["car"]}}  # fmt: skip
TASKS = [
    task(1, "/data/upload/1/0a1b2c3d-a.jpg", annotation(choices("cat", "dog"), choices("sun"))),
    task(2, "/data/local-files/?d=photos/ä b.jpg", annotation(choices("dog"), BOX, BOX),
         annotation(choices("cat"))),
    task(3, "s3://bucket/c.jpg", annotation()),
    task(4, "https://host/d.jpg", annotation(choices("cat"), cancelled=True)),
    task(5, "e.jpg"),
]  # fmt: skip
KEPT = {
    ("", "a.jpg"): ({"cat", "dog", "sun"}, set()),
    ("", "photos/ä b.jpg"): ({"cat", "dog", "car"}, set()),
    ("", "c.jpg"): (set(), set()),
    ("", "e.jpg"): (set(), {"car", "cat", "dog", "sun"}),
}


@pytest.fixture
def images(put) -> Path:
    for name in ("a.jpg", "photos/ä b.jpg", "c.jpg", "d.jpg", "e.jpg"):
        put(f"images/{name}")
    return put("images/notes.txt").parent


def test_json(put, images, read_all) -> None:
    file = put("export.json", TASKS)
    reading = read_all(LABEL_STUDIO_READER, file, images)
    assert reading.states == KEPT | {("", "d.jpg"): KEPT["", "e.jpg"]}
    assert reading.source.classes is None
    assert reading.source.scattered
    assert reading.source.image_root == images
    assert reading.dropped.counts == {"annotations that were cancelled": 1, UNLABELLED: 2}
    assert LABEL_STUDIO_READER.detect(file) == "tasks in export.json"
    assert LABEL_STUDIO_READER.detect(file.parent) == "tasks in export.json"


def test_old_json_calls_annotations_completions(put, images, read_all) -> None:
    old = [{"data": {"img": "a.jpg"}, "completions": [annotation(choices("cat"))]}]
    file = put(f"{images.name}/export.json", old)
    assert LABEL_STUDIO_READER.detect(file)
    assert read_all(LABEL_STUDIO_READER, file).labels == {"a.jpg": {"cat"}}


def test_an_image_is_labelled_if_one_of_its_tasks_is(put, images, read_all) -> None:
    tasks = [task(1, "a.jpg"), task(2, "a.jpg", annotation(choices("cat"))), task(3, "c.jpg")]
    reading = read_all(LABEL_STUDIO_READER, put("export.json", tasks), images)
    assert reading.states == {("", "a.jpg"): ({"cat"}, set()), ("", "c.jpg"): (set(), {"cat"})}
    assert reading.dropped.counts == {UNLABELLED: 1}


def row(number, image, results, annotation_id=7) -> dict:
    return {"brand": "Leica", "image": image, "id": number} | results | {
        "annotator": 1, "annotation_id": annotation_id, "created_at": "2024-01-01T00:00:00Z",
        "updated_at": "2024-01-01T00:00:00Z", "lead_time": 1.5,
    }  # fmt: skip


ROWS = [
    row(1, TASKS[0]["data"]["image"], {"animals": {"choices": ["cat", "dog"]}, "weather": "sun"}),
    row(2, TASKS[1]["data"]["image"], {"animals": "dog", "box": [BOX["value"]] * 2}),
    row(2, TASKS[1]["data"]["image"], {"animals": "cat"}),
    row(3, "s3://bucket/c.jpg", {}),
    row(5, "e.jpg", {}, None),
]


def test_json_min(put, images, read_all) -> None:
    file = put("export.json", ROWS)
    reading = read_all(LABEL_STUDIO_READER, file, images)
    assert reading.states == KEPT
    assert reading.dropped.counts == {UNLABELLED: 1}
    assert LABEL_STUDIO_READER.detect(file) == "tasks in export.json"


PATHS = [["animals", "dog"], ["animals", "cat", "Perser ä"], ["sky"]]
JOINED = {"animals / dog", "animals / cat / Perser ä", "sky"}


def taxonomy(*paths) -> dict:
    return {"from_name": "tree", "to_name": "image", "type": "taxonomy",
            "value": {"taxonomy": paths}}  # fmt: skip


def test_a_path_of_a_taxonomy_is_a_label(put, images, read_all) -> None:
    tasks = [
        task(1, "a.jpg", annotation(taxonomy(*PATHS), choices("sun")), annotation(taxonomy())),
        task(2, "c.jpg", annotation(taxonomy(["animals"], ["animals", "dog"]))),
    ]
    reading = read_all(LABEL_STUDIO_READER, put("export.json", tasks), images)
    assert reading.labels == {"a.jpg": JOINED | {"sun"}, "c.jpg": {"animals", "animals / dog"}}
    assert not reading.dropped.counts


def test_a_path_of_a_taxonomy_is_a_label_in_rows_too(put, images, read_all) -> None:
    rows = [row(1, "a.jpg", {"tree": [{"taxonomy": PATHS}], "weather": "sun"})]
    reading = read_all(LABEL_STUDIO_READER, put("export.json", rows), images)
    assert reading.labels == {"a.jpg": JOINED | {"sun"}}
    cell = json.dumps([{"taxonomy": PATHS}]).replace('"', '""')
    table = f'annotation_id,annotator,image,tree\n1,1,a.jpg,"{cell}"\n'
    reading = read_all(LABEL_STUDIO_READER, put("export.csv", table), images)
    assert reading.labels == {"a.jpg": JOINED}
    assert not reading.dropped.counts


@pytest.mark.parametrize("paths", [[[]], ["animals"], [["a", 3]], [None], 7, {"a": "b"}])
def test_what_is_no_path_of_a_taxonomy_is_counted(put, images, read_all, paths) -> None:
    bad = {"type": "taxonomy", "value": {"taxonomy": paths}}
    tasks = [task(1, "a.jpg", annotation(bad, taxonomy(["sky"])))]
    reading = read_all(LABEL_STUDIO_READER, put("export.json", tasks), images)
    assert reading.labels == {"a.jpg": {"sky"}}
    assert reading.dropped.counts == {"results that are not labels": 1}
    rows = [row(1, "a.jpg", {"tree": [{"taxonomy": paths}, {"taxonomy": [["sky"]]}]})]
    reading = read_all(LABEL_STUDIO_READER, put("export.json", rows), images)
    assert reading.labels == {"a.jpg": {"sky"}}
    assert reading.dropped.counts == {"results that are not labels": 1}


HEADER = '"animals","annotation_id","annotator","brand","id","image","lead_time","weather"\n'
TABLE = (
    '"{""choices"":[""cat"",""dog""]}",100,"1","",1,"/data/upload/1/0a1b2c3d-a.jpg",1.5,"sun"\n'
    '"dog",200,"1","",2,"/data/local-files/?d=photos/ä b.jpg",1.5,""\n'
    '"cat",201,"1","",2,"/data/local-files/?d=photos/ä b.jpg",1.5,""\n'
    '"",300,"1","",3,"s3://bucket/c.jpg",1.5,""\n'
    '"","","","",5,"e.jpg","",""\n'
)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv(put, images, read_all, newline, mark) -> None:
    file = put("export.csv", mark + (HEADER + TABLE).replace("\n", newline))
    reading = read_all(LABEL_STUDIO_READER, file, images)
    assert reading.states == {
        ("", "a.jpg"): ({"cat", "dog"}, set()),
        ("", "photos/ä b.jpg"): ({"cat", "dog"}, set()),
        ("", "c.jpg"): (set(), set()),
        ("", "e.jpg"): (set(), {"cat", "dog"}),
    }
    assert reading.dropped.counts == {
        "columns of text that are not taken for labels": 1,
        UNLABELLED: 1,
    }
    assert LABEL_STUDIO_READER.detect(file) == "tasks in export.csv"


def test_csv_of_single_choices_has_one_column_of_text(put, images, read_all) -> None:
    content = 'annotation_id,annotator,choice,image\n1,1,cat,a.jpg\n2,1,"[dog",c.jpg\n'
    reading = read_all(LABEL_STUDIO_READER, put("export.csv", content), images)
    assert reading.labels == {"a.jpg": {"cat"}, "c.jpg": {"[dog"}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("annotation_id,annotator,choice,brand,image\n1,1,cat,Leica,a.jpg\n", "choice, brand"),
        ("annotation_id,annotator,image\n1,1,a.jpg,cat\n", "line 2: has more cells"),
        ('annotation_id,annotator,image\n1,1,"a.jpg', "line 2: a quotation mark stays open"),
        ("annotation_id,annotator,image\n1,1," + "a" * 10**6, "field larger"),
        ("annotation_id,annotator,image\nä,1,a.jpg".encode("latin-1"), "not UTF-8"),
    ],
)
def test_a_table_that_is_not_clear_is_refused(put, content, message) -> None:
    file = put("export.csv", content)
    with pytest.raises(DataError) as caught:
        LABEL_STUDIO_READER.read(file, None, IssueLog())
    assert str(file) in caught.value.message
    assert message in caught.value.message


def test_what_is_no_label_and_no_image_is_counted(put, images, read_all) -> None:
    rating = {"type": "rating", "value": {"rating": 3}}
    tasks = [
        task(1, "a.jpg", annotation(rating, choices("cat"), choices(3), {"type": "relation"}, 5)),
        task(2, "none.jpg", annotation(choices("cat"))),
        {"id": 3, "data": {"text": "no image"}, "annotations": []},
        {"id": 4, "data": {"left": "a.jpg", "right": "c.jpg"}, "annotations": []},
        {"id": 5, "data": 7},
        task(6, "c.jpg", {"id": 9}),
        "text",
    ]
    reading = read_all(LABEL_STUDIO_READER, put("export.json", tasks), images)
    assert reading.labels == {"a.jpg": {"cat"}, "none.jpg": {"cat"}, "c.jpg": set()}
    assert reading.dropped.counts == {
        "results that are not labels": 4,
        "tasks that do not have one image": 2,
        "entries that are not tasks": 2,
        "annotations without a result": 1,
        UNLABELLED: 1,
    }
    assert "export.json, entry 2" in reading.dropped.lines()


def test_rows_count_what_is_no_label(put, images, read_all) -> None:
    rows = [row(1, "a.jpg", {"x": {"number": 3}, "y": [{"x": 1}, 2], "z": 3, "w": "cat"}), 8]
    reading = read_all(LABEL_STUDIO_READER, put("export.json", rows), images)
    assert reading.labels == {"a.jpg": {"cat"}}
    assert reading.dropped.counts == {
        "results that are not labels": 4,
        "entries that are not tasks": 1,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [(json.dumps(TASKS)[:300], "line 1, column"), (7, "got `int`")],
)
def test_what_is_no_export_is_refused_by_name(put, content, message) -> None:
    file = put("export.json", content)
    with pytest.raises(DataError) as caught:
        LABEL_STUDIO_READER.read(file, None, IssueLog())
    assert str(file) in caught.value.message
    assert message in caught.value.message


def test_a_folder_without_exports_is_refused(put) -> None:
    folder = put("data/other.json", {"annotations": []}).parent
    put("data/other.csv", "image,label\na.jpg,cat\n")
    assert LABEL_STUDIO_READER.detect(folder) is None
    with pytest.raises(DataError, match="no file has tasks"):
        LABEL_STUDIO_READER.read(folder, None, IssueLog())


@pytest.mark.parametrize("content", [TASKS, ROWS, [task(1, "a.jpg", annotation(taxonomy(*PATHS)))]])
def test_damage_is_reported_or_counted(put, images, stands_damage, content) -> None:
    file = put(f"{images.name}/export.json", content)
    stands_damage(LABEL_STUDIO_READER, file, file)


@pytest.mark.parametrize("suffix", ["", ".json"])
def test_a_file_may_be_one_annotation_or_one_task(put, images, read_all, suffix: str) -> None:
    whole = annotation(choices("cat", "dog")) | {"task": {"id": 1, "data": {"image": "a.jpg"}}}
    put(f"target/12{suffix}", whole), put("target/13.json", task(2, "c.jpg", annotation(BOX)))
    put(f"target/14{suffix}", annotation(cancelled=True) | {"task": {"data": {"image": "e.jpg"}}})
    place = images.parent / "target"
    assert LABEL_STUDIO_READER.detect(place)
    reading = read_all(LABEL_STUDIO_READER, place, images)
    assert {path.rpartition("/")[2]: own for path, own in reading.labels.items()} == {
        "a.jpg": {"cat", "dog"}, "c.jpg": {"car"}, "e.jpg": set(),
    }  # fmt: skip
    assert reading.dropped.counts == {UNLABELLED: 1, "annotations that were cancelled": 1}


def test_tables_may_have_tabs(put, images, read_all) -> None:
    row = '1\t1\ta.jpg\t"{""choices"":[""cat"",""x""]}"'
    file = put("export.tsv", f"annotation_id\tannotator\timage\tkind\n{row}\n")
    assert LABEL_STUDIO_READER.detect(file)
    assert read_all(LABEL_STUDIO_READER, file, images).labels == {"a.jpg": {"cat", "x"}}
