"""Files that say the same in another way convert to the same data set, whatever their format.

Each data set has the images p0 to p5, labels in turn, and the images lie in another folder than the
file says. A mutation keeps the meaning: order of keys, entries and columns, ids as text, space and
quotes, mark and ends of lines, name of the folder of images, case of suffixes.
"""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlc_cli.core.datasets.converting.collect import Findings, collect
from mlc_cli.core.datasets.converting.locate import locate_images, searched_folder
from mlc_cli.core.datasets.formats.build import detect, readers
from mlc_cli.settings.convert import ConvertSettings

LABELS = [["cat"], ["dog"], ["cat", "dog"], [], ["dog"], ["cat"]]
ROUNDS = 20

Files = Mapping[str, str]
Rng = random.Random


def dump(content: Any, rng: Rng) -> str:
    """JSON with its keys in any order, with or without space, escaped or not."""

    def shuffled(node: Any) -> Any:
        if isinstance(node, dict):
            keys = rng.sample(list(node), len(node))
            return {key: shuffled(node[key]) for key in keys}
        return [shuffled(item) for item in node] if isinstance(node, list) else node

    return json.dumps(shuffled(content), indent=rng.choice([None, 1]))


def mixed(items: list[Any], rng: Rng) -> list[Any]:
    return rng.sample(items, len(items))


def number(value: int, rng: Rng) -> Any:
    return rng.choice([value, str(value), float(value)])


def coco(names: list[str], rng: Rng) -> Files:
    images = [{"id": number(n, rng), "file_name": name} for n, name in enumerate(names)]
    categories = [{"id": 3, "name": "cat"}, {"id": number(7, rng), "name": "dog"}]
    objects = [
        {"image_id": number(n, rng), "category_id": number({"cat": 3, "dog": 7}[label], rng),
         "iscrowd": rng.choice([0, "0", False])}
        for n, labels in enumerate(LABELS)
        for label in labels * rng.choice([1, 2])
    ]  # fmt: skip
    content = {"images": mixed(images, rng), "categories": mixed(categories, rng),
               "annotations": mixed(objects, rng)}  # fmt: skip
    return {"labels.json": dump(content, rng)}


def label_studio(names: list[str], rng: Rng) -> Files:
    tasks = []
    for name, labels in zip(names, LABELS, strict=True):
        result = [{"type": "choices", "value": {"choices": mixed(labels, rng)}}] if labels else []
        data = {"image": rng.choice(["/data/upload/3/0a1b2c3d-", "s3://bucket/"]) + name}
        tasks.append({"data": data, "annotations": [{"was_cancelled": False, "result": result}]})
    if rng.random() < 0.5:
        return {"export.json": dump(mixed(tasks, rng), rng)}
    return {f"{n}.json": dump(task["annotations"][0] | {"task": task}, rng)
            for n, task in enumerate(tasks)}  # fmt: skip


def cvat(names: list[str], rng: Rng) -> Files:
    quote, end = rng.choice("'\""), rng.choice(["\n", "\r\n", ""])

    def element(tag: str, body: str = "", **values: Any) -> str:
        items = mixed(list(values.items()), rng)
        own = " ".join(f"{key}={quote}{value}{quote}" for key, value in items)
        return f"<{tag} {own}>{body}</{tag}>{end}"

    images = [
        element("image", "".join(element(rng.choice(["tag", "box"]), label=own) for own in labels),
                id=n, name=name)
        for n, (name, labels) in enumerate(zip(names, LABELS, strict=True))
    ]  # fmt: skip
    return {"annotations.xml": f"<annotations>{end}{''.join(mixed(images, rng))}</annotations>"}


def jsonl(names: list[str], rng: Rng) -> Files:
    key = rng.choice(["labels", "tags", "categories"])
    rows = [
        json.dumps({"file_name": name, key: mixed(labels, rng)})
        for name, labels in zip(names, LABELS, strict=True)
    ]
    return {"metadata.jsonl": rng.choice(["\n", "\r\n", "\n\n"]).join(mixed(rows, rng))}


def yolo(names: list[str], rng: Rng) -> Files:
    points = rng.choice([".5 .5 .1 .1", "0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2", "5e-1 .5 .1 .1"])
    place, end = rng.choice(["images", "train/images"]), rng.choice(["\n", "\r\n"])
    beside = rng.choice([place, place.replace("images", "labels")])
    files = {
        f"{beside}/{name.rpartition('.')[0]}.txt": end.join(
            f"{rng.choice(['', ' '])}{['cat', 'dog'].index(label)} {points}" for label in labels
        )
        for name, labels in zip(names, LABELS, strict=True)
    }
    form = rng.choice(
        ["[cat, dog]", "{0: cat, 1: dog}", "\n- cat\n- 'dog'", "\n  1: dog\n  0: cat"]
    )
    files["data.yaml"] = f"names: {form}\ntrain: ../{place}\nnc: 2\n"
    return files | {f"{place}/{name}": "image" for name in names}


def via(names: list[str], rng: Rng) -> Files:
    images = {
        f"{name}{n}": {
            "filename": name,
            "file_attributes": {"kind": {"cat": "cat" in labels, "dog": "dog" in labels}},
            "regions": rng.choice([[], {}]),
        }
        for n, (name, labels) in enumerate(zip(names, LABELS, strict=True))
    }
    whole = rng.random() < 0.5
    return {"via.json": dump({"_via_img_metadata": images} if whole else images, rng)}


def tables(names: list[str], rng: Rng) -> Files:
    rows = [f"{name},{','.join(labels)}" for name, labels in zip(names, LABELS, strict=True)]
    rows = [f"TRAIN,gs://bucket/{row.rstrip(',')}" for row in rows]
    return {"import.csv": rng.choice(["\n", "\r\n"]).join(mixed(rows, rng))}


def voc(names: list[str], rng: Rng) -> Files:
    space, end = rng.choice(["", "\n  "]), rng.choice(["\n", "\r\n"])
    files = {}
    for name, labels in zip(names, LABELS, strict=True):
        objects = [
            f"<object>{space}"
            + space.join(mixed([f"<name>{space}{label}{space}</name>", "<difficult>0</difficult>",
                                "<bndbox><xmin>1</xmin></bndbox>"], rng))
            + "</object>"
            for label in labels * rng.choice([1, 2])
        ]  # fmt: skip
        parts = mixed(
            [f"<filename>{name}</filename>", "<size><width>1</width></size>", *objects], rng
        )
        head = rng.choice(["", '<?xml version="1.0" encoding="utf-8"?>', "<!-- by hand -->"])
        root = rng.choice(["<annotation>", '<annotation verified="yes">'])
        stem = name.rpartition(".")[0]
        files[f"Annotations/{stem}.xml"] = f"{head}{root}{space.join(parts)}</annotation>"
    ids = [rng.choice([name, name.rpartition(".")[0]]) + rng.choice(["", " "]) for name in names]
    files["ImageSets/Main/train.txt"] = end.join(mixed(ids, rng)) + rng.choice(["", end])
    return files


def datumaro(names: list[str], rng: Rng) -> Files:
    items = [
        {"id": name.rpartition(".")[0], "image": {"path": rng.choice(["", "images\\"]) + name},
         "annotations": [{"id": 0, "type": rng.choice(["label", "bbox"]), "group": 0,
                          "label_id": number(["dog", "cat"].index(label), rng)}
                         for label in mixed(labels, rng)]}
        for name, labels in zip(names, LABELS, strict=True)
    ]  # fmt: skip
    categories = {"label": {"labels": [{"name": "dog"}, {"name": "cat", "parent": ""}]}}
    content = {"info": {}, "categories": categories, "items": mixed(items, rng)}
    place = rng.choice(["annotations/default.json", "train.json", "annotations/train.json"])
    return {place: dump(content, rng)}


def mmpretrain(names: list[str], rng: Rng) -> Files:
    folder = rng.choice(["", "./", "train/", "D:\\data\\"])
    data = [
        {"img_path": folder + name,
         "gt_label": [number(["cat", "dog"].index(label), rng) for label in mixed(labels, rng)]}
        for name, labels in zip(names, LABELS, strict=True)
    ]  # fmt: skip
    meta = {"classes": ["cat", "dog"], "dataset_type": "x"}
    content = {"metainfo": meta, "data_list": mixed(data, rng)}
    return {rng.choice(["train.json", "annotations/train.json"]): dump(content, rng)}


def labelme(names: list[str], rng: Rng) -> Files:
    files = {}
    folder = rng.choice(["", "..\\images\\", "/home/me/"])
    for name, labels in zip(names, LABELS, strict=True):
        flagged = rng.random() < 0.5
        shapes = [{"label": label, "points": [[1, 2]], "flags": {}, "shape_type": "polygon"}
                  for label in labels * rng.choice([1, 2])]  # fmt: skip
        content = {
            "version": "5.0",
            "flags": {own: own in labels for own in ("cat", "dog")} if flagged else {},
            "shapes": [] if flagged else mixed(shapes, rng),
            "imagePath": folder + name,
            "imageData": rng.choice([None, "AAAA"]),
        }
        files[f"{name.rpartition('.')[0]}.json"] = dump(content, rng)
    return files


def manifest(names: list[str], rng: Rng) -> Files:
    rows = []
    for name, labels in zip(names, LABELS, strict=True):
        numbers = [{"cat": 0, "dog": 5}[label] for label in labels]
        classes = {str(own): {0: "cat", 5: "dog"}[own] for own in numbers}
        meta = {"class-map": classes, "human-annotated": "yes", "creation-date": "2024-01-01"}
        row = {"source-ref": f"s3://bucket/{rng.choice(['', 'x/'])}{name}", "kinds": numbers,
               "kinds-metadata": meta}  # fmt: skip
        rows.append(json.dumps({key: row[key] for key in mixed(list(row), rng)}))
    return {rng.choice(["o.manifest", "output.jsonl"]): rng.choice(["\n", "\r\n"]).join(rows)}


def open_images(names: list[str], rng: Rng) -> Files:
    quote, end = rng.choice(["", '"']), rng.choice(["\n", "\r\n"])
    columns = mixed(["ImageID", "Source", "LabelName", "Confidence"], rng)
    rows = [
        {"ImageID": name.rpartition(".")[0], "Source": "verification", "LabelName": f"/m/{label}",
         "Confidence": rng.choice(["1", "1.0"] if label in labels else ["0", "0.0"])}
        for name, labels in zip(names, LABELS, strict=True)
        for label in mixed(["cat", "dog"], rng)
    ]  # fmt: skip
    lines = [columns, *([row[column] for column in columns] for row in mixed(rows, rng))]
    table = end.join(",".join(f"{quote}{cell}{quote}" for cell in line) for line in lines)
    head = rng.choice(["", f"LabelName,DisplayName{end}"])
    place = rng.choice(["", "annotations/"])
    return {f"{place}train-annotations-human-imagelabels.csv": table + rng.choice(["", end]),
            "class-descriptions.csv": f"{head}/m/cat,cat{end}/m/dog,dog{end}"}  # fmt: skip


def celeba(names: list[str], rng: Rng) -> Files:
    order, end = mixed(["cat", "dog"], rng), rng.choice(["\n", "\r\n"])
    lines = [
        rng.choice([" ", "  ", "\t"]).join(
            [name, *("1" if own in labels else "-1" for own in order)]
        )
        for name, labels in zip(names, LABELS, strict=True)
    ]
    place = rng.choice(["", "Anno/"])
    text = end.join([str(len(names)), " ".join(order) + rng.choice(["", " "]), *mixed(lines, rng)])
    return {f"{place}list_attr_celeba.txt": text + rng.choice(["", end])}


def fiftyone(names: list[str], rng: Rng) -> Files:
    named = rng.random() < 0.5
    labels = {
        name.rpartition(".")[0]: [
            own if named else number(["cat", "dog"].index(own), rng) for own in mixed(labels, rng)
        ]
        for name, labels in zip(names, LABELS, strict=True)
    }
    return {"labels.json": dump({"classes": ["cat", "dog"], "labels": labels}, rng)}


FORMS: Mapping[str, Callable[[list[str], Rng], Files]] = {
    "coco": coco, "label-studio": label_studio, "cvat": cvat, "jsonl": jsonl, "yolo": yolo,
    "via": via, "csv-list": tables, "voc": voc, "datumaro": datumaro, "mmpretrain": mmpretrain,
    "labelme": labelme, "manifest": manifest, "open-images": open_images, "celeba": celeba,
    "fiftyone": fiftyone,
}  # fmt: skip


def converted(folder: Path) -> dict[str, set[str]]:
    """Labels by the stem of the image, as a conversion of `auto` has them."""
    settings = ConvertSettings(format="auto", source=str(folder), dest="x")
    reader = detect(folder, readers(settings))[0]
    findings = Findings()
    source = reader.read(folder, None, findings.dropped)
    whole = collect(source, folder, findings, join_splits=True)
    whole = locate_images(whole, searched_folder(folder, source.image_root, None), findings)
    assert not findings.dropped.counts, findings.dropped.lines()
    own = whole.annotation
    assert all(own.path(image).is_file() for image in range(len(own)))
    return {Path(own.paths[n]).stem: {str(own.classes[c]) for c in own.positives.of(n)}
            for n in range(len(own))}  # fmt: skip


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("form", FORMS)
def test_what_means_the_same_is_read_the_same(tmp_path: Path, form: str, seed: int) -> None:
    rng = random.Random(f"{form} {seed}")
    suffix = ".jpg" if form == "open-images" else rng.choice([".jpg", ".JPG", ".png", ".jpeg"])
    names = [f"p{n}{suffix}" for n in range(len(LABELS))]
    mark = rng.choice(["", "\ufeff"])
    for name, content in FORMS[form](names, rng).items():
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(mark * (not name.endswith(("yaml", ".txt"))) + content, newline="")
    if form != "yolo":
        folder = tmp_path / rng.choice([".", "img", "pictures/all", "images"])
        folder.mkdir(parents=True, exist_ok=True)
        case = rng.choice([str.lower, str.upper])
        for name in names:
            stem, dot, end = name.rpartition(".")
            (folder / f"{stem}{dot}{case(end)}").write_bytes(b"image")
    assert converted(tmp_path) == {f"p{n}": set(labels) for n, labels in enumerate(LABELS)}
