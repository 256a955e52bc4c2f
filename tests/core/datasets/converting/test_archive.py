"""What is in a zip file, and what no zip file may do."""

import shutil
import stat
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from mlc_cli.core.datasets.converting.archive import unpacked
from mlc_cli.errors import DataError


def make(path: Path, *entries: tuple[str | ZipInfo, bytes]) -> Path:
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def moded(name: str, mode: int) -> ZipInfo:
    entry = ZipInfo(name)
    entry.create_system, entry.external_attr = 3, mode << 16
    return entry


def names_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_the_only_folder_is_the_data_set_and_nothing_stays(tmp_path: Path) -> None:
    source = make(
        tmp_path / "a.zip", ("d/x/1.jpg", b"1"), ("d/2.csv", b"2"), ("__MACOSX/d/._2.csv", b""),
        ("d/.DS_Store", b""), (moded("d/e/", stat.S_IFDIR | 0o755), b""),
        (moded("d\\w.txt", stat.S_IFREG | 0o644), b"w"),
    )  # fmt: skip
    with unpacked(source, tmp_path / "new" / "out", 1) as place:
        assert place.parents[2] == tmp_path  # `new` is not there, and is not made
        assert names_below(place) == ["2.csv", "w.txt", "x", "x/1.jpg"]
        assert (place / "x/1.jpg").read_bytes() == b"1"
    assert names_below(tmp_path) == ["a.zip"]


def test_an_only_file_is_the_source_and_other_files_are_left_alone(tmp_path: Path) -> None:
    with unpacked(make(tmp_path / "A.ZIP", ("a/b/t.csv", b"x")), tmp_path / "o", 1) as place:
        assert place.read_bytes() == b"x"
    for name in ("t.csv", "folder.zip", "missing.zip"):
        other = tmp_path / name
        if name.startswith("folder"):
            other.mkdir()
        with unpacked(other, tmp_path / "o", 1) as place:
            assert place == other


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (("../x", b""), "leads out"),
        (("a/../../x", b""), "leads out"),
        (("a\\..\\x", b""), "leads out"),
        (("/x", b""), "leads out"),
        (("C:/x", b""), "leads out"),
        ((moded("x", stat.S_IFLNK | 0o777), b"/etc/passwd"), "is a link"),
        ((moded("x", stat.S_IFIFO | 0o644), b""), "is a link or a device"),
        (("x", b"0" * 2_000_000), r"0\.002 GB unpacked"),
    ],
)
def test_what_could_do_harm_is_refused_before_anything_is_written(
    tmp_path: Path, entry: tuple[str | ZipInfo, bytes], fault: str
) -> None:
    (tmp_path / "in").mkdir()
    source = make(tmp_path / "in/a.zip", ("ok.jpg", b"1"), entry)
    with pytest.raises(DataError, match=fault), unpacked(source, tmp_path / "out", 0.001):
        pytest.fail("was unpacked")
    assert names_below(tmp_path) == ["in", "in/a.zip"]


def test_tar_files_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.jpg").write_bytes(b"1")
    for kind in ("tar", "gztar"):
        source = Path(shutil.make_archive(str(tmp_path / "a"), kind, tmp_path, "d"))
        with unpacked(source, tmp_path / "out", 1) as place:
            assert place.read_bytes() == b"1"
    (tmp_path / "link").symlink_to("/etc/passwd")
    source = Path(shutil.make_archive(str(tmp_path / "b"), "tar", tmp_path, "link"))
    with pytest.raises(DataError, match="is a link"), unpacked(source, tmp_path / "out", 1):
        pytest.fail("was unpacked")


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    source = make(tmp_path / "a.zip", ("1.jpg", bytes(range(256)) * 9), ("2.jpg", b"2"))
    content = bytearray(source.read_bytes())
    content[60] ^= 255 * (damage == "flipped")
    contents = {"cut": content[:-30], "flipped": content, "text": b"hello"}
    if damage == "empty":
        make(source)
    else:
        source.write_bytes(contents[damage])
    with (
        pytest.raises(DataError, match=r"cannot be unpacked|there is no file"),
        unpacked(source, tmp_path / "out", 1),
    ):
        pytest.fail("was unpacked")
    assert names_below(tmp_path) == ["a.zip"]


def zipped(*entries: tuple[str, bytes]) -> bytes:
    stream = BytesIO()
    with ZipFile(stream, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return stream.getvalue()


def test_zip_files_in_zip_files_and_beside_annotations_are_unpacked(tmp_path: Path) -> None:
    images = zipped(("x/1.jpg", b"1"))
    whole = zipped(("images.zip", images), ("a.json", b"{}"))
    found = ["a.json", "images", "images/x", "images/x/1.jpg"]
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "images.zip").write_bytes(images)
    (folder / "a.json").write_bytes(b"{}")
    for source in (make(tmp_path / "a.zip", ("d/whole.zip", whole)), folder):
        with unpacked(source, tmp_path / "out", 1) as place:
            assert names_below(place) == found
    assert names_below(folder) == ["a.json", "images.zip"]
    with unpacked(folder, tmp_path / "out", 1, inner=False) as place:
        assert place == folder
    (folder / "deep").mkdir()
    (folder / "deep" / "2.jpg").touch()  # what is unpacked already
    with unpacked(folder, tmp_path / "out", 1) as place:
        assert place == folder


@pytest.mark.parametrize("entry", [("../x.jpg", b"x"), ("x.jpg", b"x" * 2000)])
def test_the_limits_hold_for_zip_files_in_zip_files(tmp_path: Path, entry) -> None:
    source = make(tmp_path / "a.zip", ("b.zip", zipped(entry)), ("c", b""))
    with pytest.raises(DataError) as caught, unpacked(source, tmp_path / "o", 3e-6):
        pass
    assert str(source / "b.zip") in caught.value.message
    assert names_below(tmp_path) == ["a.zip"]
