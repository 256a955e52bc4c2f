"""Sources and destinations that are broken, absurd or malicious: a message, and nothing written."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.datasets.formats.build import readers, writers
from mlc_cli.settings.convert import ConvertSettings

FORMATS = [reader.name for reader in readers(ConvertSettings(format="auto", source="a", dest="b"))]
NAMES = [
    "x.json", "x.csv", "x.xml", "x.txt", "annotations.xml", "list_attr_celeba.txt", "data.yaml",
    "labels.json", "vg_category_500_labels_index.json", "train-human-imagelabels.csv",
]  # fmt: skip
FORMS_OF = {
    ".json": ("mlc", "coco", "datumaro", "label-studio", "fiftyone", "mmpretrain", "vg500"),
    ".csv": ("csv-onehot", "csv-list", "open-images", "label-studio", "nus-wide"),
    ".xml": ("cvat", "voc"),
    ".txt": ("imagenet-txt", "celeba", "voc"),
    ".yaml": ("yolo",),
}
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    b"<annotations>&b;</annotations>"
)
ALIASES = b"a: &a [x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nnames: *c\ntrain: x\n"
CONTENTS = {
    "empty": b"",
    "only a mark": b"\xef\xbb\xbf",
    "zeros": b"\0" * 1000,
    "UTF-16": "\ufeffimage,label\na.jpg,cat\n".encode("utf-16"),
    "a line of a million": b"x" * 1_000_000,
    "cut": b'{"images": [{"id": 1, "file_name": "a.j',
    "nested": b"[" * 100_000,
    "a number of 10000 digits": b"9" * 10_000,
    "an entity bomb": BOMB,
    "aliases": ALIASES,
    "a YAML object": b"!!python/object/apply:os.getcwd []\nnames: [a]\n",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make_source(here: Path) -> Callable[..., Path]:
    """Write a data set of four images, of which each has all classes."""

    def make(classes: Sequence[str] = ("cat", "dog"), more: Sequence[str] = ()) -> Path:
        source = here / "source"
        source.mkdir()
        names = [f"{number}.png" for number in range(4)]
        for name in names:
            assert cv2.imwrite(str(source / name), np.zeros((8, 8, 3), np.uint8))
        images = [[path, list(classes)] for path in [*names, *more]]
        content = {"classes": list(classes), "images": images}
        (source / "all.json").write_text(json.dumps(content))
        return Path("source")

    return make


def names_for(form: str) -> list[str]:
    """Files that a reader looks into; all for those that look at any."""
    fitting = [name for name in NAMES if form in FORMS_OF[Path(name).suffix]]
    return fitting or NAMES


def refuses(outcome, *words: str) -> None:
    """Assert that a command ended with a short message."""
    assert outcome.code in (1, 2), outcome
    assert outcome.out == ""
    assert outcome.err.startswith("Error: ")
    assert "Traceback" not in outcome.err
    assert len(outcome.err) < 4000
    for word in words:
        assert word in outcome.err
    assert not Path("out").exists()


@pytest.mark.parametrize("form", ["auto", *FORMATS])
@pytest.mark.parametrize("kind", CONTENTS)
def test_broken_files_are_refused(mlc, here: Path, form: str, kind: str) -> None:
    for number, name in enumerate(names_for(form)):
        place = here / str(number)
        place.mkdir()
        (place / name).write_bytes(CONTENTS[kind])
        for source in (place, place / name):
            refuses(mlc("dataset-convert", form, source, "out"), str(place))


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there are no devices")
@pytest.mark.parametrize("form", ["auto", *FORMATS])
@pytest.mark.parametrize("make", [Path.mkdir, _pipe, _loop, _device])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(
    mlc, here: Path, form: str, make: Callable[[Path], None]
) -> None:
    for number, name in enumerate(names_for(form)):
        place = here / str(number)
        place.mkdir()
        make(place / name)
        for source in (place, place / name):
            refuses(mlc("dataset-convert", form, source, "out"))


def test_folders_that_link_to_their_parents_end(mlc, make_source) -> None:
    source = make_source()
    (source / "deep").mkdir()
    (source / "deep" / "up").symlink_to("..")
    outcome = mlc("dataset-convert", "auto", source, "out", "--link", "copy")
    assert outcome.code == 0, outcome.err


ODD = ["line\nend", "nul\0", "\x1b[31mred", "\u202eturned", " blank ", "", "a,b|c;d", "ü" * 300]


@pytest.mark.parametrize("to", [writer.name for writer in writers()])
def test_odd_names_of_classes_come_back_or_are_refused(mlc, make_source, to: str) -> None:
    source = make_source(ODD)
    command = ("dataset-convert", "auto", source, "out", "--link", "copy", "--split", "train")
    outcome = mlc(*command, "--to", to)
    if outcome.code:
        refuses(outcome, f"{to} cannot hold")
        return
    assert "\x1b" not in outcome.out
    assert "\0" not in outcome.out
    back = mlc("dataset-convert", to, "out", "back", "--strict")
    assert back.code == 0, back.err
    own = read_annotation(Path("back/train.json"))
    assert own.classes == tuple(sorted(ODD))
    assert own.positives.sizes_N().tolist() == [len(ODD)] * 4


def test_ten_thousand_classes_fit_on_the_screen(mlc, make_source) -> None:
    source = make_source([f"class {number}" for number in range(10_000)])
    outcome = mlc("dataset-convert", "auto", source, "out", "--split", "train")
    assert outcome.code == 0, outcome.err
    assert "and 9970 more classes" in outcome.out
    assert len(outcome.out) < 4000
    assert len(read_annotation(Path("out/train.json")).classes) == 10_000


OUTSIDE = [
    "../all.json", "/etc/hostname", "sub/../../x.png", "x" * 300 + ".png", "~/x.png", "C:\\x.png",
    "http://host/x.png", "nul\0.png", "all.json/x.png",
]  # fmt: skip


@pytest.mark.parametrize("link", ["reference", "copy"])
def test_paths_that_lead_elsewhere_are_dropped_by_name(mlc, make_source, link: str) -> None:
    source = make_source(more=OUTSIDE)
    outcome = mlc("dataset-convert", "auto", source, "out", "--link", link, "--split", "train",
                  "--json")  # fmt: skip
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    assert sum(found["count"] for found in report["dropped"].values()) == len(OUTSIDE)
    assert report["splits"]["train"]["images"] == 4


def test_a_destination_that_is_the_source_or_in_it(mlc, make_source) -> None:
    source = make_source()
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    for dest in (source, source / "deep" / "er"):
        outcome = mlc("dataset-convert", "mlc", source / "all.json", dest, "--split", "0.5,0.5")
        assert outcome.code == 0, outcome.err
        own = read_annotation(dest / "val.json")
        assert all(own.path(image).is_file() for image in range(len(own)))
    assert {name: (source / name).read_bytes() for name in before} == before
    taken = mlc("dataset-convert", "mlc", source / "all.json", source, "--split", "all")
    assert taken.code == 1
    assert "has files of these names already:\n  all.json" in taken.err
    assert (source / "all.json").read_bytes() == before["all.json"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["auto", "x" * 300, "out"], "no such file"),
        (["auto", "source", "x" * 300], "cannot be made"),
        (["auto", "source", "out", "--images", "x" * 300], "no such folder"),
        (["auto", "source", "out", "--classes", "x" * 300], "not among"),
        (["auto", "source", "out", "--classes", "x" * 300 + ".txt"], "cannot be read"),
        (["auto", "source", "out", "--classes", "source"], "directory"),
        (["auto", "source", "out", "--classes", "pipe.txt"], "not a regular file"),
        (["auto", "source", "source/all.json"], "no folder"),
        (["auto", "source", "source/all.json/out"], "cannot be made"),
        (["auto", "source", "loop"], "no folder"),
        (["auto", "source", "pipe.txt"], "no folder"),
        (["auto", "loop", "out"], "no such file"),
        (["mlc", "pipe.txt", "out"], "no such file"),
        (["auto", "source", "out", "--images", "loop"], "no such folder"),
        (["auto", "source", "out", "--images", "source/all.json"], "no such folder"),
        (["auto", "", "out"], "source"),
        (["auto", "source", ""], "dest"),
        (["auto", "source", "out", "--split", "../x"], "split"),
        (["auto", "source", "out", "--split", "x" * 300], "cannot be written"),
        (["auto", "source", "out", "--set", "images.folder=../x"], "images.folder"),
    ],
)
def test_absurd_places_are_refused(
    mlc, here: Path, make_source, arguments: list[str], words: str
) -> None:
    make_source()
    (here / "loop").symlink_to("loop")
    os.mkfifo(here / "pipe.txt")
    before = sorted(map(str, here.rglob("*")))
    refuses(mlc("dataset-convert", *arguments), words)
    assert sorted(map(str, here.rglob("*"))) == before


def test_what_cannot_be_read_or_written_is_named(mlc, here: Path, make_source) -> None:
    source = make_source()
    (here / "text").write_text("no folder")
    (here / "loop").symlink_to("loop")
    for dest in ("text/out", "loop/out"):
        refuses(mlc("dataset-convert", "mlc", source, dest), f"{dest} cannot be made")
    (source / "all.json").unlink()
    (source / "all.json").symlink_to("gone")
    refuses(mlc("dataset-convert", "mlc", source / "all.json", "out"), "all.json: there is no such")
    (source / "all.json").unlink()
    (source / "all.json").mkdir()
    refuses(
        mlc("dataset-convert", "mlc", source / "all.json", "out"), "no file has classes and images"
    )
    assert not (here / "out").exists()
