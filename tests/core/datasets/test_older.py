"""Classes that came after an older annotation file."""

import json
from pathlib import Path
from typing import Any

from mlc_cli.core.datasets.annotations import Annotation, read_annotation
from mlc_cli.core.datasets.older import later_unknown


def written(path: Path, classes: list[str], images: list[Any], **more: Any) -> Annotation:
    path.write_text(json.dumps({"classes": classes, "images": images, **more}))
    return read_annotation(path)


def test_classes_that_came_later_are_unknown_where_nobody_looked_for_them(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    older = written(
        tmp_path / "old" / "then.json", ["cat", "dog"], [["1.jpg", ["cat"]], ["2.jpg", []]],
        image_root="..",
    )  # fmt: skip
    images = [["1.jpg", ["hound"]], ["2.jpg", ["bird"]], ["3.jpg", ["cat"], ["hound"]]]
    now = written(tmp_path / "now.json", ["bird", "cat", "hound"], images)
    renamed = later_unknown(now, older, {"dog": "hound"})
    assert renamed.targets_NC(range(3)).tolist() == [[-1, 0, 1], [1, 0, 0], [0, 1, -1]]
    plain = later_unknown(now, older, {})
    assert plain.targets_NC(range(3)).tolist() == [[-1, 0, 1], [1, 0, -1], [0, 1, -1]]


def test_what_is_unknown_unless_said_stays_so(tmp_path: Path) -> None:
    older = written(tmp_path / "then.json", ["cat"], [["1.jpg", []]])
    now = written(
        tmp_path / "now.json", ["bird", "cat"], [["1.jpg", ["cat"], ["bird"]]], unlisted="unknown"
    )
    assert later_unknown(now, older, {}).targets_NC([0]).tolist() == [[0, 1]]
