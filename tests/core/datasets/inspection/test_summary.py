"""The inspection as JSON."""

import json

import pytest

from mlc_cli.core.datasets.inspection.summary import as_dict, span_words


def test_everything_is_there_and_plain(examine, photos, encode) -> None:
    same = encode(photos(80))
    content = as_dict(
        examine(
            {
                "train": [["a.jpg", ["cat"]], ["b.jpg", ["cat"]], ["lost.jpg", []]],
                "val": [["c.jpg", ["dog"]], ["d.jpg", ["cat"], ["dog"]]],
            },
            {
                "a.jpg": same,
                "c.jpg": same,
                "lost.jpg": None,
                "d.jpg": encode(photos(80), quality=60),
            },
        )
    )
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert (content["images"], content["classes"], content["imbalance"]) == (5, 2, 3.0)
    assert content["splits"]["val"]["labels_per_image"] == 1
    assert content["splits"]["val"]["unknown_labels"] == 1
    assert content["per_class"][0] == {
        "class": "cat", "positives": {"train": 2, "val": 1}, "unknown": {"train": 0, "val": 0},
    }  # fmt: skip
    assert content["files"]["formats"] == {"JPEG": 4}
    assert content["files"]["width"] == {"min": 128, "median": 128.0, "max": 128}
    assert content["unusable"] == [{"split": "train", "image": "lost.jpg", "reason": "is missing"}]
    assert content["copies"] == [
        {
            "images": [{"split": "train", "image": "a.jpg"}, {"split": "val", "image": "c.jpg"}],
            "contradict": True,
        }
    ]
    near = content["near_copies"][0]
    assert [image["image"] for image in near["images"]] == ["a.jpg", "d.jpg"]
    assert {finding["severity"] for finding in content["findings"]} == {"error", "warning", "note"}


def test_without_files_their_parts_are_left_out(examine) -> None:
    content = as_dict(examine({"train": [["a.jpg", []]]}, images=False))
    assert not {"files", "unusable", "copies", "near_copies"} & content.keys()
    assert content["imbalance"] is None


@pytest.mark.parametrize(
    ("span", "words"),
    [
        ({"min": 64, "median": 64.0, "max": 64}, "64"),
        ({"min": 64, "median": 640.0, "max": 1280}, "64 to 1,280, median 640"),
    ],
)
def test_spans_in_words(span: dict[str, float], words: str) -> None:
    assert span_words(span) == words
