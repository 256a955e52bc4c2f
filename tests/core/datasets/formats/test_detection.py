"""Each format is seen by its own reader alone."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.build import detect, readers
from mlc_cli.errors import DataError
from mlc_cli.settings.convert import ConvertSettings

XML = "<annotation><object><name>cat</name></object></annotation>"
NUS = "ConceptsList/Concepts81.txt"
LAYOUTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "VOC": (
        "voc",
        {"Annotations/1.xml": "", "ImageSets/Main/val.txt": "1", "JPEGImages/1.jpg": ""},
    ),
    "VOC without XML": ("voc", {"ImageSets/Main/cat_val.txt": "1  1", "JPEGImages/1.jpg": ""}),
    "VOC devkit": ("voc", {"VOC2007/Annotations/1.xml": "", "VOC2007/JPEGImages/1.jpg": ""}),
    "Roboflow VOC": (
        "voc",
        {"train/a.xml": XML, "train/a.jpg": "", "valid/b.xml": XML, "README.roboflow.txt": ""},
    ),
    "labelImg": ("voc", {"a.xml": "<annotation verified='yes'></annotation>", "a.jpg": ""}),
    "NUS-WIDE": (
        "nus-wide",
        {NUS: "sky", "ImageList/TrainImagelist.txt": "", "Flickr/a/1.jpg": ""},
    ),
    "ASL's table of NUS-WIDE": (
        "csv-list",
        {"a.csv": "filepath,label,split_name\na.jpg,\"['a']\",val"},
    ),
    "Open Images": (
        "open-images",
        {
            "class-descriptions.csv": "/m/1,Cat",
            "a-human-imagelabels.csv": "ImageID,Source,LabelName,Confidence\na,v,/m/1,1",
            "train/a.jpg": "",
        },
    ),
    "Open Images, labels first": (
        "open-images",
        {
            "a-human-imagelabels.csv": "ImageID,Source,LabelName,Confidence\na,v,/m/1,1",
            "oidv6-class-descriptions.csv": "LabelName,DisplayName\n/m/1,Cat",
        },
    ),
    "Roboflow": ("csv-onehot", {"train/_classes.csv": "filename, a\nx.jpg, 1", "train/x.jpg": ""}),
    "CheXpert": ("csv-onehot", {"train.csv": "Path,Sex,Edema\na/x.jpg,Male,-1.0", "a/b/x.jpg": ""}),
    "planet": ("csv-list", {"train.csv": "image_name,tags\na,x y", "train-jpg/a.jpg": ""}),
    "lightly": (
        "csv-list",
        {"train.csv": "image_path,label\na.jpg,x", "val.csv": "image_path,label\n"},
    ),
    "ChestX-ray14": ("csv-list", {"a.csv": "Image Index,Finding Labels,Follow-up #\na.png,A|B,0"}),
    "fastai": (
        "csv-list",
        {"train.csv": "fname,labels,is_valid\na.jpg,car,True", "train/a.jpg": ""},
    ),
    "Label Studio": (
        "label-studio",
        {"a.csv": "annotation_id,annotator,id,image,labels\n1,1,1,/data/upload/a.jpg,cat"},
    ),
    "CVAT": ("cvat", {"annotations.xml": "<annotations></annotations>", "images/a.jpg": ""}),
    "YOLO": (
        "yolo",
        {"data.yaml": "names: [a]", "images/train/a.jpg": "", "labels/train/a.txt": ""},
    ),
    "Roboflow YOLO": ("yolo", {"data.yaml": "nc: 1", "train/images/a.jpg": "", "README.txt": ""}),
    "ImageNet lists": (
        "imagenet-txt",
        {"synsets.txt": "a", "train.txt": "a.jpg 0", "images/a.jpg": ""},
    ),
    "CelebA": (
        "celeba",
        {"list_attr_celeba.txt": "1\nBald\na.jpg 1", "img_align_celeba/a.jpg": ""},
    ),
    "folders of classes": ("image-folder", {"cat/a.jpg": "", "dog/b.jpg": "", "README.txt": ""}),
    "folders of splits": ("image-folder", {"train/cat/a.jpg": "", "val/dog/b.jpg": ""}),
}


@pytest.mark.parametrize(("name", "files"), LAYOUTS.values(), ids=list(LAYOUTS))
def test_one_reader_sees_it(
    put: Callable[..., Path], tmp_path: Path, name: str, files: Mapping[str, str]
) -> None:
    for file, content in files.items():
        put(file, content)
    choices = readers(ConvertSettings(format="auto", source=str(tmp_path), dest="x"))
    assert detect(tmp_path, choices)[0].name == name


@pytest.mark.parametrize(
    ("name", "layout", "file"),
    [
        ("csv-list", "lightly", "train.csv"),
        ("csv-onehot", "CheXpert", "train.csv"),
        ("csv-onehot", "Roboflow", "train/_classes.csv"),
        ("open-images", "Open Images", "a-human-imagelabels.csv"),
        ("cvat", "CVAT", "annotations.xml"),
        ("yolo", "YOLO", "data.yaml"),
        ("imagenet-txt", "ImageNet lists", "train.txt"),
        ("celeba", "CelebA", "list_attr_celeba.txt"),
    ],
)
def test_one_reader_sees_a_file(
    put: Callable[..., Path], tmp_path: Path, name: str, layout: str, file: str
) -> None:
    for path, content in LAYOUTS[layout][1].items():
        put(path, content)
    choices = readers(ConvertSettings(format="auto", source=str(tmp_path), dest="x"))
    assert detect(tmp_path / file, choices)[0].name == name


@pytest.mark.parametrize(
    "files",
    [
        {"classes.txt": "1 a\n2 b\n", "bounding_boxes.txt": "1 60.0 27.0 325.0 304.0\n"},
        {"captions.tsv": "a cat\thttps://h/a.jpg\na dog\thttps://h/b.jpg\n"},
        {"photos/a.jpg": "", "notes/sky.xyz": "1"},
        {"metadata.csv": "file_name,text\na.jpg,a cat\nb.jpg,a dog\n"},
        {"t.csv": "image,age\n1,34\n2,41\n"},
    ],
    ids=["boxes in pixels", "captions before addresses", "one folder of images", "texts", "ages"],
)
def test_no_reader_sees_it(put: Callable[..., Path], tmp_path: Path, files) -> None:
    for file, content in files.items():
        put(file, content)
    with pytest.raises(DataError, match="not clear"):
        detect(tmp_path, readers(ConvertSettings(format="auto", source=str(tmp_path), dest="x")))


def test_the_only_folder_of_an_archive_is_looked_into(put, tmp_path: Path) -> None:
    for file in ("train/cat/a.jpg", "train/dog/b.jpg"):
        put(f"outer/all/in one/{file}", "1")
    put("__MACOSX/all/._in one", "1")
    choices = readers(ConvertSettings(source=str(tmp_path), dest="x"))
    assert detect(tmp_path, choices)[2] == tmp_path / "outer/all/in one"
    put("outer/other/read.me", "1")
    with pytest.raises(DataError, match="not clear"):
        detect(tmp_path, choices)


def test_folders_of_classes_further_down_are_named(put, tmp_path: Path) -> None:
    for own in ("seg train/seg train", "seg_test/seg_test"):
        put(f"{own}/cat/a.jpg", "1")
        put(f"{own}/dog/b.jpg", "2")
    with pytest.raises(DataError, match="not clear") as caught:
        detect(tmp_path, readers(ConvertSettings(source=str(tmp_path), dest="x")))
    looks = "looks like image-folder (images in cat, dog)"
    assert f"  seg train/seg train {looks}\n  seg_test/seg_test {looks}" in caught.value.message
    assert f"dataset-convert '{tmp_path}/seg train/seg train' DEST" in caught.value.hint


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"\xff\xd8\xff\xe0", b"{", b"<", b'"', b"1\n"]
)
@pytest.mark.parametrize("suffix", [".csv", ".xml", ".yaml", ".txt", ".jpg", ".json", ""])
def test_looking_at_anything_never_fails(
    put: Callable[..., Path], content: bytes, suffix: str
) -> None:
    file = put(f"x/any{suffix}", content)
    choices = readers(ConvertSettings(format="auto", source=str(file), dest="x"))
    for reader in choices:
        for place in (file, file.parent, file.parent / "gone"):
            assert reader.detect(place) is None or reader.detect(place)
