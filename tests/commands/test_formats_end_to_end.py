"""Every format as its tool writes it: `dataset-convert auto`, then a training on what comes out.

The images of a sample are numbered, and the bits of a number say which labels it has, so that the
state of every label is known without a look at what was written.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import cv2
import numpy as np
import pytest

from mlc_cli.core.datasets.annotations import read_annotation

NAMES = ("blue", "dark green", "red")
COLOURS = ((255, 0, 0), (0, 160, 0), (0, 0, 255))
PARTS = {"train": range(9), "val": range(9, 14)}
ALL = range(14)
SHA = "6873edf88b8b09f033eeff7540d9c88b"


def bits(number: int) -> list[int]:
    """Classes of an image, by their place."""
    return [place for place in range(3) if number >> place & 1]


def has(number: int, names: Sequence[str] = NAMES) -> list[str]:
    """Classes of an image, by name."""
    return [names[place] for place in bits(number)]


def draw(path: Path, number: int) -> None:
    """Write an image: a patch for each of its labels on noise."""
    pixels = np.random.default_rng(number).integers(0, 60, (32, 40, 3), np.uint8)
    for place in bits(number):
        pixels[place * 10 : place * 10 + 10, 8:24] = COLOURS[place]
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def draw_all(folder: Path, name: str, numbers: Iterable[int] = ALL) -> None:
    """Write images of several numbers; `name` is a pattern such as `{:04d}.jpg`."""
    for number in numbers:
        draw(folder / name.format(number), number)


def put(path: Path, content: Any) -> None:
    """Write text, or JSON as tools do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode())


def put_table(path: Path, rows: Iterable[Sequence[Any]], delimiter: str = ",") -> None:
    """Write a CSV file as spreadsheets and pandas do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(rows)


def mlc_files(root: Path) -> None:
    for split, numbers in PARTS.items():
        draw_all(root / "images" / split, "{:03d}.png", numbers)
        images = [[f"images/{split}/{number:03d}.png", has(number)] for number in numbers]
        put(root / f"{split}.json", {"classes": list(NAMES), "images": images})


COCO_IDS = (1, 18, 90)  # with gaps, as the official ones


def coco_content(names: Sequence[tuple[int, str]], categories: list[dict[str, Any]]) -> Any:
    """COCO with two objects of each class, the second a crowd; numbers of images are far apart."""
    boxed = [
        (number * 1000 + 139, COCO_IDS[place], crowd)
        for number, _ in names
        for place in bits(number)
        for crowd in (0, 1)
    ]
    return {
        "info": {"description": "COCO 2014 Dataset", "version": "1.0", "year": 2014},
        "licenses": [{"id": 1, "name": "Attribution License", "url": "http://example.com"}],
        "images": [
            {"license": 1, "file_name": name, "coco_url": f"http://example.com/{name}",
             "height": 32, "width": 40, "date_captured": "2013-11-14", "id": number * 1000 + 139}
            for number, name in names
        ],
        "annotations": [
            {"segmentation": {"counts": [9, 3], "size": [32, 40]} if crowd else [[8.5, 0.1, 9, 9]],
             "area": 702.1, "iscrowd": crowd, "image_id": image, "bbox": [8.0, 0.0, 16.0, 10.0],
             "category_id": category, "id": 900_100_000 + place}
            for place, (image, category, crowd) in enumerate(boxed)
        ],
        "categories": categories,
    }  # fmt: skip


def coco(root: Path, year: str = "2017") -> None:
    categories = [
        {"supercategory": "patch", "id": category, "name": name}
        for category, name in zip(COCO_IDS, NAMES, strict=True)
    ]
    for split, numbers in PARTS.items():
        pattern = f"COCO_{split}{{:012d}}.jpg"
        draw_all(root / f"{split}{year}", pattern, numbers)
        names = [(number, pattern.format(number)) for number in numbers]
        put(root / f"annotations/instances_{split}{year}.json", coco_content(names, categories))


def roboflow_coco(root: Path) -> None:
    categories = [{"id": 0, "name": "patches", "supercategory": "none"}] + [
        {"id": category, "name": name, "supercategory": "patches"}
        for category, name in zip(COCO_IDS, NAMES, strict=True)
    ]
    for folder, numbers in zip(("train", "valid"), PARTS.values(), strict=True):
        pattern = f"shot-{{}}_jpg.rf.{SHA}.jpg"
        draw_all(root / folder, pattern, numbers)
        names = [(number, pattern.format(number)) for number in numbers]
        put(root / folder / "_annotations.coco.json", coco_content(names, categories))
    put(root / "README.roboflow.txt", "patches > 2026-01-01\r\n")
    put(root / "README.dataset.txt", "# patches > v1\r\n")


def datumaro_coco_labels(root: Path) -> None:
    for split, numbers in PARTS.items():
        draw_all(root / "images" / split, "{:03d}.jpg", numbers)
        content = {
            "licenses": [{"name": "", "id": 0, "url": ""}],
            "info": {"contributor": "", "date_created": "", "description": "", "url": "",
                     "version": "", "year": ""},
            "categories": [{"id": 1 + place, "name": name, "supercategory": ""}
                           for place, name in enumerate(NAMES)],
            "images": [{"id": 1 + number, "width": 40, "height": 32,
                        "file_name": f"{number:03d}.jpg", "license": 0, "flickr_url": "",
                        "coco_url": "", "date_captured": 0} for number in numbers],
            "annotations": [{"id": 1 + number * 3 + place, "image_id": 1 + number,
                             "category_id": 1 + place} for number in numbers
                            for place in bits(number)],
        }  # fmt: skip
        put(root / f"annotations/labels_{split}.json", content)


VOC_NAMES = ("aeroplane", "diningtable", "tvmonitor")


def voc(root: Path, second: str = "val") -> None:
    """`second` is the list that is not train: val, or the test of the other archive."""
    folder = root / "VOC2007"
    draw_all(folder / "JPEGImages", "{:06d}.jpg")
    for number in ALL:
        objects = "".join(
            f"\t<object>\n\t\t<name>{name}</name>\n\t\t<pose>Left</pose>\n"
            f"\t\t<truncated>0</truncated>\n\t\t<difficult>{number % 2}</difficult>\n"
            "\t\t<bndbox>\n\t\t\t<xmin>8</xmin>\n\t\t\t<ymin>1</ymin>\n\t\t\t<xmax>24</xmax>\n"
            "\t\t\t<ymax>10</ymax>\n\t\t</bndbox>\n\t</object>\n"
            for name in has(number, VOC_NAMES)
        )
        put(folder / f"Annotations/{number:06d}.xml",
            f"<annotation>\n\t<folder>VOC2007</folder>\n\t<filename>{number:06d}.jpg</filename>\n"
            f"\t<size>\n\t\t<width>40</width>\n\t\t<height>32</height>\n\t\t<depth>3</depth>\n"
            f"\t</size>\n\t<segmented>0</segmented>\n{objects}</annotation>\n")  # fmt: skip
    half = range(5)
    lists = {"train": half, "val": range(5, 9), "trainval": range(9), "test": PARTS["val"]}
    if second == "val":
        lists = {**PARTS, "trainval": ALL}
    for split, numbers in lists.items():
        put(folder / f"ImageSets/Main/{split}.txt", "".join(f"{n:06d}\n" for n in numbers))
        for place, name in enumerate(VOC_NAMES):
            states = ((n, ("-1", " 1")[place in bits(n)]) for n in numbers)
            text = "".join(f"{n:06d} {state}\n" for n, state in states)
            put(folder / f"ImageSets/Main/{name}_{split}.txt", text)
    put(folder / f"ImageSets/Segmentation/{second}.txt", "000001\n")


def nus_wide(root: Path) -> None:
    names = ("airport", "plants", "sky")
    put(root / "ConceptsList/Concepts81.txt", "".join(f"{name}\r\n" for name in names))
    draw_all(root / "Flickr/actor", "{:04d}_2124494179.jpg")
    truth = root / "Groundtruth"
    lists = zip(("Train", "Test", ""), (*PARTS.values(), ALL), strict=True)
    for split, numbers in lists:
        lines = "".join(f"actor\\{number:04d}_2124494179.jpg\r\n" for number in numbers)
        put(root / f"ImageList/{split}Imagelist.txt", lines)
        for place, name in enumerate(names):
            states = "".join(f"{place in bits(number):d}\n" for number in numbers)
            part = f"TrainTestLabels/Labels_{name}_{split}.txt" if split else ""
            put(truth / (part or f"AllLabels/Labels_{name}.txt"), states)


def nus_wide_of_asl(root: Path) -> None:
    draw_all(root / "images", "{:04d}_2124494179.jpg")
    put_table(root / "nus_wid_data.csv", [
        ("filepath", "label", "split_name"),
        *((f"images/{n:04d}_2124494179.jpg", repr(has(n)), split)
          for split, numbers in PARTS.items() for n in numbers),
    ])  # fmt: skip


def vg500(root: Path) -> None:
    draw_all(root / "VG_100K", "{}.jpg", range(0, 14, 2))
    draw_all(root / "VG_100K_2", "{}.jpg", range(1, 14, 2))
    for split, numbers in zip(("train", "test"), PARTS.values(), strict=True):
        put(root / f"{split}_list_500.txt", "".join(f"{number}.jpg\n" for number in numbers))
    labels = {f"{number}.jpg": [place * 200 for place in bits(number)] for number in ALL}
    put(root / "vg_category_500_labels_index.json", labels)


def open_images(root: Path) -> None:
    """Every fourth class is verified as absent, every other one that is absent is unknown."""
    codes = ("/m/01g317", "/m/0k4j", "/m/0199g")
    described = [("LabelName", "DisplayName"), *zip(codes, NAMES, strict=True), ("/m/0", "Toad")]
    put_table(root / "oidv7-class-descriptions.csv", described)
    for split, numbers in zip(("train", "validation"), PARTS.values(), strict=True):
        draw_all(root / split, "{:02d}a1b2c3d4e5f607.jpg", numbers)
        verified = [
            (f"{n:02d}a1b2c3d4e5f607", "verification", codes[place], int(place in bits(n)))
            for n in numbers
            for place in range(3)
            if place in bits(n) or place == n % 4
        ]  # fmt: skip
        put_table(root / f"oidv7-{split}-annotations-human-imagelabels.csv",
                  [("ImageID", "Source", "LabelName", "Confidence"), *verified])  # fmt: skip


def open_images_unknown(number: int) -> list[str]:
    verified = {*bits(number), number % 4}
    return [name for place, name in enumerate(NAMES) if place not in verified]


def csv_onehot(root: Path) -> None:
    draw_all(root / "photos", "{:03d}.jpg")
    put_table(root / "labels.csv", [
        ("image", *NAMES, "split"),
        *((f"photos/{n:03d}.jpg", *(f"{place in bits(n):.1f}" for place in range(3)), split)
          for split, numbers in PARTS.items() for n in numbers),
    ])  # fmt: skip


def csv_onehot_alone(root: Path) -> None:
    draw_all(root, "{:03d}.jpg")
    rows = [(f"{n:03d}.jpg", *(int(place in bits(n)) for place in range(3))) for n in ALL]
    put_table(root / "labels.csv", [("filename", *NAMES), *rows], ";")


def chexpert(root: Path) -> None:
    """-1 where a finding is uncertain, blank where it is not mentioned."""
    for split, numbers in zip(("train", "valid"), PARTS.values(), strict=True):
        draw_all(root / split, "patient{:05d}/study1/view1_frontal.jpg", numbers)
        put_table(root / f"{split}.csv", [
            ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *NAMES),
            *((f"{split}/patient{n:05d}/study1/view1_frontal.jpg", "Female", "68", "Frontal", "AP",
               *("1.0" if place in bits(n) else ("0.0", "-1.0", "")[place] for place in range(3)))
              for n in numbers),
        ])  # fmt: skip


def roboflow_classes(root: Path) -> None:
    for split, numbers in zip(("train", "valid"), PARTS.values(), strict=True):
        pattern = f"shot-{{}}_jpg.rf.{SHA}.jpg"
        draw_all(root / split, pattern, numbers)
        lines = [f"filename, {', '.join(NAMES)}\n"]
        for n in numbers:
            states = ", ".join(str(int(place in bits(n))) for place in range(3))
            lines.append(f"{pattern.format(n)}, {states}\n")
        put(root / split / "_classes.csv", "".join(lines))


def csv_list(separator: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        draw_all(root / "photos", "{:03d}.jpg")
        rows = [(f"photos/{n:03d}.jpg", separator.join(has(n))) for n in ALL]
        put_table(root / "labels.csv", [("image_path", "labels"), *rows])

    return write


def kaggle_planet(root: Path) -> None:
    draw_all(root / "train-jpg", "train_{}.jpg")
    rows = [(f"train_{n}", " ".join(has(n, ("clear", "primary", "water")))) for n in ALL]
    put_table(root / "train_v2.csv", [("image_name", "tags"), *rows])


def lightly_train(root: Path) -> None:
    for split, numbers in PARTS.items():
        draw_all(root / "images" / split, "{:03d}.jpg", numbers)
        rows = [(f"images/{split}/{n:03d}.jpg", ",".join(has(n))) for n in numbers]
        put_table(root / f"{split}.csv", [("image_path", "label"), *rows])


def image_folder(root: Path, splits: Sequence[str] = ("train", "val")) -> None:
    for split, numbers in zip(splits, PARTS.values(), strict=True):
        for number in numbers:
            for name in has(number):
                draw(root / split / name / f"IMG_{number:04d}.jpg", number)


def image_folder_alone(root: Path) -> None:
    image_folder(root, ("", ""))


def boxes(number: int) -> str:
    return "".join(f"{place} 0.4 0.156250 0.4 0.3125\n" for place in bits(number))


def yolo(root: Path) -> None:
    """Images without boxes have an empty file, or none."""
    for split, numbers in PARTS.items():
        draw_all(root / "images" / split, "{:012d}.jpg", numbers)
        for number in numbers:
            if number:
                put(root / f"labels/{split}/{number:012d}.txt", boxes(number))
    names = "".join(f"  {place}: {name}\n" for place, name in enumerate(NAMES))
    put(root / "data.yaml", f"# patches\npath: ../datasets/patches # dataset root dir\n"
        f"train: images/train\nval: images/val\ntest: # test images (optional)\n\n"
        f"# Classes\nnames:\n{names}\n# Download script\ndownload: none.zip\n")  # fmt: skip


def roboflow_yolo(root: Path) -> None:
    for split, numbers in zip(("train", "valid"), PARTS.values(), strict=True):
        stem = f"shot-{{}}_jpg.rf.{SHA}"
        draw_all(root / split / "images", f"{stem}.jpg", numbers)
        for number in numbers:
            put(root / split / "labels" / f"{stem.format(number)}.txt", boxes(number))
    put(root / "data.yaml", "train: ../train/images\nval: ../valid/images\n"
        f"test: ../test/images\n\nnc: 3\nnames: {list(NAMES)}\n\nroboflow:\n  workspace: w\n"
        "  project: patches\n  version: 1\n  license: CC BY 4.0\n")  # fmt: skip
    put(root / "README.roboflow.txt", "patches\n")


def datumaro(root: Path) -> None:
    labels = [{"name": name, "parent": "", "attributes": []} for name in NAMES]
    for split, numbers in PARTS.items():
        draw_all(root / "images" / split, "{:03d}.jpg", numbers)
        items = [
            {"id": f"{n:03d}", "attr": {"frame": n}, "point_cloud": {"path": ""},
             "annotations": [{"id": 0, "type": "label", "attributes": {}, "group": 0,
                              "label_id": place} for place in bits(n)],
             "image": {"path": f"{n:03d}.jpg", "size": [32, 40]}}
            for n in numbers
        ]  # fmt: skip
        put(root / f"annotations/{split}.json", {
            "dm_format_version": "1.0", "media_type": 2, "infos": {},
            "categories": {"label": {"labels": labels, "label_groups": [], "attributes": []},
                           "mask": {"colormap": []}}, "items": items,
        })  # fmt: skip


def cvat(root: Path) -> None:
    """An export of a project; blue is a tag, the others are boxes."""
    labels = "".join(
        f"        <label>\n          <name>{name}</name>\n          <color>#fa3253</color>\n"
        "          <type>any</type>\n          <attributes>\n          </attributes>\n"
        "        </label>\n"
        for name in NAMES
    )
    images = []
    for number in ALL:
        subset = ("Train", "Validation")[number in PARTS["val"]]
        draw(root / f"images/{subset}/{number:03d}.jpg", number)
        shapes = "".join(
            f'    <tag label={quoteattr(name)} source="manual">\n    </tag>\n'
            if name == "blue" else
            f'    <box label={quoteattr(name)} source="manual" occluded="0" xtl="8.00"'
            ' ytl="10.00" xbr="24.00" ybr="20.00" z_order="0">\n    </box>\n'
            for name in has(number)
        )  # fmt: skip
        images.append(
            f'  <image id="{number}" name="{number:03d}.jpg" subset="{subset}" task_id="7"'
            f' width="40" height="32">\n{shapes}  </image>\n'
        )
    put(root / "annotations.xml", '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n'
        "  <version>1.1</version>\n  <meta>\n    <project>\n      <id>3</id>\n"
        f"      <name>patches</name>\n      <labels>\n{labels}      </labels>\n"
        f"    </project>\n    <dumped>2026-01-01 00:00:00</dumped>\n  </meta>\n"
        f"{''.join(images)}</annotations>\n")  # fmt: skip


def upload(number: int) -> str:
    return f"/data/upload/1/0a1b2c3d-photo{number:02d}.jpg"


def label_studio(root: Path) -> None:
    draw_all(root / "photos", "photo{:02d}.jpg")
    tasks = []
    for number in ALL:
        result = {"value": {"choices": has(number)}, "id": "x1", "from_name": "choice",
                  "to_name": "image", "type": "choices", "origin": "manual"}  # fmt: skip
        cancelled = {"id": 99, "was_cancelled": True, "result": [{**result, "value": {
            "choices": ["red"]}}]}  # fmt: skip
        own = {"id": number, "completed_by": 1, "result": [result] if has(number) else [],
               "was_cancelled": False, "ground_truth": False, "lead_time": 3.2}  # fmt: skip
        tasks.append({
            "id": number, "annotations": [own, *([cancelled] if number == 1 else [])],
            "file_upload": f"0a1b2c3d-photo{number:02d}.jpg", "drafts": [], "predictions": [],
            "data": {"image": upload(number)}, "meta": {}, "project": 1,
        })  # fmt: skip
    put(root / "project-1-at-2026-01-01-10-00-0a1b2c3d.json", tasks)


def min_choice(number: int) -> Any:
    names = has(number)
    return names[0] if len(names) == 1 else {"choices": names}


def label_studio_min(root: Path) -> None:
    draw_all(root / "photos", "photo{:02d}.jpg")
    put(root / "project-1-at-2026-01-01-10-00-0a1b2c3d.json", [
        {"image": upload(n), "id": n, **({"choice": min_choice(n)} if has(n) else {}),
         "annotator": 1, "annotation_id": n, "created_at": "2026-01-01T10:00:00Z",
         "updated_at": "2026-01-01T10:00:00Z", "lead_time": 3.2}
        for n in ALL
    ])  # fmt: skip


def label_studio_csv(root: Path) -> None:
    draw_all(root / "photos", "photo{:02d}.jpg")
    cells = [min_choice(n) if has(n) else "" for n in ALL]
    texts = [cell if isinstance(cell, str) else json.dumps(cell) for cell in cells]
    put_table(root / "project-1-at-2026-01-01-10-00-0a1b2c3d.csv", [
        ("annotation_id", "annotator", "choice", "created_at", "id", "image", "lead_time",
         "updated_at"),
        *((n, 1, text, "2026-01-01T10:00:00Z", n, upload(n), 3.2, "2026-01-01T10:00:00Z")
          for n, text in zip(ALL, texts, strict=True)),
    ])  # fmt: skip


def fiftyone(root: Path) -> None:
    for split, numbers in PARTS.items():
        draw_all(root / split / "data", "{:06d}.jpg", numbers)
        labels = {f"{n:06d}": bits(n) or None for n in numbers}
        put(root / split / "labels.json", {"classes": list(NAMES), "labels": labels})


def imagenet_txt(root: Path) -> None:
    put(root / "synsets.txt", "".join(f"{name}\n" for name in NAMES))
    for split, numbers in PARTS.items():
        draw_all(root / "images", "{:03d}.jpg", numbers)
        lines = (" ".join([f"{n:03d}.jpg", *map(str, bits(n))]) for n in numbers)
        put(root / f"{split}.txt", "".join(f"{line}\n" for line in lines))


def mmpretrain(root: Path) -> None:
    for split, numbers in PARTS.items():
        draw_all(root / split, "{:03d}.jpg", numbers)
        entries = [{"img_path": f"{n:03d}.jpg", "gt_label": bits(n)} for n in numbers]
        put(root / f"annotations/{split}.json", {"metainfo": {"classes": list(NAMES)},
                                                 "data_list": entries})  # fmt: skip


def celeba(root: Path) -> None:
    names = ("5_o_Clock_Shadow", "Male", "Young")
    draw_all(root / "img_align_celeba", "{:06d}.jpg")
    rows = (
        " ".join([f"{n:06d}.jpg", *((" 1" if place in bits(n) else "-1") for place in range(3))])
        for n in ALL
    )
    put(root / "list_attr_celeba.txt", f"14\n{' '.join(names)} \n" + "".join(
        f"{row}\n" for row in rows))  # fmt: skip
    parts = (f"{n:06d}.jpg {int(n in PARTS['val'])}\n" for n in ALL)
    put(root / "list_eval_partition.txt", "".join(parts))


def nothing(number: int) -> list[str]:  # noqa: ARG001 - one of several
    return []


@dataclass(frozen=True)
class Case:
    """A sample, and what has to come out.

    Attributes:
        write: Writes it to a folder.
        format: Name of its format.
        names: The classes, as the bits of a number mean them.
        numbers: Images that it has.
        unknown: Labels of an image whose state is unknown.
        source: What to convert, below the folder.
        flags: What has to be said besides.
        divided: Whether it has no splits, so that it is divided.
        dropped: How much is left out, by the beginning of the reason.
        classes: How many there are.
    """

    write: Callable[[Path], None]
    format: str
    names: Sequence[str] = NAMES
    numbers: Sequence[int] = ALL
    unknown: Callable[[int], list[str]] = nothing
    source: str = ""
    flags: Sequence[str] = ()
    divided: bool = False
    dropped: dict[str, int] = field(default_factory=dict)
    classes: int = 3

    def states(self, number: int) -> tuple[set[str], set[str]]:
        """Present and unknown labels of an image."""
        return set(has(number, self.names)), set(self.unknown(number))


LABELLED = [number for number in ALL if bits(number)]
TEST_IS_VAL = ("--set", "rename.test=val")


def all_unknown(number: int) -> list[str]:
    return [] if bits(number) else list(NAMES)


CASES = {
    "mlc": Case(mlc_files, "mlc"),
    "COCO": Case(coco, "coco"),
    "COCO, one file": Case(
        coco, "coco", source="annotations/instances_val2017.json", numbers=PARTS["val"],
        divided=True,
    ),
    "Roboflow COCO": Case(roboflow_coco, "coco", dropped={"categories that only head others": 2}),
    "COCO labels of Datumaro": Case(datumaro_coco_labels, "coco"),
    "VOC": Case(voc, "voc", VOC_NAMES),
    "NUS-WIDE": Case(nus_wide, "nus-wide", ("airport", "plants", "sky"), flags=TEST_IS_VAL),
    "NUS-WIDE of ASL": Case(nus_wide_of_asl, "csv-list"),
    "VG-500": Case(
        vg500, "vg500", ("class_000", "class_200", "class_400"), classes=500, flags=TEST_IS_VAL
    ),
    "Open Images": Case(open_images, "open-images", unknown=open_images_unknown),
    "CSV one-hot": Case(csv_onehot, "csv-onehot"),
    "CSV one-hot, semicolons": Case(csv_onehot_alone, "csv-onehot", divided=True),
    "CheXpert": Case(
        chexpert, "csv-onehot",
        unknown=lambda n: [NAMES[place] for place in (1, 2) if place not in bits(n)],
    ),
    "Roboflow classes": Case(roboflow_classes, "csv-onehot"),
    "CSV list, commas": Case(csv_list(","), "csv-list", divided=True),
    "CSV list, bars": Case(csv_list("|"), "csv-list", source="labels.csv", divided=True),
    "CSV list, semicolons": Case(csv_list(";"), "csv-list", divided=True),
    "Kaggle planet": Case(
        kaggle_planet, "csv-list", ("clear", "primary", "water"), divided=True,
    ),
    "lightly-train": Case(lightly_train, "csv-list"),
    "ImageFolder": Case(image_folder, "image-folder", numbers=LABELLED),
    "ImageFolder, no splits": Case(
        image_folder_alone, "image-folder", numbers=LABELLED, divided=True
    ),
    "YOLO": Case(yolo, "yolo"),
    "Roboflow YOLO": Case(
        roboflow_yolo, "yolo", dropped={"folders and lists of images that are not there": 1}
    ),
    "Datumaro": Case(datumaro, "datumaro"),
    "CVAT": Case(cvat, "cvat"),
    "Label Studio": Case(
        label_studio, "label-studio", divided=True, dropped={"annotations that were cancelled": 1}
    ),
    "Label Studio JSON-MIN": Case(label_studio_min, "label-studio", divided=True),
    "Label Studio CSV": Case(label_studio_csv, "label-studio", divided=True),
    "FiftyOne": Case(
        fiftyone, "fiftyone", unknown=all_unknown, dropped={"images with null for labels": 2}
    ),
    "ImageNet txt": Case(imagenet_txt, "imagenet-txt"),
    "mmpretrain": Case(mmpretrain, "mmpretrain"),
    "CelebA": Case(celeba, "celeba", ("5_o_Clock_Shadow", "Male", "Young")),
}  # fmt: skip


def number_of(path: str) -> int:
    """Number of an image: the first one in its name, or in the folder of a patient."""
    match = re.search(r"patient(\d+)|(\d+)[^/]*$", path)
    assert match, path
    return int(match[1] or match[2])


def read_states(folder: Path, split: str) -> dict[int, tuple[set[str], set[str]]]:
    """Present and unknown labels of each image of a split, by its number."""
    own = read_annotation(folder / f"{split}.json")
    names = np.array(own.class_names)
    states = {}
    for path, row in zip(own.paths, own.targets_NC(range(len(own))), strict=True):
        states[number_of(path)] = (set(names[row == 1]), set(names[row == -1]))
    assert len(states) == len(own)
    return states


@pytest.fixture
def convert(mlc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Case], Any]:
    """Write a sample to the folder `source`, convert it to `data`; the report."""
    monkeypatch.chdir(tmp_path)

    def run(case: Case) -> Any:
        case.write(Path("source"))
        source = Path("source", case.source)
        outcome = mlc("dataset-convert", "auto", source, "data", *case.flags, "--json")
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)

    return run


@pytest.mark.parametrize("name", CASES)
def test_auto_then_train(mlc, tiny: list[str], convert, name: str) -> None:
    case = CASES[name]
    report = convert(case)
    assert report["format"] == case.format
    assert report["seen"]
    assert len(report["classes"]) == case.classes
    assert set(report["classes"]) >= set(case.names)
    assert bool(report["shares"]) == case.divided
    dropped = {kind: found["count"] for kind, found in report["dropped"].items()}
    assert len(dropped) == len(case.dropped)
    for kind, count in case.dropped.items():
        assert [own for reason, own in dropped.items() if reason.startswith(kind)] == [count]

    splits = {split: read_states(Path("data"), split) for split in ("train", "val")}
    assert set(report["splits"]) == set(splits)
    if case.divided:
        assert sorted([*splits["train"], *splits["val"]]) == sorted(case.numbers)
    else:
        for split, numbers in PARTS.items():
            assert sorted(splits[split]) == [n for n in numbers if n in case.numbers]
    for split, states in splits.items():
        assert states == {number: case.states(number) for number in states}
        own = report["splits"][split]
        assert own["images"] == len(states)
        assert own["labels"] == sum(len(present) for present, _ in states.values())
        assert own["without_labels"] == sum(not present for present, _ in states.values())
        assert own["unknown"] == sum(len(unknown) for _, unknown in states.values())

    trained = mlc("train", "--data", "data", "--epochs", "1", *tiny)
    assert trained.code == 0, trained.err
    assert f"train  {len(splits['train'])} images" in trained.err


README = Path(__file__).parents[2] / "datasets" / "README.md"


def coco_as_downloaded(root: Path) -> None:
    """With the files that lie beside those of the instances in the official archive."""
    coco(root, "2014")
    for split in PARTS:
        for other in ("captions", "person_keypoints"):
            content = {"images": [], "annotations": [], "categories": []}
            put(root / f"annotations/{other}_{split}2014.json", content)


BENCHMARKS = {
    "coco14": Case(coco_as_downloaded, "coco", source="coco"),
    "voc07": Case(lambda root: voc(root, "test"), "voc", VOC_NAMES, source="VOCdevkit"),
    "nus-wide": Case(nus_wide, "nus-wide", ("airport", "plants", "sky"), source="NUS-WIDE"),
    "vg500": Case(vg500, "vg500", ("class_000", "class_200", "class_400"), source="VG"),
}


def commands_of(name: str) -> list[list[str]]:
    """The conversions that datasets/README.md gives for a benchmark, in words."""
    lines = README.read_text(encoding="utf-8").splitlines()
    commands = [line.partition("#")[0].split() for line in lines if line.startswith("    mlc ")]
    return [
        words[1:]
        for words in commands
        if words[1] == "dataset-convert" and words[4] == f"datasets/{name}"
    ]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_commands_of_the_readme_make_the_benchmarks(
    mlc, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    case = BENCHMARKS[name]
    case.write(Path(case.source))
    commands = commands_of(name)
    assert commands
    for words in commands:
        outcome = mlc(*words)
        assert outcome.code == 0, outcome.err
        assert "dropped" not in outcome.out
    folder = Path("datasets", name)
    assert sorted(path.name for path in folder.iterdir()) == [
        "convert.json", "train.json", "val.json",
    ]  # fmt: skip
    for split, numbers in PARTS.items():
        assert read_states(folder, split) == {number: case.states(number) for number in numbers}
    trained = mlc("train", "--data", folder, "--epochs", "1", *tiny)
    assert trained.code == 0, trained.err


def test_a_data_set_whose_images_are_elsewhere_goes_through_all_commands(
    mlc, tiny: list[str], convert, tmp_path: Path
) -> None:
    report = convert(CASES["COCO"])
    assert report["image_root"] == "source"
    assert json.loads(Path("data/train.json").read_text())["image_root"] == "../source"
    trained = mlc("train", "--data", "data", "--epochs", "1", *tiny)
    assert trained.code == 0, trained.err
    assert "train  9 images in data/../source" not in trained.err
    assert "train  9 images in source" in trained.err
    evaluated = mlc("eval", "--split", "val", "--report")
    assert evaluated.code == 0, evaluated.err
    checked = mlc("dataset-check", "data", "--json")
    assert checked.code == 0, checked.err
    assert json.loads(checked.out)["images"] == 14
    again = mlc("dataset-convert", "auto", "data", "deeper/again", "--strict", "--json")
    assert again.code == 0, again.err
    content = json.loads(Path("deeper/again/val.json").read_text())
    assert (tmp_path / "deeper/again" / content["image_root"]).resolve() == tmp_path / "source"
    whole = mlc("dataset-convert", "mlc", "data", "whole", "--link", "copy")
    assert whole.code == 0, whole.err
    assert "image_root" not in json.loads(Path("whole/val.json").read_text())
    for folder in ("data", "deeper/again", "whole"):
        for split, numbers in PARTS.items():
            assert sorted(read_states(Path(folder), split)) == list(numbers)
