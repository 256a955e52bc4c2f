"""ImageNet lists."""

from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.imagenet_txt import IMAGENET_TXT_READER
from mlc_cli.errors import DataError

SYNSETS = "cat\ntraffic light\ndog\nfox\n"
TRAIN = 'a.jpg 0 3\nb.jpg\n"two words".jpg 1\n"with suffix.jpg" 2\n'


def test_lists_of_numbers(put, read_all, tmp_path: Path) -> None:
    put("synsets.txt", SYNSETS), put("train.txt", TRAIN), put("val.txt", "\ufeffsub/c.png 1 1\r\n")
    put("images/a.jpg")
    reading = read_all(IMAGENET_TXT_READER, tmp_path)
    assert reading.states == {
        ("train", "a.jpg"): ({"cat", "fox"}, set()),
        ("train", "b.jpg"): (set(), set()),
        ("train", "two words.jpg"): ({"traffic light"}, set()),
        ("train", "with suffix.jpg"): ({"dog"}, set()),
        ("val", "sub/c.png"): ({"traffic light"}, set()),
    }
    assert reading.source.classes == ["cat", "traffic light", "dog", "fox"]
    assert reading.source.image_root == tmp_path / "images"
    assert not reading.dropped.counts
    assert IMAGENET_TXT_READER.detect(tmp_path) == "synsets.txt and train.txt"
    assert set(read_all(IMAGENET_TXT_READER, tmp_path / "val.txt").states) == {("val", "sub/c.png")}


def test_names_without_suffix_are_looked_up(put, read_all, tmp_path: Path) -> None:
    put("synsets.txt", SYNSETS), put("images/x/1.bmp"), put("images/y/1.bmp")
    put("train.txt", "x/1 0\n1 1\n2 2\n")
    reading = read_all(IMAGENET_TXT_READER, tmp_path)
    assert reading.labels == {"x/1.bmp": {"cat"}, "2": {"dog"}}
    assert sum(reading.dropped.counts.values()) == 1


def test_lines_that_say_nothing_are_counted(put, read_all, tmp_path: Path) -> None:
    put("synsets.txt", SYNSETS)
    numbers = " ".join(["1"] * 500_000)
    put(
        "train.txt",
        f'a.jpg 0 4\nb.jpg x\n"c.jpg 1\nd "e".jpg 1\n"" 1\nf.jpg {"9" * 5000}\ng.jpg {numbers}\n',
    )
    reading = read_all(IMAGENET_TXT_READER, tmp_path)
    assert reading.labels == {"a.jpg": {"cat"}, "g.jpg": {"traffic light"}}
    assert reading.dropped.counts == {
        "labels that are not the number of a class": 1,
        "lines that are not a name and numbers of classes": 5,
    }


def test_folders_without_lists_are_refused(put, read_all, tmp_path: Path) -> None:
    assert IMAGENET_TXT_READER.detect(tmp_path) is None
    with pytest.raises(DataError, match="no list of images beside"):
        read_all(IMAGENET_TXT_READER, tmp_path)
    put("synsets.txt", SYNSETS)
    with pytest.raises(DataError, match="no list of images"):
        read_all(IMAGENET_TXT_READER, tmp_path)


@pytest.mark.parametrize("name", ["synsets.txt", "train.txt"])
def test_any_damage_ends_in_a_message(put, tmp_path: Path, name: str, damaged_outcomes) -> None:
    put("synsets.txt", SYNSETS), put("train.txt", TRAIN)
    assert damaged_outcomes(IMAGENET_TXT_READER, tmp_path, tmp_path / name) == {"read", "refused"}
