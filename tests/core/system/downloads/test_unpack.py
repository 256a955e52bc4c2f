import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from mlc_cli.core.system.downloads.unpack import unpack
from mlc_cli.errors import DataError, Interrupted

FILES = {"top.txt": b"1", "in/a.jpg": os.urandom(5000), "in/deep/b.jpg": b"", "in/c.txt": b"c"}


def make(path: Path, files: Mapping[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.mkdir("in")
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def run(
    archive: Path, dest: Path, take=("*",), into: str | None = None, name: str = "x"
) -> dict[str, int]:
    return unpack(archive, name, dest, into, take, lambda *_: None, threading.Event())


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


KINDS = pytest.mark.parametrize("kind", ["a.zip", "a.tar", "a.tar.gz"])


@KINDS
def test_all_files_are_there_and_told(tmp_path: Path, kind: str) -> None:
    told = run(make(tmp_path / kind, FILES), tmp_path / "out")
    assert content(tmp_path / "out") == FILES
    assert told == {name: len(data) for name, data in FILES.items()}


@KINDS
def test_patterns_take_a_part(tmp_path: Path, kind: str) -> None:
    told = run(make(tmp_path / kind, FILES), tmp_path / "out", ["in/*.jpg"])
    assert content(tmp_path / "out").keys() == told.keys() == {"in/a.jpg", "in/deep/b.jpg"}
    with pytest.raises(DataError, match=r"has none of \*\.png"):
        run(tmp_path / kind, tmp_path / "out", ["*.png"])


def test_a_file_that_is_no_archive_is_put_there(tmp_path: Path) -> None:
    (tmp_path / "0123-list.txt").write_bytes(b"a\nb\n")
    assert run(tmp_path / "0123-list.txt", tmp_path / "out", name="list.txt") == {"list.txt": 4}
    assert content(tmp_path / "out") == {"list.txt": b"a\nb\n"}


@pytest.mark.parametrize("prefix", ["", "lists/"])
def test_a_folder_is_not_nested_in_itself(tmp_path: Path, prefix: str) -> None:
    make(tmp_path / "a.zip", {f"{prefix}a.txt": b"a", f"{prefix}b.txt": b"b"})
    told = run(tmp_path / "a.zip", tmp_path / "out", into="lists")
    assert content(tmp_path / "out").keys() == told.keys() == {"lists/a.txt", "lists/b.txt"}


@KINDS
@pytest.mark.parametrize(
    "name", ["../x", "in/../../x", "/etc/x", "C:/x", "C:x", "..\\x", "\\\\host\\share\\x"]
)
def test_an_entry_that_leads_out_is_refused_before_anything_is_unpacked(
    tmp_path: Path, kind: str, name: str
) -> None:
    make(tmp_path / kind, FILES | {name: b"harm"})
    with pytest.raises(DataError, match="leads out of the folder"):
        run(tmp_path / kind, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("in/link")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DataError, match="is a link or a device"):
        run(tmp_path / "a.tar", tmp_path / "out")


@KINDS
def test_a_second_call_does_what_is_missing(tmp_path: Path, kind: str) -> None:
    archive = make(tmp_path / kind, FILES)
    run(archive, tmp_path / "out")
    kept = tmp_path / "out" / "in" / "a.jpg"
    before = kept.stat().st_mtime_ns
    (tmp_path / "out" / "top.txt").unlink()
    (tmp_path / "out" / "in" / "c.txt").write_bytes(b"")
    (tmp_path / "out" / "in" / ".c.txt.unpacking").write_bytes(b"a killed one")
    run(archive, tmp_path / "out")
    assert content(tmp_path / "out") == FILES
    assert kept.stat().st_mtime_ns == before


@KINDS
def test_a_damaged_archive_is_one_line(tmp_path: Path, kind: str) -> None:
    archive = make(tmp_path / kind, {"a": os.urandom(50_000), "b": os.urandom(50_000)})
    data = bytearray(archive.read_bytes())
    data[20_000:20_100] = bytes(100)
    archive.write_bytes(data if kind == "a.zip" else data[:60_000])
    with pytest.raises(DataError, match=f"{kind}: (cannot be unpacked|has none of)"):
        run(archive, tmp_path / "out")


def test_it_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    stop = threading.Event()
    archive = make(tmp_path / "a.zip", FILES)
    with pytest.raises(Interrupted):
        unpack(archive, "a", tmp_path / "out", None, ["*"], lambda *_: stop.set(), stop)
    assert len(content(tmp_path / "out")) == 1
