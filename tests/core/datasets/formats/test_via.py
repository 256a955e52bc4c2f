"""VIA 2: projects and exported annotations."""

import json
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.via import VIA_READER
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

IMAGES = {
    "a.jpg12": {
        "filename": "a.jpg",
        "size": 12,
        "regions": [
            {"shape_attributes": {"name": "rect"}, "region_attributes": {"kind": "cat"}},
            {"shape_attributes": {}, "region_attributes": {"parts": {"ear": True, "tail": False}}},
        ],
        "file_attributes": {"scene": " indoor ", "note": ""},
    },
    "b.jpg9": {"filename": "b.jpg", "size": 9, "regions": {}, "file_attributes": {"age": 3}},
}


@pytest.mark.parametrize("project", [True, False])
def test_attributes_of_images_and_regions_are_labels(tmp_path: Path, project: bool) -> None:
    content = {"_via_settings": {}, "_via_img_metadata": IMAGES, "_via_attributes": {}}
    (tmp_path / "via.json").write_text(json.dumps(content if project else IMAGES))
    assert VIA_READER.detect(tmp_path) == "filename and regions in via.json"
    dropped = IssueLog()
    source = VIA_READER.read(tmp_path, None, dropped)
    first, second = source.samples
    assert (first.path, sorted(first.labels)) == ("a.jpg", ["cat", "ear", "indoor"])
    assert (second.path, second.labels) == ("b.jpg", [])
    assert source.classes == ["indoor", "cat", "ear", "tail"]
    assert dropped.counts == {"values that are no label": 1}


def test_the_folder_of_a_file_is_its_split(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.jpg").touch()
        content = {"a.jpg12": IMAGES["a.jpg12"]}
        (tmp_path / split / "via_region_data.json").write_text(json.dumps(content))
    found = [(s.path, s.split) for s in VIA_READER.read(tmp_path, None, IssueLog()).samples]
    assert found == [("train/a.jpg", "train"), ("val/a.jpg", "val")]


def test_other_shapes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "via.json"
    path.write_text(json.dumps({"a": {"filename": 7, "regions": []}}))
    with pytest.raises(DataError, match=r"via\.json"):
        VIA_READER.read(path, None, IssueLog())
    path.unlink()
    with pytest.raises(DataError, match="no file has filename and regions"):
        VIA_READER.read(tmp_path, None, IssueLog())
