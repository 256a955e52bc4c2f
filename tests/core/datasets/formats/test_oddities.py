"""What public files have that must not lose, invent or move labels in silence."""

import json

import pytest

from mlc_cli.core.datasets.formats.build import detect, readers
from mlc_cli.errors import DataError
from mlc_cli.settings.convert import ConvertSettings

SHAPES = [{"label": "__ignore__"}, {"label": "cat"}]
NAMED = {"filename": "a.jpg", "regions": [], "file_attributes": {
    "caption": "a nice cat", "public_domain": "no", "image_url": "", "kind": "cat"}}  # fmt: skip
VOC = "<annotation><object><name>cat</name></object></annotation>"

CASES = {
    "a column of sizes is no class": (
        {"t.csv": "image,size,cat\na.jpg,S,1\nb.jpg,X,0\nc.jpg,M,1\n"},
        {"a.jpg": {"cat"}, "b.jpg": set(), "c.jpg": {"cat"}}, {""}),
    "lists of states in cells": (
        {"t.csv": 'image,labels\na.jpg,"[1, 0, 1]"\nb.jpg,"[0, 1, 0]"\n'},
        {"a.jpg": {0, 2}, "b.jpg": {1}}, {""}),
    "lists of states as numpy prints them": (
        {"t.csv": 'image,labels\na.jpg,[1. 0. 1.]\nb.jpg,[0. 1. 0.]\n'},
        {"a.jpg": {0, 2}, "b.jpg": {1}}, {""}),
    "lists of states in lines": (
        {"metadata.jsonl": '{"file_name":"a.jpg","labels":[1,0,1]}\n'
                           '{"file_name":"b.jpg","labels":[0,1,0]}\n'},
        {"a.jpg": {0, 2}, "b.jpg": {1}}, {""}),
    "numbers in lists are no states": (
        {"t.csv": 'image,labels\na.jpg,"[1, 0]"\nb.jpg,"[1]"\n'},
        {"a.jpg": {"0", "1"}, "b.jpg": {"1"}}, {""}),
    "lists without quotes": (
        {"t.csv": 'image,labels\na.jpg,"[cat, traffic light]"\nb.jpg,[dog]\nc.jpg,[]\n'},
        {"a.jpg": {"cat", "traffic light"}, "b.jpg": {"dog"}, "c.jpg": set()}, {""}),
    "text with separators in lines": (
        {"metadata.jsonl": '{"file_name":"a.jpg","labels":"cat, dog"}\n'
                           '{"file_name":"b.jpg","labels":"dog"}\n'},
        {"a.jpg": {"cat", "dog"}, "b.jpg": {"dog"}}, {""}),
    "a column that tells the test images": (
        {"t.csv": "image,label,is_test\na.jpg,cat,0\nb.jpg,dog,1\n"},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}}, {"train", "test"}),
    "an evaluation beside a training and a test": (
        {"a. T_Training_Labels.csv": "ID,cat,dog\n1,1,0\n", "a. Training_Set/Training/1.png": "1",
         "b. T_Evaluation_Labels.csv": "ID,cat,dog\n1,0,1\n",
         "b. Evaluation_Set/Evaluation/1.png": "2", "c. Test_Set/Test/1.png": "3",
         "c. T_Test_Labels.csv": "ID,cat,dog\n1,1,1\n"},
        {"a. Training_Set/Training/1.png": {"cat"},
         "b. Evaluation_Set/Evaluation/1.png": {"dog"}, "c. Test_Set/Test/1.png": {"cat", "dog"}},
        {"Training", "Evaluation", "Test"}),
    "pixels beside a table of images": (
        {"about.csv": "image_id,labels\na,cat\nb,dog\n", "i/a.jpg": "1", "i/b.jpg": "2",
         "pixels.csv": ",".join(f"pixel{k}" for k in range(64)) + ",label\n" + "9," * 64 + "3\n"},
        {"i/a.jpg": {"cat"}, "i/b.jpg": {"dog"}}, {""}),
    "a folder beside those of splits": (
        {"train/cat/a.jpg": "1", "val/dog/b.jpg": "2", "docs/c.jpg": "3"},
        {"train/cat/a.jpg": {"cat"}, "val/dog/b.jpg": {"dog"}}, {"train", "val"}),
    "a class called test": (
        {"test/a.jpg": "1", "rest/b.jpg": "2"},
        {"test/a.jpg": {"test"}, "rest/b.jpg": {"rest"}}, {""}),
    "flags as text, and what LabelMe ignores": (
        {"a.json": json.dumps({"flags": {"dog": "false", "wet": "true"}, "shapes": SHAPES,
                               "imagePath": "a.jpg", "imageData": None})},
        {"a.jpg": {"cat", "wet"}}, {""}),
    "captions of VIA": (
        {"v.json": json.dumps({"_via_img_metadata": {"a": NAMED}})}, {"a.jpg": {"cat"}}, {""}),
    "a failed job of SageMaker": (
        {"o.manifest": '{"source-ref":"a.jpg","k":[0],"k-metadata":{"class-map":{"0":"cat"}}}\n'
                       '{"source-ref":"b.jpg","k-metadata":{"failure-reason":"x"}}\n'},
        {"a.jpg": {"cat"}, "b.jpg": set()}, {""}),
    "blanks between few labels": (
        {"t.csv": "image,tags\na.jpg,cat dog\nb.jpg,cat\nc.jpg,dog\n"},
        {"a.jpg": {"cat", "dog"}, "b.jpg": {"cat"}, "c.jpg": {"dog"}}, {""}),
    "blanks between tags in a small table": (
        {"t.csv": "image,tags\na.jpg,haze primary\nb.jpg,road clear primary water\n"},
        {"a.jpg": {"haze", "primary"}, "b.jpg": {"road", "clear", "primary", "water"}}, {""}),
    "blanks inside all labels": (
        {"t.csv": "image,label\na.jpg,polar bear\nb.jpg,brown bear\nc.jpg,bear\n"},
        {"a.jpg": {"polar bear"}, "b.jpg": {"brown bear"}, "c.jpg": {"bear"}}, {""}),
    "a blank inside a label": (
        {"t.csv": "image,tags\na.jpg,traffic light\nb.jpg,cat\nc.jpg,light\n"},
        {"a.jpg": {"traffic light"}, "b.jpg": {"cat"}, "c.jpg": {"light"}}, {""}),
    "blanks between labels of three rows": (
        {"t.csv": "image,tags\na.jpg,cat dog\nb.jpg,cat\nc.jpg,bird\n"},
        {"a.jpg": {"cat", "dog"}, "b.jpg": {"cat"}, "c.jpg": {"bird"}}, {""}),
    "blanks between labels that come again with another": (
        {"t.csv": "image,tags\na.jpg,cat dog\nb.jpg,cat dog bird\nc.jpg,fish\n"},
        {"a.jpg": {"cat", "dog"}, "b.jpg": {"cat", "dog", "bird"}, "c.jpg": {"fish"}}, {""}),
    "a grade alone": (
        {"t.csv": "image,level\n" + "".join(f"{n}_left,{n % 5}\n" for n in range(9))},
        {f"{n}_left": {str(n % 5)} for n in range(9)}, {""}),
    "all lines in one array": (
        {"train_anno.json": '[{"file_name": "a.jpg", "labels": [0, 3]},\n'
                            ' {"labels": [3], "file_name": "b.jpg"}]'},
        {"a.jpg": {0, 3}, "b.jpg": {3}}, {"train"}),
    "a table of the same split without labels": (
        {"train.csv": "image,labels\na.jpg,1 2\nb.jpg,2\n",
         "train_owners.csv": "image,owner\na.jpg,me\nb.jpg,you\n"},
        {"a.jpg": {"1", "2"}, "b.jpg": {"2"}}, {"train"}),
    "places of points are no classes": (
        {"t.csv": "image,x,y,z,cat\na.jpg,0,1,,1\nb.jpg,1,12,,0\n"},
        {"a.jpg": {"cat"}, "b.jpg": set()}, {""}),
    "letters are classes": (
        {"t.csv": "image,x,y,z\na.jpg,0,1,0\nb.jpg,1,1,0\n"},
        {"a.jpg": {"y"}, "b.jpg": {"x", "y"}}, {""}),
    "T and F": (
        {"t.csv": "image,cat,dog,sex\na.jpg,T,F,F\nb.jpg,F,T,M\nc.jpg,F,F,F\n"},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}, "c.jpg": set()}, {""}),
    "ticks and crosses": (
        {"t.csv": "image,cat,dog\na.jpg,\u2713,\u2717\nb.jpg,\u2717,\u2713\n"},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}}, {""}),
    "Excel's separator before the header": (
        {"t.csv": "sep=;\nimage;tags\na.jpg;cat,dog\nb.jpg;dog\n"},
        {"a.jpg": {"cat", "dog"}, "b.jpg": {"dog"}}, {""}),
    "comments before the header": (
        {"t.csv": "# version 2\n# by me, in 2020, for you\nimage,cat,dog\na.jpg,1,0\nb.jpg,0,1\n"},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}}, {""}),
    "a header as a comment": (
        {"t.csv": "# image,cat,dog\na.jpg,1,0\nb.jpg,0,1\n"},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}}, {""}),
    "odd fields of COCO": (
        {"c.json": json.dumps({
            "images": [{"id": 1, "file_name": "a.jpg", "neg_category_ids": 3},
                       {"id": {}, "file_name": "b.jpg"}, {"id": 3, "file_name": 7}],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"},
                           {"id": 3, "name": ["odd"]}],
            "annotations": [{"image_id": 1, "category_id": [1, "2"], "iscrowd": []},
                            {"image_id": 1, "category_id": {"x": 1}, "area": "big"},
                            {"image_id": [1], "category_id": 1}]})},
        {"a.jpg": {"cat", "dog"}, "7": set()}, {""}),
    "paths in lists of VOC": (
        {"Annotations/1.xml": VOC, "Annotations/2.xml": VOC, "JPEGImages/1.jpg": "1",
         "JPEGImages/2.jpg": "2", "ImageSets/Main/train.txt": "JPEGImages/1.jpg\n",
         "ImageSets/Main/val.txt": "./JPEGImages/2.jpg ./Annotations/2.xml\n"},
        {"1.jpg": {"cat"}, "2.jpg": {"cat"}}, {"train", "val"}),
    "what is written in place of nothing": (
        {"t.csv": "image,labels\na.jpg,cat\nb.jpg,None\nc.jpg,NA\nd.jpg,none\n"},
        {"a.jpg": {"cat"}, "b.jpg": set(), "c.jpg": set(), "d.jpg": set()}, {""}),
    "names of classes before their numbers": (
        {"t.csv": "image_id,class_id,class_name,x_min,y_min\na.jpg,3,cat,691,20\na.jpg,4,dog,,\n"},
        {"a.jpg": {"cat", "dog"}}, {""}),
    "a genre beside flags": (
        {"t.csv": "id,genre,class_id,cat,dog\na.jpg,drama,3,1,0\nb.jpg,war,5,0,1\n"},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}}, {""}),
    "a name beside a label in lines": (
        {"metadata.jsonl": '{"file_name":"a.jpg","label":"cat","label_id":3}\n'
                           '{"file_name":"b.jpg","label":"dog","label_id":4}\n'},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}}, {""}),
    "numbers of attributes": (
        {"train.csv": "id,attribute_ids\na.jpg,7 8\nb.jpg,8 9\nc.jpg,10\n"},
        {"a.jpg": {"7", "8"}, "b.jpg": {"8", "9"}, "c.jpg": {"10"}}, {"train"}),
    "flags in words": (
        {"t.csv": "photo;Hund;Katze;Maus\nA.JPG;ja;nein;positive\nB.JPG;nein;ja;negative\n"},
        {"A.JPG": {"Hund", "Maus"}, "B.JPG": {"Katze"}}, {""}),
    "tabs in a text file": (
        {"t.txt": "IMAGE\\LABEL\tcat\tdog\na01.jpg\t1\t0\nb.jpg\t0\t1\n", "notes.txt": "by me"},
        {"a01.jpg": {"cat"}, "b.jpg": {"dog"}}, {""}),
    "tabs": (
        {"t.tsv": "image\tcat\tdog\na.jpg\t1\t0\nb.jpg\t0\t1\n"},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}}, {""}),
    "numbers of a column with blanks": (
        {"t.csv": "image,label,categories\na.jpg,3.0,\"[1.0, 9.0]\"\nb.jpg,,[1.0]\n"},
        {"a.jpg": {"3"}, "b.jpg": set()}, {""}),
    "numbers in lists": (
        {"t.csv": "image,categories\na.jpg,\"[1.0, 9.0]\"\nb.jpg,[1.0]\n"},
        {"a.jpg": {"1", "9"}, "b.jpg": {"1"}}, {""}),
    "labels of LabelMe that are numbers": (
        {"a.json": json.dumps({"flags": [], "shapes": [{"label": 3}], "imagePath": "a.jpg",
                               "imageData": None})}, {"a.jpg": {"3"}}, {""}),
    "a grade with one odd value": (
        {"t.csv": "image,level,cat\n"
                  + "".join(f"{n}.jpg,{g},{n % 2}\n" for n, g in enumerate("00000123?"))},
        {f"{n}.jpg": {"cat"} if n % 2 else set() for n in range(9)}, {""}),
    "a grade with a point": (
        {"t.csv": "image,level,cat\n"
                  + "".join(f"{n}.jpg,{g}.0,{n % 2}\n" for n, g in enumerate("00000123"))},
        {f"{n}.jpg": {"cat"} if n % 2 else set() for n in range(8)}, {""}),
    "comments between rows": (
        {"t.csv": "image,labels\na.jpg,cat\n# by me\n# seen, twice\n#1.jpg,dog\n"},
        {"a.jpg": {"cat"}, "#1.jpg": {"dog"}}, {""}),
    "comments between flags": (
        {"t.csv": "image,cat,dog\na.jpg,1,0\n# seen, by me, twice\nb.jpg,0,1\n"},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}}, {""}),
    "labels that begin as comments do": (
        {"t.csv": "labels,image\n#cat,a.jpg\n#dog,b.jpg\n"},
        {"a.jpg": {"#cat"}, "b.jpg": {"#dog"}}, {""}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_lost_invented_or_moved(put, tmp_path, read_all, name) -> None:
    files, labels, splits = CASES[name]
    for file, content in files.items():
        put(file, content)
    settings = ConvertSettings(format="auto", source=str(tmp_path), dest="x")
    reading = read_all(detect(tmp_path, readers(settings))[0], tmp_path)
    assert reading.labels == labels
    assert {split for split, _ in reading.states} == splits


PETS = {"label": {"labels": [{"name": "dog"}, {"name": "cat"}]}}
ODD = {
    "via": (
        {"a": {"filename": "a.jpg", "regions": None, "file_attributes": {"kind": "cat"}},
         "b": {"filename": "b.jpg", "regions": [{"region_attributes": []},
                                                {"region_attributes": {"kind": "dog"}}]},
         "c": {"filename": 7, "regions": []}},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}}, 4),
    "datumaro": (
        {"categories": PETS, "items": [
            {"id": ["x"], "annotations": [{"label_id": 1}, None], "image": {"path": "a.jpg"}}]},
        {"a.jpg": {"cat"}}, 2),
    "mmpretrain": (
        {"metainfo": {"classes": ["dog", "cat"]}, "data_list": [
            {"img_path": "a.jpg", "gt_label": 1}, "?", {"img_path": "b.jpg", "gt_label": [0]}]},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}}, 1),
    "coco": (
        {"images": [{"id": 1, "file_name": "a.jpg"}, None], "categories": [{"id": 3, "name": "x"}],
         "annotations": [{"image_id": 1, "category_id": 3}, "?"]},
        {"a.jpg": {"x"}}, 2),
    "labelme": (
        {"imagePath": "a.jpg", "flags": {}, "shapes": [None, {"label": "x"}]}, {"a.jpg": {"x"}}, 1),
}  # fmt: skip


def test_a_labelme_file_whose_path_is_no_text_leaves_the_others(put, tmp_path, read_all) -> None:
    for name, path in (("a", "a.jpg"), ("b", 7)):
        content = {"imagePath": path, "flags": {}, "shapes": [{"label": "cat"}]}
        put(f"{name}.json", json.dumps(content))
    settings = ConvertSettings(format="labelme", source=str(tmp_path), dest="x")
    reader = next(own for own in readers(settings) if own.name == "labelme")
    reading = read_all(reader, tmp_path)
    assert reading.labels == {"a.jpg": {"cat"}}
    assert reading.dropped.counts == {"files without imagePath": 1}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_field_is_named_and_the_rest_of_the_file_is_read(
    put, tmp_path, read_all, name
) -> None:
    content, labels, odd = ODD[name]
    path = put("one.json", json.dumps(content))
    settings = ConvertSettings(format=name, source=str(path), dest="x")
    reader = next(own for own in readers(settings) if own.name == name)
    reading = read_all(reader, tmp_path / "one.json")
    assert reading.labels == labels
    assert reading.dropped.counts["values of another type"] == odd


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("datumaro", {"categories": {"label": {"labels": ["dog", {"name": "cat"}]}}, "items": []}),
        ("mmpretrain", {"metainfo": {"classes": [None, "cat"]}, "data_list": []}),
        ("coco", {"images": [], "categories": ["cat"], "annotations": []}),
    ],
)
def test_an_odd_class_refuses_the_file_as_the_others_would_move(
    put, tmp_path, read_all, name, content
) -> None:
    put("one.json", json.dumps(content))
    settings = ConvertSettings(format=name, source="x", dest="x")
    reader = next(own for own in readers(settings) if own.name == name)
    with pytest.raises(DataError, match="Expected"):
        read_all(reader, tmp_path / "one.json")


def test_a_row_without_labels_is_unknown(put, tmp_path, read_all) -> None:
    put("o.jsonl", '{"file_name": "a.jpg", "label": "cat"}\n{"file_name": "b.jpg", "label": null}')
    settings = ConvertSettings(format="auto", source=str(tmp_path), dest="x")
    reading = read_all(detect(tmp_path, readers(settings))[0], tmp_path)
    assert reading.states["", "b.jpg"] == (set(), {"cat"})
    assert sum(reading.dropped.counts.values()) == 1
