"""LabelMe: one file an image, as the program writes it."""

import json
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.labelme import LABELME_READER
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError


def put(path: Path, **content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"version": "5.4.1", "flags": {}, "shapes": [], "imagePath": f"{path.stem}.jpg",
             "imageData": None, "imageHeight": 8, "imageWidth": 8}  # fmt: skip
    path.write_text(json.dumps(whole | content))


def shape(label: str) -> dict[str, object]:
    return {"label": label, "points": [[0, 0], [3, 3]], "shape_type": "rectangle", "flags": {}}


def test_flags_and_shapes_are_labels_and_false_flags_are_classes(tmp_path: Path) -> None:
    put(tmp_path / "a.json", flags={"day": True, "night": False}, shapes=[shape("cat")] * 2)
    put(tmp_path / "b.json", imagePath="..\\pictures\\b.jpg")
    assert LABELME_READER.detect(tmp_path) == "shapes and imagePath in a.json and 1 more"
    source = LABELME_READER.read(tmp_path, None, IssueLog())
    first, second = source.samples
    assert (first.path, set(first.labels), first.split) == ("a.jpg", {"day", "cat"}, "")
    assert (second.path, second.labels) == ("../pictures/b.jpg", [])
    assert source.classes == ["day", "night", "cat"]
    assert source.unlisted == "absent"


def test_folders_are_splits_where_their_names_say_so(tmp_path: Path) -> None:
    for folder in ("train", "val", "day"):
        put(tmp_path / folder / "test_1.json")
    splits = {s.path: s.split for s in LABELME_READER.read(tmp_path, None, IssueLog()).samples}
    assert splits == {
        "train/test_1.jpg": "train", "val/test_1.jpg": "val", "day/test_1.jpg": ""}  # fmt: skip


def test_what_names_no_image_is_counted_and_other_shapes_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.json", imagePath=None)
    dropped = IssueLog()
    assert list(LABELME_READER.read(tmp_path / "a.json", None, dropped).samples) == []
    assert dropped.counts == {"files without imagePath": 1}
    put(tmp_path / "a.json", shapes={"label": "cat"})
    with pytest.raises(DataError, match=r"a\.json: Expected `array`"):
        LABELME_READER.read(tmp_path / "a.json", None, IssueLog())
    (tmp_path / "a.json").unlink()
    with pytest.raises(DataError, match="no file has shapes and imagePath"):
        LABELME_READER.read(tmp_path, None, IssueLog())
