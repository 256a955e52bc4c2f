"""Formats that no reader takes, told by name with what to export instead."""

import re
import shlex
from collections import deque
from collections.abc import Mapping
from itertools import chain, islice, starmap
from pathlib import Path
from typing import NoReturn

from mlc_cli.core.datasets.formats.shared.lines import csv_rows, is_file, other_files, raw_lines
from mlc_cli.core.datasets.formats.shared.tables import Table
from mlc_cli.errors import DataError
from mlc_cli.text import some

_HEAD, _FILES = 1 << 16, 200
_COCO = "Export it as COCO or as CSV."
_CSV = "Save it as CSV in UTF-8, with a line for each image: image,labels."
_IMAGES = "Save the images as files, and their labels as CSV: image,labels."
_STATES = "Write it as CSV with a column for each class: 1 present, 0 absent, blank unknown."
_BANDS = "Save the bands that are wanted as one image each, and the labels as CSV: image,labels."
_FOLDERS = "Convert its folder of images as image-folder, or write the attributes of images as CSV."
_ELSE = "Write the labels of another format as CSV, a line for each image: image,labels. "
_LIST = "Write it as CSV: image,labels. Or put the names of its numbers beside it, in classes.txt."
_TWO_PARTS = (
    "Convert the folder train as image-folder with --split train, then this file as csv-list with"
    " --image-column 1 --label-column 2 --split val --images val/images."
)
_FIFTYONE = "Export it as FiftyOneImageClassificationDataset or as COCODetectionDataset."
_NAMES = {
    "image_class_labels.txt": ("is of CUB-200-2011 or NABirds", _FOLDERS),
    "predicate-matrix-binary.txt": ("is of AwA2: attributes of classes, not of images", _FOLDERS),
    **dict.fromkeys(
        ("list_attr_img.txt", "list_category_img.txt", "list_attr_cloth.txt", "train_attr.txt"),
        ("is of DeepFashion", _STATES),
    ),
    "apascal_train.txt": ("is of aPascal: attributes of boxes, not of images", _STATES),
    "images_variant_train.txt": ("is of FGVC-Aircraft", _CSV),
    "val_annotations.txt": ("is of Tiny ImageNet", _TWO_PARTS),
    "objectInfo150.txt": ("is of ADE20K, which has masks", _CSV),
    "mimic-cxr-2.0.0-chexpert.csv": ("is of MIMIC-CXR: labels of studies, not of images", _STATES),
}
"""Files whose data sets other readers would take for theirs."""
_OPENINGS = (
    (rb"version https://git-lfs", "is a Git LFS pointer, not the file", "Fetch it: git lfs pull."),
    (rb'"imageGcsUri"', "is of Vertex AI", "Export it as CSV: image,labels."),
    (rb'"image_url"\s*:\s*"(?:AmlDatastore|azureml)', "is of AzureML", "Export it as COCO."),
    (rb'"data_row"\s*:', "is of Labelbox", _COCO),
    (rb'"schema_ref"\s*:\s*"[^"]*darwin|"remote_path"', "is of Darwin (V7)", _COCO),
    (rb'"classTitle"\s*:', "is of Supervisely", _COCO),
    (rb'"_input_hash"\s*:', "is of Prodigy", "Write it as CSV: image,labels."),
    (rb'"asset"\s*:\s*\{.*"regions"\s*:', "is of VoTT", "Export it as CSV or as Pascal VOC."),
    (rb'"annotations?"\s*:\s*\[\s*\{[^]]*"coordinates"\s*:', "is of CreateML", _COCO),
    (rb'"(?:attribute|scene)_id_map"\s*:', "is of WIDER Attribute", _STATES),
    (rb'"labelId"\s*:\s*\[', "is of iMaterialist (FGVC)", _CSV),
    (rb'"box[23]d"\s*:', "is of BDD100K", _COCO),
    (rb'"synsets"\s*:\s*\[', "is of Visual Genome", _CSV),
    (rb'"tile_source"\s*:|"acquisition_date"\s*:', "is of BigEarthNet", _BANDS),
    (rb"\A\s*\[\s*\[[\d,\s]*\]\s*[,\]]", "has numbers of classes alone, as ImageNet ReaL", _CSV),
    (rb'"imgToAnns"|"utf8_string"', "is of COCO-Text", _CSV),
    (
        rb'\A\s*\[\s*\{(?=.*"image_id")(?=.*"category_id").*"score"\s*:',
        "has results of COCO",
        "Name the file of annotations: a detector has guessed these.",
    ),
    (
        rb'\A\s*\{\s*"[^"\n]+\.(?i:jpe?g|png|bmp|webp)"\s*:\s*\{\s*"[^"\n]+"\s*:\s*'
        rb"(?:true|false|[01](?:\.\d*)?)\s*[,}]",
        "has states of labels for each image",
        _STATES,
    ),
    (rb'"positive_attributes"\s*:', "is of VAW", _STATES),
    (rb'"relations"\s*:\s*\[', "has scene graphs, as GQA", _CSV),
    (rb'\A\s*\{\s*"samples"\s*:.*"filepath"\s*:', "is a FiftyOneDataset", _FIFTYONE),
    (rb'"imgHeight"\s*:', "is of Cityscapes", _COCO),
    (rb'"gtboxes"\s*:', "is of CrowdHuman", _COCO),
    (rb"\A\S+ (?:\w+ )*(?:upper|lower)Body[A-Z]", "is of PETA", _CSV),
    (rb"\A#Image CLASS-ID SPECIES", "is of Oxford-IIIT Pets", _CSV),
    (rb"\Aaction_name\s", "is of Stanford 40 Actions", _CSV),
    (rb"\Ahttps?://\S+\s+\d+:[01]", "is of Tencent ML-Images: classes with confidences", _CSV),
    (
        rb"\A[^\n]*EstimatedYesNo",
        "has points of Open Images",
        "Use the *-human-imagelabels.csv of the same images.",
    ),
    (
        rb"\A(?:Car|Van|Truck|Tram|Cyclist|Pedestrian|Misc|DontCare) [\d.-]+ [\d-]+ ",
        "is of KITTI",
        _COCO,
    ),
    (rb"\Aimagesource:", "is of DOTA", _COCO),
    (rb"\A/[a-z]/\w+", "is of SUN397 or Places", _CSV),
    (rb"\AMATLAB \d|\A\x89HDF\r\n", "is a file of MATLAB or HDF5", _CSV),
)
_ROWS = (rb"\A\S+\.(?:jpe?g|png|bmp)[ \t]+[\w.-]", "lists images with their labels", _LIST)
"""What is read where names of classes lie beside it."""
_SUFFIXES = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods"), ("is a spreadsheet", _CSV)),
    **dict.fromkeys((".tfrecord", ".tfrecords", ".record"), ("is a TFRecord", _COCO)),
    ".parquet": ("is a table of Parquet", "Convert it alone, with `parquet` as the format."),
    ".arrow": ("is a table of Arrow", "Save it as Parquet: ds.to_parquet('train.parquet')."),
    ".tar": ("is an archive, perhaps a WebDataset", "Unpack it, and write labels as CSV."),
    **dict.fromkeys((".pkl", ".pickle", ".npz", ".npy"), ("holds objects of Python", _IMAGES)),
    ".hvecs": ("holds labels of Corel5k, ESP or IAPR TC-12", _CSV),
    **dict.fromkeys((".h5", ".hdf5", ".mdb"), ("is a data base of images", _IMAGES)),
}
_LISTS = re.compile(r".+_r1\.txt")
"""Lists of the images of a class that is clear in them; those of MIRFLICKR are beside others."""
_TABLES = (".csv", ".tsv")
_TEXTS = (*_TABLES, ".json", ".jsonl", ".xml", ".yaml", ".txt")


def refuse_known(source: Path) -> None:
    """Say of what data set a place is where a name, or a file itself, tells that none reads it.

    Raises:
        DataError: It is known.
    """
    if is_file(source):
        _refuse(source, _NAMES.get(source.name) or _kind(source))
    for folder, name in chain.from_iterable(other_files(source)):
        _refuse(Path(folder, name), _NAMES.get(name))


def refuse_unseen(source: Path, names: str, below: Mapping[str, str]) -> NoReturn:
    """Say of what format a place is that no reader of some names sees, or what is not clear.

    `below` are folders in it that have folders of classes, and which.

    Raises:
        DataError: Always: it is known, a table or the only file that could have annotations cannot
            be read, or it is not clear.
    """
    levels = (sorted(islice(level, _FILES)) for level in other_files(source))
    found = [source] if is_file(source) else starmap(Path, chain.from_iterable(levels))
    places = [place for place in found if is_file(place)]  # a pipe would be waited for
    for place in places:
        _refuse(place, _kind(place, _ROWS))
    texts = [place for place in places if place.suffix.lower() in _TEXTS]
    if len(texts) == 1:  # shows an error of encoding, and a quotation mark that stays open
        is_table = texts[0].suffix.lower() in _TABLES
        deque((csv_rows if is_table else raw_lines)(texts[0]), maxlen=0)
    tables = [Table.open(place) for place in texts if place.suffix.lower() in _TABLES]
    lines = [
        f"\n  {table.path.name} has the columns {some(table.header):.300}" for table in tables[:3]
    ]
    told = "Tell the columns: --image-column NAME --label-column NAME. " if lines else _ELSE
    if below and not lines:
        lines = [f"\n  {name} looks like image-folder ({seen})" for name, seen in below.items()]
        first = shlex.quote(str(source / next(iter(below))))
        told = f"Convert each that is wanted: mlc dataset-convert {first} DEST --split train. "
    raise DataError(
        f"{source}: the format is not clear from what is there{''.join(lines)}",
        f"{told}Name it, one of {names}.",
    )


def _refuse(place: Path, kind: tuple[str, str] | None) -> None:
    if kind is not None:
        raise DataError(f"{place}: {kind[0]}, which is not read", kind[1])


def _kind(place: Path, *more: tuple[bytes, str, str]) -> tuple[str, str] | None:
    """What a file is, and what to do."""
    try:
        with place.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return None
    for pattern, kind, repair in (*_OPENINGS, *more):
        if re.search(pattern, head, re.DOTALL):
            return kind, repair
    if _LISTS.fullmatch(place.name) and head.replace(b"\r", b"").replace(b"\n", b"").isdigit():
        return "lists numbers of images of one class, as MIRFLICKR", _CSV
    return _SUFFIXES.get(place.suffix.lower())
