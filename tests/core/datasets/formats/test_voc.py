"""Pascal VOC."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.voc import voc_reader
from mlc_cli.errors import DataError

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<annotation><object><name>&b;</name></object></annotation>"
)


def xml(image: str, *objects: tuple[str, int]) -> str:
    things = "".join(
        f"<object>\n<name>{name}</name><pose>Left</pose><difficult>{difficult}</difficult>"
        "<part><name>head</name></part><bndbox><xmin>1</xmin></bndbox></object>"
        for name, difficult in objects
    )
    return f"<annotation>\n<filename>{image}.jpg</filename>{things}</annotation>\n"


@pytest.fixture
def voc(put: Callable[..., Path]) -> Path:
    """VOC2007 in small, in its folder."""
    root = "VOCdevkit/VOC2007"
    put(f"{root}/Annotations/000005.xml", xml("000005", ("chair", 0), ("chair", 1), ("sofa", 1)))
    put(f"{root}/Annotations/000007.xml", xml("000007", ("car", 0)))
    put(f"{root}/Annotations/000009.xml", xml("000009"))
    put(f"{root}/Annotations/000001.xml", xml("000001", ("person", 1)))
    put(f"{root}/ImageSets/Main/train.txt", "000005\n")
    put(f"{root}/ImageSets/Main/val.txt", "000007\n000009\n")
    put(f"{root}/ImageSets/Main/trainval.txt", "000005\n000007\n000009\n")
    put(f"{root}/ImageSets/Main/test.txt", "000001\r\n")
    put(f"{root}/ImageSets/Main/car_train.txt", "000005 -1\n")
    put(f"{root}/ImageSets/Layout/train.txt", "000007 1\n")
    put(f"{root}/JPEGImages/000005.jpg")
    put(f"{root}/JPEGImages/000007.png")
    put(f"{root}/SegmentationClass/000005.png")
    return put(f"{root}/x").parent


def test_objects_splits_and_images(voc: Path, read_all) -> None:
    reading = read_all(voc_reader(), voc)
    assert reading.states == {
        ("test", "000001.jpg"): ({"person"}, set()),
        ("train", "000005.jpg"): ({"chair", "sofa"}, set()),
        ("val", "000007.png"): ({"car"}, set()),
        ("val", "000009.jpg"): (set(), set()),
    }
    assert reading.source.image_root == voc / "JPEGImages"
    assert reading.source.remarks == (
        "trainval lists images of train and val again: they are in those",
    )
    assert not reading.dropped.counts


def test_the_user_may_name_the_folder_of_the_images_or_one_above(voc: Path, put, read_all) -> None:
    put("photos/000005.webp")
    flat = read_all(voc_reader(), voc, voc.parent.parent / "photos")
    assert set(flat.labels) == {"000001.jpg", "000005.webp", "000007.jpg", "000009.jpg"}
    above = read_all(voc_reader(), voc, voc)
    assert {"JPEGImages/000005.jpg", "JPEGImages/000007.png"} < set(above.labels)
    assert not above.dropped.counts


@pytest.mark.parametrize(
    ("difficult", "states"),
    [
        ("unknown", ({"chair"}, {"sofa"})),
        ("negative", ({"chair"}, set())),
        ("positive", ({"chair", "sofa"}, set())),
    ],
)
def test_difficult_counts_only_where_no_object_is_plain(voc, read_all, difficult, states) -> None:
    assert read_all(voc_reader(difficult), voc).states["train", "000005.jpg"] == states


def test_the_folder_may_be_one_above_but_not_that_of_two_years(voc: Path, put, read_all) -> None:
    assert len(read_all(voc_reader(), voc.parent).states) == 4
    assert len(read_all(voc_reader(), voc.parent.parent).states) == 4
    assert "Annotations and ImageSets/Main" in voc_reader().detect(voc.parent)
    put("VOCdevkit/VOC2012/Annotations/1.xml", xml("1"))
    with pytest.raises(DataError, match=r"VOC2007.*VOC2012"):
        read_all(voc_reader(), voc.parent)


def test_images_of_trainval_alone_keep_that_split(voc: Path, put, read_all) -> None:
    put("VOCdevkit/VOC2007/ImageSets/Main/trainval.txt", "000005\n000020\n")
    put("VOCdevkit/VOC2007/Annotations/000020.xml", xml("000020", ("cow", 0)))
    states = read_all(voc_reader(), voc).states
    assert states["trainval", "000020.jpg"] == ({"cow"}, set())
    assert ("trainval", "000005.jpg") not in states


def test_an_image_that_train_lacks_is_counted_once(voc: Path, put, read_all) -> None:
    put("VOCdevkit/VOC2007/ImageSets/Main/train.txt", "000005\n000021\n")
    put("VOCdevkit/VOC2007/ImageSets/Main/trainval.txt", "000005\n000021\n")
    assert read_all(voc_reader(), voc).dropped.counts == {"images without an XML file": 1}


def test_trainval_repeats_lists_of_classes_too(put, read_all, tmp_path) -> None:
    put("ImageSets/Main/car_train.txt", "1 -1\n")
    put("ImageSets/Main/car_trainval.txt", "1 -1\n2  1\n")
    assert read_all(voc_reader(), tmp_path).states == {
        ("train", "1.jpg"): (set(), set()),
        ("trainval", "2.jpg"): ({"car"}, set()),
    }


def test_trainval_without_train_and_val_is_a_split(put, read_all, tmp_path) -> None:
    put("Annotations/1.xml", xml("1", ("cow", 0)))
    put("ImageSets/Main/trainval.txt", "1\n")
    reading = read_all(voc_reader(), tmp_path)
    assert reading.states == {("trainval", "1.jpg"): ({"cow"}, set())}
    assert reading.source.remarks == ()


@pytest.mark.parametrize(
    ("difficult", "person", "unknown"),
    [("positive", True, False), ("unknown", False, True), ("negative", False, False)],
)
def test_lists_of_classes_alone(put, read_all, tmp_path, difficult, person, unknown) -> None:
    put("ImageSets/Main/car_train.txt", "000012  1\n000017 -1\n000023 -1\n")
    put("ImageSets/Main/person_train.txt", "000012 -1\n000017  0\n000023 -1\n")
    put("ImageSets/Main/tv_monitor_val.txt", "000033  1\n")
    reading = read_all(voc_reader(difficult), tmp_path)
    assert reading.states == {
        ("train", "000012.jpg"): ({"car"}, set()),
        ("train", "000017.jpg"): (
            {"person"} if person else set(),
            {"person"} if unknown else set(),
        ),
        ("train", "000023.jpg"): (set(), set()),
        ("val", "000033.jpg"): ({"tv_monitor"}, set()),
    }
    assert reading.source.classes == ["car", "person", "tv_monitor"]


def test_lines_that_are_no_state_are_counted(put, read_all, tmp_path) -> None:
    put("ImageSets/Main/car_train.txt", "1 1\n2 7\n1\n3 -1\n")
    reading = read_all(voc_reader(), tmp_path)
    assert set(reading.labels) == {"1.jpg", "3.jpg"}
    [(kind, count)] = reading.dropped.counts.items()
    assert count == 2
    assert "line 2: '2 7'" in reading.dropped.examples[kind][0]


def test_annotations_without_lists_are_one_source(put, read_all, tmp_path) -> None:
    put("Annotations/b.xml", xml("b", ("cow", 0)))
    put("Annotations/a.xml", xml("a"))
    assert list(read_all(voc_reader(), tmp_path).states) == [("", "a.jpg"), ("", "b.jpg")]


def test_what_cannot_be_read_is_counted(put, read_all, tmp_path) -> None:
    for name, content in {
        "bomb": BOMB,
        "cut": xml("cut", ("cow", 0))[:60],
        "empty": "",
        "entity": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
        "good": xml("good", ("cow", 0), (" ", 0)),
        "latin": b'<?xml version="1.0" encoding="iso-8859-1"?>'
        + xml("latin", ("Fuß", 0)).encode("latin-1"),
    }.items():
        put(f"Annotations/{name}.xml", content)
    names = (
        "bomb\ncut\nempty\nentity\ngood\nlatin\ngone\n../../etc/passwd\n/etc/passwd\n" + "x" * 10**6
    )
    put("ImageSets/Main/train.txt", names)
    reading = read_all(voc_reader(), tmp_path)
    assert reading.labels == {"good.jpg": {"cow"}, "latin.jpg": {"Fuß"}}
    assert reading.dropped.counts == {
        "images whose XML file cannot be read": 4,
        "objects without a name": 1,
        "images without an XML file": 2,
        "images whose id leads out of the folder": 2,
    }
    examples = reading.dropped.examples["images whose XML file cannot be read"]
    assert "entities, which are refused" in examples[0]
    assert "cut.xml: is not valid XML" in examples[1]


def test_a_folder_of_something_else_is_refused(tmp_path: Path, read_all) -> None:
    assert voc_reader().detect(tmp_path) is None
    assert voc_reader().detect(tmp_path / "gone") is None
    with pytest.raises(DataError, match="not one folder of Pascal VOC"):
        read_all(voc_reader(), tmp_path)


@pytest.fixture
def roboflow(put: Callable[..., Path]) -> Path:
    """Roboflow's export: XML files beside the images, in a folder for each split."""
    put("export/train/dog_jpg.rf.0af.xml", xml("dog_jpg.rf.0af", ("dog", 0), ("sofa", 1)))
    put("export/train/dog_jpg.rf.0af.jpg")
    put("export/train/same.xml", xml("same")), put("export/train/same.PNG")
    put("export/valid/same.xml", xml("same", ("Fuß", 0))), put("export/valid/same.jpg")
    put("export/test/gone.xml", xml("gone", ("dog", 0)))
    return put("export/README.roboflow.txt", "VOC").parent


def test_xml_files_may_be_beside_images_in_folders_of_splits(roboflow, read_all) -> None:
    reading = read_all(voc_reader("unknown"), roboflow)
    assert reading.states == {
        ("train", "train/dog_jpg.rf.0af.jpg"): ({"dog"}, {"sofa"}),
        ("train", "train/same.PNG"): (set(), set()),
        ("valid", "valid/same.jpg"): ({"Fuß"}, set()),
        ("test", "test/gone.jpg"): ({"dog"}, set()),
    }
    assert reading.source.image_root == roboflow
    assert not reading.dropped.counts
    assert voc_reader().detect(roboflow) == "XML files beside images in test, train, valid"


def test_a_folder_with_xml_files_beside_images_has_no_split(roboflow, put, read_all) -> None:
    put("export/train/x.jpg.xml", xml("x", ("dog", 0))), put("export/train/x.jpg")
    assert read_all(voc_reader(), roboflow / "train").states == {
        ("", "dog_jpg.rf.0af.jpg"): ({"dog", "sofa"}, set()),
        ("", "same.PNG"): (set(), set()),
        ("", "x.jpg"): ({"dog"}, set()),
    }


def test_images_beside_without_an_xml_file_are_counted(roboflow, put, read_all) -> None:
    put("export/train/alone.jpg"), put("export/train/notes.txt")
    put("export/valid/cut.xml", "<annotation>"), put("export/valid/cut.jpg")
    reading = read_all(voc_reader(), roboflow)
    assert len(reading.states) == 4
    assert reading.dropped.counts == {
        "images without an XML file": 1,
        "images whose XML file cannot be read": 1,
    }
    assert reading.dropped.examples["images without an XML file"] == ["train/alone.jpg"]


def test_images_of_files_beside_may_be_elsewhere(roboflow, put, read_all) -> None:
    put("photos/train/same.webp")
    labels = read_all(voc_reader(), roboflow, roboflow.parent / "photos").labels
    assert {"train/same.webp", "valid/same.jpg"} < set(labels)


def test_other_xml_files_are_not_taken_for_it(put, tmp_path: Path) -> None:
    put("train/a.xml", "<annotations></annotations>"), put("train/a.jpg")
    put("val/b.xml/c.jpg")
    assert voc_reader().detect(tmp_path) is None


def test_any_damage_of_a_file_beside_ends_in_a_message(roboflow, damaged_outcomes) -> None:
    file = roboflow / "train/dog_jpg.rf.0af.xml"
    assert "read" in damaged_outcomes(voc_reader(), roboflow, file)


@pytest.mark.parametrize("name", ["Annotations/000005.xml", "ImageSets/Main/train.txt"])
def test_any_damage_ends_in_a_message(voc: Path, name: str, damaged_outcomes) -> None:
    assert damaged_outcomes(voc_reader(), voc, voc / name) <= {"read", "refused"}


def test_any_damage_of_a_list_of_classes_ends_in_a_message(put, tmp_path, damaged_outcomes) -> None:
    file = put("ImageSets/Main/car_train.txt", "000012  1\n000017 -1\n000023  0\n")
    assert damaged_outcomes(voc_reader(), tmp_path, file) == {"read", "refused"}


def test_real_voc(real_data: Path, read_all) -> None:
    folder = real_data / "formats/voc"
    reading = read_all(voc_reader(), folder)
    assert len(reading.states) == 364
    assert not reading.dropped.counts
    for (split, path), (labels, _) in reading.states.items():
        stem = path.removesuffix(".jpg")
        text = (folder / f"Annotations/{stem}.xml").read_text()
        assert labels == set(re.findall("<name>(.+)</name>", text))
        assert stem in (folder / f"ImageSets/Main/{split}.txt").read_text().split()
