"""The page: complete, well-formed, safe, bounded, and usable whatever the data."""

import base64
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest

from mlc_cli.core.datasets.inspection.html import page as pages
from mlc_cli.core.datasets.inspection.html.page import choose_and_read, write_page
from mlc_cli.core.datasets.inspection.inspect import Inspection
from tests.core.pages import Page


def page_of(inspection: Inspection) -> Page:
    with TemporaryDirectory() as folder:
        write_page(Path(folder) / "page.html", inspection, 2)
        return Page((Path(folder) / "page.html").read_text(encoding="utf-8"))


@pytest.fixture
def messy(examine, photos, encode) -> Inspection:
    """A data set with something of everything."""
    same, pixels = encode(photos(90)), photos(91, 200, 300)
    rng = np.random.default_rng(0)
    train = [[f"t{n}.jpg", [c for c in ("cat", "cow", "dog") if rng.random() < 0.5]]
             for n in range(30)]  # fmt: skip
    return examine(
        {
            "train": [*train, ["a.jpg", ["cat"]], ["b.jpg", ["dog"]], ["near.jpg", ["cat"]]],
            "val": [["v.jpg", ["cat"], ["cow"]], ["c.png", ["cat"]], ["lost.jpg", []]],
        },
        {
            "a.jpg": same,
            "b.jpg": same,
            "near.jpg": encode(pixels),
            "c.png": encode(cv2.resize(pixels, (150, 100)), ".png"),
            "lost.jpg": None,
        },
        classes=["cat", "cow", "dog"],
    )


def test_everything_is_there_in_order_of_importance(messy: Inspection) -> None:
    page = page_of(messy)
    assert page.headings() == [
        "findings", "splits", "classes", "together", "files", "repeated", "examples",
    ]  # fmt: skip
    for finding in messy.findings:
        assert finding.message in page.text
        assert finding.repair.replace("`", "") in page.text
    for words in ("labels contradict", "of 64 bits differ", "lost.jpg", "35 of 36", "unknown"):
        assert words in page.text


HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "日本語",
    "\u202egnp.exe",
    "",
    "x" * 500,
    "${a} $title {b} {{ 7 * 7 }} {% raw %} %s \\",
    "javascript:alert(1)",
]


def test_names_of_others_are_only_text(examine) -> None:
    entries = [[f"{n}.jpg", HOSTILE[n % 3 :]] for n in range(8)]
    entries.append(["<b>&quot;.jpg", HOSTILE])
    page = page_of(examine({"train": entries, "val": [["<i>.jpg", []]]}, {"<i>.jpg": None},
                        classes=HOSTILE))  # fmt: skip
    assert {tag for tag, _ in page.tags}.isdisjoint({"b>", "i"})
    assert len(page.all("script")) == 1
    assert "<script>alert(1)</script>" in page.text
    assert "train: <b>&quot;.jpg" in page.text


def test_examples_are_of_their_class_and_readable(messy: Inspection) -> None:
    shown = choose_and_read(messy, 1)
    assert set(shown.examples) == {0, 1, 2}
    used = [row for rows in shown.examples.values() for row in rows]
    assert len(used) == len(set(used))  # there are enough for each class to have its own
    for c, rows in shown.examples.items():
        assert 0 < len(rows) <= pages.EXAMPLES
        for row in rows:
            assert messy.statistics.classes[c] in messy.collection.labels(row).present
            assert shown.pictures[row].uri


def test_the_page_stays_small_whatever_the_number_of_classes(examine, monkeypatch) -> None:
    monkeypatch.setattr(pages, "MOST_EXAMPLES", 12)
    classes = [f"class {n}" for n in range(20)]
    entries = [[f"{n}.jpg", [classes[n % 20], classes[n * 7 % 20]]] for n in range(60)]
    inspection = examine({"train": entries}, classes=classes)
    shown = choose_and_read(inspection, 2)
    assert len(shown.pictures) <= 12
    assert "8 classes are left out" in page_of(inspection).text


def test_thumbnails_are_small(examine, photos, encode) -> None:
    content = encode(photos(92, 1200, 1600), quality=98)
    inspection = examine({"train": [["a.jpg", ["cat"]]]}, {"a.jpg": content})
    (picture,) = choose_and_read(inspection, 1).pictures.values()
    data = base64.b64decode(picture.uri.partition(",")[2])
    assert len(data) < 20_000
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (120, 160, 3)
    expected = cv2.resize(photos(92, 1200, 1600), (160, 120), interpolation=cv2.INTER_AREA)
    assert np.abs(pixels.astype(int) - expected).mean() < 8


@pytest.mark.parametrize("images", [True, False])
def test_sparse_data_sets_have_a_page(examine, images: bool) -> None:
    page = page_of(examine({"train": [["a.jpg", []]]}, classes=["cat"], images=images))
    assert page.headings() == ["findings", "splits", "classes", *(["files"] if images else [])]
    assert not page.all("img")


def test_a_data_set_that_cannot_be_read_has_a_page(examine) -> None:
    page = page_of(examine({"train": [["a.jpg", ["cow"]]]}))
    assert page.headings() == ["findings"]
    assert "'cow'" in page.text


def test_without_findings_it_says_so(examine) -> None:
    entries = [[f"{n}.jpg", [["cat"], ["dog"]][n % 2]] for n in range(60)]
    page = page_of(examine({"train": entries[:44], "val": entries[44:]}))
    assert "There are none." in page.text


def test_the_page_is_written_to_its_file(messy: Inspection, tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", messy, 1)
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert len(html) < 400_000
