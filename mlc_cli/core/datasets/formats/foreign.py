"""Formats that no reader takes, told by name with what to export instead."""

import re
from collections import deque
from itertools import islice
from pathlib import Path

from mlc_cli.core.datasets.formats.shared.images import is_image
from mlc_cli.core.datasets.formats.shared.lines import csv_rows, is_file, other_files, raw_lines
from mlc_cli.core.datasets.formats.shared.tables import Table
from mlc_cli.errors import DataError

_HEAD, _FILES = 1 << 16, 200
_COCO = "Export it as COCO or as CSV."
_CSV = "Save it as CSV in UTF-8, with a line for each image: image,labels."
_IMAGES = "Save the images as files, and their labels as CSV: image,labels."
_STATES = "Write it as CSV with a column for each class: 1 present, 0 absent, blank unknown."
_BANDS = "Save the bands that are wanted as one image each, and the labels as CSV: image,labels."
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
    (rb"\AMATLAB \d|\A\x89HDF\r\n", "is a file of MATLAB or HDF5", _CSV),
)
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
_TEXTS = (".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".txt")


def refuse_foreign(source: Path) -> None:
    """Say of what format a place is, where that is known and no reader takes it.

    Raises:
        DataError: It is known, or the only file that could have annotations cannot be read.
    """
    places = [source]
    if source.is_dir():
        deeper = (Path(folder, name) for level in other_files(source) for folder, name in level)
        top = (path for path in source.glob("*") if is_file(path) and not is_image(path.name))
        places = sorted([*islice(top, _FILES), *islice(deeper, _FILES)])
    for place in places:
        if kind := _kind(place):
            raise DataError(f"{place}: {kind[0]}, which is not read", kind[1])
    texts = [place for place in places if place.suffix.lower() in _TEXTS]
    if len(texts) == 1:  # shows an error of encoding, a quotation mark that stays open, no header
        is_table = texts[0].suffix.lower() in (".csv", ".tsv")
        deque((csv_rows if is_table else raw_lines)(texts[0]), maxlen=0)
        if is_table:
            Table.open(texts[0])


def _kind(place: Path) -> tuple[str, str] | None:
    """What a file is, and what to do."""
    try:
        with place.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return None
    for pattern, kind, repair in _OPENINGS:
        if re.search(pattern, head, re.DOTALL):
            return kind, repair
    if _LISTS.fullmatch(place.name) and head.replace(b"\r", b"").replace(b"\n", b"").isdigit():
        return "lists numbers of images of one class, as MIRFLICKR", _CSV
    return _SUFFIXES.get(place.suffix.lower())
