"""Files of a store with a real S3 interface, which another process serves."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlc_cli.core.system import places, remote
from mlc_cli.core.system.addresses import address, is_remote, shown, without_secrets
from mlc_cli.errors import DownloadError
from tests import store
from tests.store import Store
from tests.web import Web

Mlc = Callable[..., Any]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Store]:
    with store.serving() as made:
        yield made
    remote._store.cache_clear()


@pytest.mark.parametrize(
    "typed", ["s3://b/a/1.jpg", "gs://b/x", "hf://datasets/a/b", "https://h/a"]
)
def test_an_address_is_told_from_a_path(typed: str) -> None:
    assert is_remote(typed)
    assert is_remote(Path(typed))
    assert address(Path(typed)) == address(typed) == typed
    assert not is_remote("a/" + typed)


@pytest.mark.parametrize("path", ["a.jpg", "/s3:/x", "C:/a", "s3:", "file://a/b", "d:\\a"])
def test_other_paths_are_no_addresses(path: str) -> None:
    assert not is_remote(path)
    assert shown(path) == path


def test_what_is_shown_has_no_secrets() -> None:
    typed = "https://me:pass@host/a.jpg?X-Amz-Signature=abc"
    assert shown(typed) == shown(Path(typed)) == "https://host/a.jpg"
    public = "https://host/uc?export=download&id=1N0"
    assert (shown(public), without_secrets(f"weights: {public}")) == (public, f"weights: {public}")


def test_ranges_whole_files_and_lists_come_from_a_store(bucket: Store, tmp_path: Path) -> None:
    (tmp_path / "x/y").mkdir(parents=True)
    (tmp_path / "x/a.bin").write_bytes(bytes(range(100)))
    (tmp_path / "x/y/b.bin").write_bytes(b"b")
    url = Path(bucket.put(tmp_path / "x"))
    assert remote.read(url / "a.bin") == bytes(range(100))
    assert remote.read(url / "a.bin", 10, 13) == b"\n\x0b\x0c"
    assert remote.exists(url / "a.bin")
    assert not remote.exists(url / "c.bin")
    assert remote.matching(url) == [url / "a.bin", url / "y/b.bin"]
    assert remote.matching(url / "*.bin") == [url / "a.bin"]
    with pytest.raises(FileNotFoundError):
        remote.read(url / "c.bin")
    with pytest.raises(OSError, match="ends before its byte 105"):
        places.read_part(url / "a.bin", 95, 105)


def put_hundred(bucket: Store, folder: Path, name: str) -> Path:
    """A file in the bucket with the bytes from 0 to 99."""
    folder.mkdir()
    (folder / name).write_bytes(bytes(range(100)))
    return Path(bucket.put(folder)) / name


def test_reads_by_a_signed_address_are_those_of_the_client(
    bucket: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = put_hundred(bucket, tmp_path / "w", "a b+c.bin")
    client = remote._store("s3")
    spans = [(None, None), (0, 1), (95, None), (None, 7), (90, 200), (10, 20)]
    expected = [client.cat_file(address(file), start=a, end=b) for a, b in spans]
    with monkeypatch.context() as patch:
        patch.setattr(client, "cat_file", lambda *_, **__: pytest.fail("asked the client"))
        assert [remote.read(file, *span) for span in spans] == expected


def test_what_a_signed_address_does_not_give_the_client_reads(
    bucket: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = put_hundred(bucket, tmp_path / "v", "a.bin")
    monkeypatch.setattr(remote, "_REFUSED", [])
    asked: list[str] = []
    signed = remote._signed

    def spoilt(store: object, name: str, period: int) -> str:
        asked.append(name)
        return signed(store, name, period).replace("http://127.0.0.1", "http://127.0.0.1:1/x")

    spoilt.cache_clear = signed.cache_clear  # type: ignore[attr-defined]
    monkeypatch.setattr(remote, "_signed", spoilt)
    assert {remote.read(file, 10, 12) for _ in range(8)} == {b"\n\x0b"}
    assert len(asked) == 4


@pytest.mark.parametrize("key", ["ETag", "etag", "blob_id"])
def test_a_version_tells_of_other_bytes(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter([{"size": 3, key: "a"}, {"size": 3, key: "b"}])
    monkeypatch.setattr(remote, "retried", lambda *_: next(said))
    assert remote.version(Path("hf://datasets/a/b")) != remote.version(Path("hf://datasets/a/b"))


def test_neighbours_are_read_in_one_go(bucket: Store, tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    (tmp_path / "z").mkdir()
    content = bytes(i % 251 for i in range(300_000))
    (tmp_path / "z/s.tar").write_bytes(content)
    file = Path(bucket.put(tmp_path / "z")) / "s.tar"
    asked: list[tuple[int, int]] = []
    read = remote.read

    def counted(place: Path, start: int, stop: int) -> bytes:
        asked.append((start, stop))
        return read(place, start, stop)

    monkeypatch.setattr(remote, "read", counted)
    spans = [(200_000, 50), (10, 20), (40, 5), (299_990, 20)]
    pieces = [places.Piece.of(file, str(n), *span, None) for n, span in enumerate(spans)]
    found = places.gather([*pieces, tmp_path / "here.jpg"])
    for piece in pieces[:3]:
        assert found[piece] == content[piece.start :][: piece.size]
    assert isinstance(found[pieces[3]], OSError)
    assert sorted(asked) == [(10, 45), (200_000, 200_050), (299_990, 300_010)]


def test_a_store_out_of_reach_is_asked_again_and_then_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", pauses.append)

    def fail(_store: object, _name: str) -> None:
        raise ConnectionError("no route to https://me:pass@host/a?sig=secret")

    with pytest.raises(DownloadError) as caught:
        remote.retried(fail, "s3://bucket/key")
    assert pauses == [0.5, 1, 2, 4]
    assert "s3://bucket/key: cannot be reached, tried 5 times: no route to" in caught.value.message
    assert "secret" not in caught.value.message
    assert "pass" not in caught.value.message


def test_what_fails_for_good_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote.time, "sleep", lambda _: pytest.fail("waited"))

    class NoCredentialsError(Exception):
        pass

    for error, kind in (
        (FileNotFoundError("x"), FileNotFoundError),
        (PermissionError("x"), PermissionError),
        (NoCredentialsError("Unable to locate credentials"), DownloadError),
    ):
        with pytest.raises(kind):
            remote.retried(lambda *_, error=error: (_ for _ in ()).throw(error), "s3://bucket/key")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_EXTRAS", {"gs": ("a_module_that_is_not_there", "gcs")})
    with pytest.raises(Exception, match="a_module_that_is_not_there is not installed"):
        remote.read("gs://bucket/key")


def test_listed_addresses_never_lead_into_private_networks(web: Web) -> None:
    url = web.put("/a.jpg", b"content")
    assert places.read(Path(url)) == b"content"  # typed by the user
    seen = len(web.seen)
    for host in (url, url.replace("127.0.0.1", "localhost"), "http://169.254.169.254/latest",
                 "http://10.0.0.7/a.jpg", "http://0x7f000001/a.jpg"):  # fmt: skip
        with pytest.raises(OSError, match="private network"):
            places.read(places.Listed(host))
    assert len(web.seen) == seen
