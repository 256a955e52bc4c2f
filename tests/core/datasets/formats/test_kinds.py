"""Data sets of many kinds, as tools lay them out, are seen and read by the reader of each."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlc_cli.core.datasets.formats.build import detect, readers
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError
from mlc_cli.settings.convert import ConvertSettings

BOX = "0 .5 .5 .1 .1\n"


def coco(*images: tuple[Any, str, list[Any]], **more: Any) -> dict[str, Any]:
    """A COCO file of images: their number, name and categories."""
    return {
        "images": [{"id": number, "file_name": name} | more for number, name, _ in images],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"image_id": number, "category_id": category}
            for number, _, categories in images
            for category in categories
        ],
    }


def manifest(value: Any, meta: Mapping[str, Any]) -> str:
    return json.dumps({"source-ref": "s3://b/x/a.jpg", "kind": value, "kind-metadata": meta})


def via_row(name: str, of_file: Any, of_region: Any) -> str:
    cells = [json.dumps(cell).replace('"', '""') for cell in (of_file, {}, of_region)]
    return f'{name},1,"{cells[0]}",1,0,"{cells[1]}","{cells[2]}"\n'


VIA = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"  # noqa: E501
CVAT = '<annotations><image id="0" name="{0}.jpg"><tag label="{1}"/></image></annotations>'
OPEN = {
    "annotations/class-descriptions.csv": "/m/0,cat\n/m/1,dog\n",
    "annotations/Train-annotations-human-imagelabels.csv": (
        "ImageID,Source,LabelName,Confidence\na,v,/m/0,1\na,v,/m/1,0\n"
    ),
    "images/Train/a.png": "",
}

Kind = tuple[str, Mapping[str, Any], Mapping[str, set[Any]], set[str]]
KINDS: Mapping[str, Kind] = {
    "COCO, text for numbers": (
        "coco", {"a.json": coco(("7", "a.jpg", ["1", 2.0]))}, {"a.jpg": {"cat", "dog"}}, {""},
    ),
    "COCO, a file an image": (
        "coco",
        {"ann/a.json": coco((0, "a.jpg", [1])), "ann/b.json": coco((0, "b.jpg", [2]))},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}},
        {""},
    ),
    "COCO two folders down": (
        "coco", {"x/y/labels.json": coco((0, "a.jpg", [1]))}, {"a.jpg": {"cat"}}, {""},
    ),
    "COCO of MediaPipe": (
        "coco",
        {
            "train/labels.json": coco((0, "a.jpg", [1])), "train/images/a.jpg": "",
            "validation/labels.json": coco((0, "b.jpg", [2])), "validation/images/b.jpg": "",
        },
        {"train/images/a.jpg": {"cat"}, "validation/images/b.jpg": {"dog"}},
        {"train", "validation"},
    ),
    "COCO of FiftyOne": (
        "coco",
        {"labels.json": coco((0, "a.jpg", [1])), "data/a.jpg": ""},
        {"data/a.jpg": {"cat"}},
        {""},
    ),
    "LVIS with addresses": (
        "coco",
        {
            "lvis_v1_val.json": coco(
                (1, "", [1]), coco_url="http://images.cocodataset.org/val2017/1.jpg",
                neg_category_ids=[2],
            ),
            "val2017/1.jpg": "",
        },
        {"val2017/1.jpg": {"cat"}},
        {"val"},
    ),
    "keypoints of two splits": (
        "coco",
        {
            "annotations/person_keypoints_train2017.json": coco((0, "a.jpg", [1])),
            "annotations/person_keypoints_val2017.json": coco((0, "b.jpg", [1])),
        },
        {"a.jpg": {"cat"}, "b.jpg": {"cat"}},
        {"train2017", "val2017"},
    ),
    "VIA as CSV": (
        "via",
        {"via.csv": VIA + via_row("a.jpg", {"kind": "cat"}, {"part": {"ear": True, "eye": False}})
         + via_row("a.jpg", {}, {"part": "tail"}) + via_row("b.jpg", {}, {})},
        {"a.jpg": {"cat", "ear", "tail"}, "b.jpg": set()},
        {""},
    ),
    "Hugging Face, CSV": (
        "csv-list",
        {"train/metadata.csv": "file_name,label\na.jpg,cat\nc.jpg,dog\n", "train/a.jpg": "",
         "test/metadata.csv": "file_name,label\nb.jpg,cat\n", "test/b.jpg": ""},
        {"train/a.jpg": {"cat"}, "train/c.jpg": {"dog"}, "test/b.jpg": {"cat"}},
        {"train", "test"},
    ),
    "Hugging Face, JSON lines": (
        "jsonl",
        {"train/metadata.jsonl": '{"file_name": "a.jpg", "labels": ["cat", "dog"]}\r\n',
         "validation/metadata.jsonl": '\ufeff{"file_name": "b.jpg", "labels": []}'},
        {"train/a.jpg": {"cat", "dog"}, "validation/b.jpg": set()},
        {"train", "validation"},
    ),
    "CSV with line breaks in cells": (
        "csv-list",
        {"l.csv": 'sep=;\r\n"Image";"Labels"\r\n"a.jpg";"cat\ndog"\r\n"b.jpg";"dog"\r\n'},
        {"a.jpg": {"cat", "dog"}, "b.jpg": {"dog"}},
        {""},
    ),
    "CSV beside a table of patients": (
        "csv-onehot",
        {"train_truth.csv": "image,MEL,NV\na,1.0,0.0\nb,0.0,1.0\n", "a.jpg": "", "b.jpg": "",
         "train_patients.csv": "image,age,site,lesion_id\na,50,torso,\nb,60,arm,\n"},
        {"a.jpg": {"MEL"}, "b.jpg": {"NV"}},
        {"train"},
    ),
    "JSON, an array": (
        "jsonl",
        {"val.json": '[\n{"id": 7, "image_path": "x/a.jpg", "labels": ["cat", "dog"]},'
                     ' {"id": 8, "image_path": "x/b.jpg", "labels": []}]'},
        {"x/a.jpg": {"cat", "dog"}, "x/b.jpg": set()},
        {"val"},
    ),
    "JSON, the labels of each image": (
        "jsonl",
        {"labels.json": '{"a.jpg": ["cat", "dog"], "b.jpg": []}'},
        {"a.jpg": {"cat", "dog"}, "b.jpg": set()},
        {""},
    ),
    "JSON lines, another key": (
        "jsonl",
        {"train.jsonl": '{"caption": "x", "image": "a.jpg", "tags": "cat, dog"}\n'
                        '{"image": "b.jpg", "tags": "dog"}'},
        {"a.jpg": {"cat", "dog"}, "b.jpg": {"dog"}},
        {"train"},
    ),
    "a list with numbers and its names": (
        "imagenet-txt",
        {"train.txt": "x/a.jpg 0 1\nx/b.jpg 1\n", "classes.txt": "0 cat\n1 dog\n",
         "readme.txt": "Two classes.\n"},
        {"x/a.jpg": {"cat", "dog"}, "x/b.jpg": {"dog"}},
        {"train"},
    ),
    "Hugging Face, objects": (
        "jsonl",
        {"metadata.jsonl": '{"file_name": "a.jpg", "text": "x", "objects": {"bbox": [[1, 2, 3, 4]],'
                           ' "categories": ["cat"]}}'},
        {"a.jpg": {"cat"}},
        {""},
    ),
    "SageMaker, several": (
        "jsonl",
        {"train.manifest": manifest([0, 3], {"class-map": {"0": "cat", "3": "dog"}}), "a.jpg": ""},
        {"a.jpg": {"cat", "dog"}},
        {"train"},
    ),
    "SageMaker, one": (
        "jsonl", {"o.manifest": manifest(0, {"class-name": "cat"})}, {"x/a.jpg": {"cat"}}, {""},
    ),
    "SageMaker, boxes": (
        "jsonl",
        {"o.manifest": manifest({"annotations": [{"class_id": 1}]}, {"class-map": {"1": "dog"}})},
        {"x/a.jpg": {"dog"}},
        {""},
    ),
    "Open Images of CVAT": ("open-images", OPEN, {"images/Train/a.png": {"cat"}}, {"Train"}),
    "a table one folder down": (
        "csv-list", {"data/labels.csv": "image,labels\na.jpg,cat\n"}, {"a.jpg": {"cat"}}, {""},
    ),
    "boxes beside images": (
        "yolo",
        {"data.yaml": "train: ../train/images\nnames: [cat]\n", "train/images/a.jpg": "",
         "train/images/a.txt": BOX},
        {"train/images/a.jpg": {"cat"}},
        {"train"},
    ),
    "classes.txt": ("yolo", {"classes.txt": "cat", "a.jpg": "", "a.txt": BOX}, {"a.jpg": {"cat"}},
                    {""}),
    "two exports of CVAT": (
        "cvat",
        {"train.xml": CVAT.format("a", "cat"), "val.xml": CVAT.format("b", "dog")},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}},
        {"train", "val"},
    ),
    "tags": ("tag-files", {"a.jpg": "", "a.txt": "a_b, solo"}, {"a.jpg": {"a_b", "solo"}},
             {""}),
    "a table without names for its first column": (
        "csv-onehot", {"a.csv": ",cat,dog\na.jpg,1,-1\nb.jpg,-1,1\n"},
        {"a.jpg": {"cat"}, "b.jpg": {"dog"}}, {""},
    ),
    "classes called mask": (
        "image-folder", {"with_mask/a.jpg": "", "without_mask/b.jpg": "1"},
        {"with_mask/a.jpg": {"with_mask"}, "without_mask/b.jpg": {"without_mask"}}, {""},
    ),
    "COCO with another tool's table further down": (
        "coco",
        {"labels.json": coco((0, "a.jpg", [1])), "runs/1/results.csv": "epoch,label\n1,0\n"},
        {"a.jpg": {"cat"}}, {""},
    ),
    "numbers beside their names": (
        "csv-list",
        {"train.csv": ",Filename,Label,ClassName\n0,a.jpg,0,Forest\n1,b.jpg,1,River\n"
                      "2,c.jpg,0,Forest\n"},
        {"a.jpg": {"Forest"}, "b.jpg": {"River"}, "c.jpg": {"Forest"}}, {"train"},
    ),
    "a row for each class, and whether it is there": (
        "csv-list",
        {"a.csv": "image,label,value\na.jpg,cat,1\na.jpg,dog,0\nb.jpg,cat,0\nb.jpg,dog,0\n"},
        {"a.jpg": {"cat"}, "b.jpg": set()}, {""},
    ),
    "words without a space between them": (
        "csv-list",
        {"Train.csv": "Width,ClassId,Path\n27,0,Train/a.png\n28,1,Train/b.png\n27,2,Train/c.png\n"},
        {"Train/a.png": {"0"}, "Train/b.png": {"1"}, "Train/c.png": {"2"}}, {"Train"},
    ),
    "grades of which one split has 0 and 1 alone": (
        "csv-list",
        {"train.csv": "image,age,label\na.jpg,3,0\nb.jpg,4,4\n",
         "val.csv": "image,age,label\nc.jpg,3,0\nd.jpg,5,1\n"},
        {"a.jpg": {"0"}, "b.jpg": {"4"}, "c.jpg": {"0"}, "d.jpg": {"1"}}, {"train", "val"},
    ),
    "a test set without labels before the rest": (
        "csv-onehot",
        {"test.csv": "image_id\nTest_0\n", "train.csv": "image_id,rust,scab\na,1,0\nb,0,1\n"},
        {"a": {"rust"}, "b": {"scab"}}, {"train"},
    ),
    "an import of a cloud": (
        "csv-list", {"import.csv": "TEST,gs://b/a.jpg,cat,dog\nTRAIN,gs://b/b.jpg\n"},
        {"gs://b/a.jpg": {"cat", "dog"}, "gs://b/b.jpg": set()}, {"TEST", "TRAIN"},
    ),
}  # fmt: skip


def seen(place: Path) -> Any:
    return detect(place, readers(ConvertSettings(format="auto", source=str(place), dest="x")))[0]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_seen_and_read(put, read_all, tmp_path: Path, kind: str) -> None:
    name, files, labels, splits = KINDS[kind]
    for file, content in files.items():
        put(file, content)
    reader = seen(tmp_path)
    reading = read_all(reader, tmp_path)
    assert (reader.name, reading.labels) == (name, labels)
    assert {split for split, _ in reading.states} == splits
    assert not reading.dropped.counts


FOREIGN = {
    "Supervisely": {
        "ds/ann/a.jpg.json": '{"objects": [{"classTitle": "cat"}]}',
        "ds/img/a.jpg": "",
    },
    "VoTT": {"export/x.json": '{"assets": {"1": {"asset": {"name": "a.jpg"}, "regions": []}}}'},
    "Vertex": {"import.jsonl": '{"imageGcsUri": "gs://b/a.jpg"}'},
    "Labelbox": {"export.ndjson": '{"data_row": {"id": "1"}}'},
    "Parquet": {"data/train-0.parquet": "PAR1"},
    "WebDataset": {"train-0000.tar": ""},
    "LFS": {"data/train.csv": "version https://git-lfs.github.com/spec/v1\noid sha256:1\n"},
    "TFRecord": {"a.tfrecord": ""},
    "WIDER Attribute": {
        "wider_attribute_test.json": {
            "attribute_id_map": {"0": "Male"},
            "images": [{"file_name": "a.jpg", "targets": [{"attribute": [1, 0, -1]}]}],
        }
    },
    "Visual Genome": {
        "objects.json": [{"image_id": 1, "objects": [{"synsets": ["a.n.01"], "names": ["a"]}]}]
    },
    "ImageNet ReaL": {"real.json": [[], [970, 795], [230]]},
    "MIRFLICKR": {
        "annotations/baby.txt": "1\n45\n", "annotations/baby_r1.txt": "45\r\n", "im1.jpg": "",
    },
    "Corel5k": {"corel5k_train_list.txt": "1/1\n", "corel5k_train_annot.hvecs": "\1"},
    "BigEarthNet": {
        "S2A_1/S2A_1_labels_metadata.json": {"labels": ["Pastures"], "tile_source": "S2A.SAFE"},
        "S2A_1/S2A_1_B02.tif": "",
    },
    "iMaterialist": {
        "train.json": {
            "images": [{"url": "https://h/1.jpg", "imageId": "1"}],
            "annotations": [{"labelId": ["9"], "imageId": "1"}],
        }
    },
    "BDD100K": {"val.json": [{"name": "a.jpg", "labels": [{"category": "car", "box2d": {}}]}]},
    "has no header": {"annotations.csv": "/data/a.jpg,1,2,3,4,cow\n/data/b.jpg,,,,,\n"},
    "CUB-200-2011": {
        "images.txt": "1 001.Albatross/a.jpg\n2 002.Auklet/b.jpg\n",
        "image_class_labels.txt": "1 1\n2 2\n", "classes.txt": "1 001.Albatross\n2 002.Auklet\n",
        "bounding_boxes.txt": "1 60.0 27.0 325.0 304.0\n2 139.0 30.0 153.0 264.0\n",
        "train_test_split.txt": "1 0\n2 1\n", "attributes/certainties.txt": "1 not visible\n",
        "images/001.Albatross/a.jpg": "", "images/002.Auklet/b.jpg": "",
    },
    "Tencent": {"train_urls.txt": "https://h/7/a_o.jpg\t3:1\t51:0.9\nhttps://h/4/b_o.jpg\t10:0.8\n"},
    "ML-Images": {"train_urls.txt": "https://h/7/a_o.jpg  3:1  51:0.9\n"},
    "PETA": {"MIT/archive/Label.txt": "806 personalMale upperBodyBlack hairShort\n"},
    "PETA, which": {"PETA/ds/MIT/archive/Label.txt": "806 personalMale upperBodyBlack hairShort\n"},
    "Oxford-IIIT Pets": {
        "annotations/list.txt": "#Image CLASS-ID SPECIES BREED ID\nAbyssinian_100 1 1 1\n",
        "annotations/trainval.txt": "Abyssinian_100 1 1 1\n", "images/Abyssinian_100.jpg": "",
    },
    "Stanford 40": {
        "ImageSplits/actions.txt": "action_name number_of_images\napplauding 1\n",
        "ImageSplits/applauding_train.txt": "a_001.jpg\n", "JPEGImages/a_001.jpg": "",
    },
    "Tiny ImageNet": {
        "wnids.txt": "n01\n", "train/n01/images/a.JPEG": "", "val/images/b.JPEG": "",
        "val/val_annotations.txt": "b.JPEG\tn01\t0\t0\t1\t1\n",
    },
    "FGVC-Aircraft": {
        "data/images_variant_train.txt": "0034309 707-320\n", "data/images/0034309.jpg": "",
    },
    "DeepFashion, which": {"split/train.txt": "img/a/b.jpg\n", "split/train_attr.txt": "0 1 0\n"},
    "FiftyOneDataset": {"samples.json": '{"samples": [{"filepath": "data/a.jpg"}]}'},
    "AwA2": {
        "classes.txt": "     1\tantelope\n", "predicates.txt": "     1\tblack\n",
        "predicate-matrix-binary.txt": "0 1\n", "JPEGImages/antelope/a_1.jpg": "",
        "JPEGImages/wolf/w_1.jpg": "",
    },
    "COCO-Text": {
        "COCO_Text.json": {"imgs": {"9": {"file_name": "COCO_train2014_9.jpg", "id": 9}},
                           "anns": {"4": {"utf8_string": "New", "image_id": 9}},
                           "imgToAnns": {"9": [4]}}
    },
    "results of COCO": {"r.json": [{"image_id": 4, "category_id": 1, "bbox": [1], "score": 0.2}]},
    "DeepFashion": {
        "Anno/list_attr_img.txt": "1\nimage_name  attribute_labels\nimg/a/b.jpg  -1  1  0\n",
        "Anno/list_attr_cloth.txt": "3\nattribute_name  attribute_type\na-line 3\n",
    },
    "points of Open Images": {
        "train-points.csv": "ImageId,X,Y,Label,EstimatedYesNo,Source\n01,.5,.4,/m/02,no,ih\n"
    },
    "MIMIC-CXR": {
        "mimic-cxr-2.0.0-chexpert.csv": "subject_id,study_id,Edema\n10000032,50414267,1.0\n"
    },
    "ADE20K": {"objectInfo150.txt": "Idx\tRatio\tName\n1\t0.1576\twall\n"},
    "SUN397": {"ClassName.txt": "/a/abbey\n/c/church/indoor\n", "a/abbey/s.jpg": ""},
    "VAW": {"train.json": [{"image_id": "2", "positive_attributes": ["tiled"]}]},
    "KITTI": {"label_2/0.txt": "Car 0.00 0 1.85 387.63 181.54 423.81 203.12 1.67 1.87 3.69\n"},
    "GQA": {"g.json": {"24": {"objects": {"2": {"name": "chair", "relations": []}}}}},
    "DOTA": {"labelTxt/P0.txt": "imagesource:GoogleEarth\ngsd:0.1\n1 2 3 4 5 6 7 8 plane 0\n"},
    "CrowdHuman": {"a.odgt": {"ID": "2,c", "gtboxes": [{"tag": "person"}]}},
    "Cityscapes": {"gt/a_gtFine_polygons.json": {"imgHeight": 4, "objects": [{"label": "road"}]}},
    "lists images with": {"train.txt": "a.jpg 1 0 1\n", "val.txt": "b.jpg 0 1 1\n"},
    "MIRFLICKR, which": {"notes/sky_r1.txt": "1\n2\n", "notes/sky.txt": "1\n", "mir/im1.jpg": ""},
    "columns id_code, diagnosis": {"train.csv": "id_code,diagnosis\n0a1,0\n0b2,4\n"},
    "columns lesion_id, image_id, dx": {"m.csv": "lesion_id,image_id,dx\nH1,I1,nv\nH2,I2,bkl\n"},
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_what_no_reader_takes_is_told_by_name(
    put: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    for file, content in FOREIGN[name].items():
        put(file, content)
    with pytest.raises(DataError, match=name) as caught:
        seen(tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize(
    "files",
    [
        ["photos/a.jpg", "photos/b.jpg"],
        ["pictures/a.jpg", "my_masks/a.png"],
        ["p1/p1_B01.tif", "p1/p1_B02.tif", "p2/p2_B01.tif", "p2/p2_B02.tif"],
        ["one/train/cat/a.jpg", "two/train/cat/b.jpg"],
        ["a.jpg", "b.jpg"],
    ],
    ids=["images alone", "masks", "bands", "data sets", "no folders"],
)
def test_what_is_no_folder_of_classes(put, tmp_path: Path, files: list[str]) -> None:
    for file in files:
        put(file)
    with pytest.raises(DataError, match="not clear"):
        seen(tmp_path)


@pytest.mark.parametrize("name", ["coco", "via", "jsonl", "cvat"])
def test_files_that_tell_no_split_are_named(put, tmp_path: Path, name: str) -> None:
    contents: Mapping[str, Any] = {
        "coco": coco((0, "a.jpg", [1]), (1, "b.jpg", [2])),
        "via": {f"{n}.jpg": {"filename": f"{n}.jpg", "regions": []} for n in "ab"},
        "jsonl": '{"file_name": "a.jpg", "label": 1}\n{"file_name": "b.jpg", "label": 2}\n',
        "cvat": CVAT.format("a", "cat"),
    }
    suffix = {"jsonl": ".jsonl", "cvat": ".xml"}.get(name, ".json")
    put(f"one{suffix}", contents[name]), put(f"two{suffix}", contents[name])
    source = seen(tmp_path).read(tmp_path, None, IssueLog())
    assert source.unsplit == (f"one{suffix}", f"two{suffix}")
