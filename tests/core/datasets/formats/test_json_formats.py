"""Formats that are JSON files: none is taken for another."""

import json

import pytest

from mlc_cli.core.datasets.formats.coco import coco_reader
from mlc_cli.core.datasets.formats.datumaro import DATUMARO_READER
from mlc_cli.core.datasets.formats.fiftyone import fiftyone_reader
from mlc_cli.core.datasets.formats.label_studio import LABEL_STUDIO_READER
from mlc_cli.core.datasets.formats.mlc import MLC_READER
from mlc_cli.core.datasets.formats.mmpretrain import MMPRETRAIN_READER
from mlc_cli.core.datasets.formats.vg500 import vg500_reader

READERS = (
    MLC_READER, coco_reader(), DATUMARO_READER, LABEL_STUDIO_READER, fiftyone_reader(),
    MMPRETRAIN_READER, vg500_reader(),
)  # fmt: skip
NAMES = [f"class {number}" for number in range(20_000)]
SAMPLES = {
    "mlc": ("train.json", {"classes": NAMES, "images": [["a.jpg", ["class 1"]]]}),
    "coco": (
        "annotations/instances_val2017.json",
        {
            "info": {},
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "annotations": [{"image_id": 1, "category_id": 1, "attributes": {"labels": []}}],
            "categories": [{"id": 1, "name": "cat", "supercategory": "labels"}],
        },
    ),
    "datumaro": (
        "annotations/train.json",
        {
            "dm_format_version": "1.0",
            "categories": {"label": {"labels": [{"name": name} for name in NAMES]}},
            "items": [{"id": "a", "annotations": [], "image": {"path": "a.jpg"}}],
        },
    ),
    "label-studio": (
        "project-1.json",
        [{"id": 1, "annotations": [{"result": []}], "data": {"image": "a.jpg"}}],
    ),
    "fiftyone": ("labels.json", {"classes": NAMES, "labels": {"a": [1]}}),
    "mmpretrain": (
        "train.json",
        {"metainfo": {"classes": NAMES}, "data_list": [{"img_path": "a.jpg", "gt_label": [0]}]},
    ),
    "vg500": ("vg_category_500_labels_index.json", {"1.jpg": [0, 1]}),
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
@pytest.mark.parametrize("format_name", SAMPLES)
def test_a_format_is_seen_by_its_reader_alone(put, tmp_path, format_name, whole, indent) -> None:
    name, content = SAMPLES[format_name]
    file = put(f"data/{name}", json.dumps(content, indent=indent))
    place = tmp_path / "data" if whole else file
    assert [reader.name for reader in READERS if reader.detect(place)] == [format_name]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[]", b"{}", b"null", b'{"a": "\xff'])
@pytest.mark.parametrize("name", ["data.json", "labels.json", "data.csv", "data"])
def test_what_is_of_no_format_is_seen_by_none(put, tmp_path, name, content) -> None:
    file = put(f"data/{name}", content)
    for place in (file, file.parent, tmp_path / "nothing", tmp_path / "a\0b"):
        assert not [reader.name for reader in READERS if reader.detect(place)]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_people_can_call_it_by_name(reader) -> None:
    assert reader.name
    assert reader.title
