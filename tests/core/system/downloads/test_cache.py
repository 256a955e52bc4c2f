import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mlc_cli.core.system.downloads.cache import Cache, file_name, is_address
from mlc_cli.errors import DownloadError, MlcError
from tests.web import Handler, Web

CONTENT = b"weights" * 1000
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> Callable[..., Cache]:
    return lambda **options: Cache(tmp_path / "cache", 1e9, **options)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]


@pytest.mark.parametrize("checksum", [SHA256, MD5])
def test_a_file_is_fetched_once(web: Web, cache, checksum: str) -> None:
    url = web.put("/model%20v1.pth".replace("%20", " "), CONTENT).replace(" ", "%20")
    path = cache().fetch(url, checksum)
    assert path.read_bytes() == CONTENT
    assert path.name.endswith("-model_v1.pth")
    assert cache(offline=True).fetch(url, checksum) == path
    assert len(web.seen) == 1
    assert files(path.parent) == [path]


def test_a_wrong_checksum_is_one_line_and_leaves_no_file(web: Web, cache, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"another checksum .*{SHA256}, not sha256:0000"):
        cache().fetch(web.put("/a", CONTENT), "sha256:" + "0" * 64)
    assert not any(path.name.endswith("a") for path in files(tmp_path / "cache"))


def test_a_file_that_was_damaged_in_the_cache_comes_anew(web: Web, cache) -> None:
    url = web.put("/a", CONTENT)
    path = cache().fetch(url, SHA256)
    path.write_bytes(b"x" + CONTENT[1:])
    assert cache().fetch(url, SHA256).read_bytes() == CONTENT
    assert len(web.seen) == 2


def test_an_unknown_checksum_is_refused_before_any_request(web: Web, cache) -> None:
    with pytest.raises(DownloadError, match="its checksum is not known") as caught:
        cache().fetch(web.put("/a", CONTENT), None)
    assert "--trust-download" in caught.value.hint
    assert web.seen == []


def test_a_trusted_file_is_shown_kept_and_demanded(
    web: Web, cache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = web.put("/a", CONTENT)
    with caplog.at_level(logging.WARNING):
        path = cache(trust=True).fetch(url, None)
    assert SHA256 in caplog.text
    assert json.loads((tmp_path / "cache" / "trusted.json").read_text()) == {url: SHA256}
    assert cache().fetch(url, None) == path  # no trust is needed any more
    path.unlink()
    web.put("/a", CONTENT[::-1])
    for options in ({}, {"trust": True}):
        with pytest.raises(DownloadError, match="another checksum than that it was first seen"):
            cache(**options).fetch(url, None)
    web.put("/a", CONTENT)
    assert cache().fetch(url, None).read_bytes() == CONTENT


def test_a_record_of_trusted_files_that_is_damaged_is_named(web: Web, cache, tmp_path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "trusted.json").write_text("{")
    with pytest.raises(MlcError, match=r"trusted\.json: not valid JSON"):
        cache().fetch(web.put("/a", CONTENT), None)


def test_offline_asks_nobody(web: Web, cache) -> None:
    with pytest.raises(DownloadError, match="--offline forbids"):
        cache(offline=True).fetch(web.put("/a", CONTENT), SHA256)
    assert web.seen == []


def test_a_mirror_of_a_known_file_goes_on_with_its_part(web: Web, cache) -> None:
    web.cut["/a"] = [1000]
    first = web.put("/a", CONTENT)
    asked: list[int] = []

    def once(handler: Handler) -> None:
        asked.append(1)
        handler.send_file(CONTENT, "/a") if len(asked) == 1 else handler.send_error(404)

    web.at("/a", once)
    with pytest.raises(DownloadError, match="404"):
        cache().fetch(first, SHA256)
    assert cache().bytes_there(first, SHA256) == 1000
    assert cache().fetch(web.put("/mirror/a", CONTENT), SHA256).read_bytes() == CONTENT
    assert web.ranges()[-1] == "bytes=1000-"


@pytest.mark.parametrize(
    "url", ["ftp://x/a", "file:///etc/passwd", "a.pth", "", "http://", "http://[x/a", "https:/x/a"]
)
def test_only_the_web_is_asked(cache, url: str) -> None:
    assert not is_address(url)
    with pytest.raises(DownloadError, match="is no address"):
        cache(trust=True).fetch(url, None)


@pytest.mark.parametrize(
    ("url", "name"),
    [("http://x/a/b.zip?c=d/e", "b.zip"), ("http://x/", "file"), ("http://x/..", "file"),
     ("http://x/a%2F..%2Fb", "b"), ("http://x/.ssh", "ssh"), ("http://x/ä b", "ä_b")],
)  # fmt: skip
def test_names_stay_inside_the_folder(url: str, name: str) -> None:
    assert file_name(url) == name


def test_what_was_not_used_for_longest_goes_first(web: Web, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 2.5 * len(CONTENT))
    urls = [web.put(f"/{name}", CONTENT[:-1] + name.encode()) for name in "abc"]
    sums = [f"sha256:{hashlib.sha256(CONTENT[:-1] + name.encode()).hexdigest()}" for name in "abc"]
    paths = [cache.fetch(url, checksum) for url, checksum in zip(urls, sums, strict=True)]
    for age, path in enumerate(paths):
        os.utime(path, (1000 + age, 1000 + age))
    cache.fetch(urls[0], sums[0])  # is the newest now
    cache.trim()
    assert [path.exists() for path in paths] == [True, False, True]
    with cache.lock(paths[2].name):  # another process unpacks it
        Cache(tmp_path / "cache", 0).trim()
    assert [path.exists() for path in paths] == [False, False, True]


def test_what_is_about_to_be_used_stays(web: Web, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 1)
    path = cache.fetch(web.put("/a", CONTENT), SHA256)
    cache.trim(keep=path)
    assert path.exists()


def test_a_record_that_was_lost_is_made_anew(web: Web, cache, tmp_path: Path) -> None:
    url = web.put("/a", CONTENT)
    cache(trust=True).fetch(url, None)
    (tmp_path / "cache" / "trusted.json").unlink()
    cache(trust=True).fetch(url, None)
    assert json.loads((tmp_path / "cache" / "trusted.json").read_text()) == {url: SHA256}


def test_two_who_want_one_file_fetch_it_once(web: Web, cache) -> None:
    url = web.put("/a", CONTENT)
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(cache().fetch(url, SHA256))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(web.seen) == 1
