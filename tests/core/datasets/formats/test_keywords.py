"""Tags in text files, and keywords of XMP."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.image_folder import IMAGE_FOLDER_READER
from mlc_cli.core.datasets.formats.keywords import TAG_FILE_READER, XMP_READER
from mlc_cli.errors import DataError

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:RDF><rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:lr="http://ns.adobe.com/lightroom/1.0/">{}</rdf:Description></rdf:RDF></x:xmpmeta>'
)


def xmp(flat: Sequence[str] = (), paths: Sequence[str] = ()) -> str:
    bags = []
    for tag, items in (("dc:subject", flat), ("lr:hierarchicalSubject", paths)):
        listed = "".join(f"<rdf:li>{item}</rdf:li>" for item in items)
        bags.append(f"<{tag}><rdf:Bag>{listed}</rdf:Bag></{tag}>" if items else "")
    return XMP.format("".join(bags))


def jpeg(packet: str) -> bytes:
    body = b"http://ns.adobe.com/xap/1.0/\0" + packet.encode()
    return b"\xff\xd8\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + b"\xff\xd9"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_tags_are_separated_by_commas_and_lines(
    put, read_all, tmp_path: Path, mark: bytes, end: str
) -> None:
    put("train/10_x/1.png"), put("train/10_x/2.JPG"), put("val/3.jpg"), put("val/4.jpg")
    put("train/10_x/1.txt", mark + f"1girl, long_hair ,saber \\(fate\\),{end}solo{end}".encode())
    put("train/10_x/2.txt", b"solo"), put("val/3.txt", b"")
    last = {"1girl", "long_hair", "saber (fate)", "solo"}
    reading = read_all(TAG_FILE_READER, tmp_path)
    assert reading.states == {
        ("train", "train/10_x/1.png"): (last, set()),
        ("train", "train/10_x/2.JPG"): ({"solo"}, set()),
        ("val", "val/3.jpg"): (set(), set()),
        ("val", "val/4.jpg"): (set(), last),
    }
    assert TAG_FILE_READER.detect(tmp_path) == "tags in 1.txt"
    assert IMAGE_FOLDER_READER.detect(tmp_path / "train") is None
    assert list(reading.dropped.counts.values()) == [1]


@pytest.mark.parametrize("text", ["0 .1 .2 .3 .4\n", "a photo of a dog on a beach\n", ""])
def test_boxes_captions_and_nothing_are_no_tags(put, tmp_path: Path, text: str) -> None:
    put("1.jpg"), put("1.txt", text), put("notes.txt", "a, b")
    assert TAG_FILE_READER.detect(tmp_path) is None


def test_keywords_are_beside_or_inside(put, read_all, tmp_path: Path) -> None:
    put("2024/a.jpg", jpeg(xmp(["dog", "sea"], ["animals|dog"])))
    put("2024/b.nef.jpg"), put("2024/b.nef.xmp", xmp(["dog"]))
    put("2025/c.jpg"), put("2025/c.jpg.xmp", xmp([], ["animals|cat"])), put("2025/d.jpg")
    reading = read_all(XMP_READER, tmp_path)
    everything = {"animals", "cat", "dog", "sea"}
    assert reading.states == {
        ("", "2024/a.jpg"): ({"dog", "sea"}, set()),
        ("", "2024/b.nef.jpg"): ({"dog"}, set()),
        ("", "2025/c.jpg"): ({"animals", "cat"}, set()),
        ("", "2025/d.jpg"): (set(), everything),
    }
    assert XMP_READER.detect(tmp_path) == "keywords of a.jpg"
    assert IMAGE_FOLDER_READER.detect(tmp_path) is None


@pytest.mark.parametrize("bomb", ['<!DOCTYPE x [<!ENTITY a "b">]>', "<x"])
def test_damaged_xmp_is_counted(put, read_all, tmp_path: Path, bomb: str) -> None:
    put("a.jpg"), put("a.xmp", xmp(["dog"])), put("b.jpg")
    put("b.xmp", f"<x:xmpmeta>{bomb}</x:xmpmeta>")
    reading = read_all(XMP_READER, tmp_path)
    assert reading.labels == {"a.jpg": {"dog"}, "b.jpg": set()}
    assert reading.dropped.counts["XMP that cannot be read"] == 1


@pytest.mark.parametrize("reader", [TAG_FILE_READER, XMP_READER])
def test_a_folder_without_any_is_refused(put, read_all, tmp_path: Path, reader) -> None:
    put("a.jpg")
    with pytest.raises(DataError, match=r"images without .*: all 1"):
        read_all(reader, tmp_path)
    assert reader.detect(tmp_path) is None
