import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from mlc_cli.core.system.downloads import transfer as module
from mlc_cli.core.system.downloads.transfer import TRIES, transfer
from mlc_cli.errors import DownloadError, Interrupted, MlcError
from tests.web import Handler, Web

CONTENT = os.urandom(3_000_000)


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., bytes]:
    def run(url: str, stop: threading.Event | None = None) -> bytes:
        transfer(url, tmp_path / "x.part", lambda *_: None, stop or threading.Event())
        return (tmp_path / "x.part").read_bytes()

    return run


def test_a_file_comes_whole_and_says_how_far_it_is(web: Web, tmp_path: Path) -> None:
    far: list[tuple[int, int | None]] = []
    url = web.put("/a", CONTENT)
    came_from = transfer(url, tmp_path / "x", lambda *one: far.append(one), threading.Event())
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert came_from == url
    assert far[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in far] == sorted(done for done, _ in far)


def test_what_a_slow_line_has_brought_is_kept_at_once(web: Web, tmp_path: Path) -> None:
    def slow(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[:300_000])
        time.sleep(0.3)
        handler.wfile.write(CONTENT[300_000:])

    kept: list[int] = []
    url = web.at("/a", slow)
    part = tmp_path / "x"
    transfer(url, part, lambda done, _: kept.append(done), threading.Event())
    assert 300_000 in kept
    assert part.read_bytes() == CONTENT


def test_an_interrupted_file_goes_on_with_a_range(web: Web, fetch) -> None:
    web.cut["/a"] = [1_000_000, 500_000, 7]
    assert fetch(web.put("/a", CONTENT)) == CONTENT
    assert web.ranges() == [None, "bytes=1000000-", "bytes=1500000-", "bytes=1500007-"]


def test_a_redirection_keeps_the_range(web: Web, fetch) -> None:
    web.cut["/b"] = [1_000_000]
    web.put("/b", CONTENT)
    assert fetch(web.at("/a", lambda handler: handler.redirect("/b"))) == CONTENT
    assert web.seen[-1] == ("/b", "bytes=1000000-")


def test_the_next_call_goes_on_where_the_last_one_ended(web: Web, fetch, tmp_path: Path) -> None:
    url = web.put("/a", CONTENT)
    stop = threading.Event()
    with pytest.raises(Interrupted):
        transfer(url, tmp_path / "x.part", lambda *_: stop.set(), stop)
    have = (tmp_path / "x.part").stat().st_size
    assert 0 < have < len(CONTENT)
    assert fetch(url) == CONTENT
    assert web.ranges()[-1] == f"bytes={have}-"


def test_a_file_that_has_changed_comes_anew(web: Web, fetch) -> None:
    web.cut["/a"] = [1_000_000]
    url = web.put("/a", CONTENT)

    def changed(handler: Handler) -> None:
        handler.send_file(CONTENT[::-1])

    original = web.files.pop("/a")
    asked = []

    def first(handler: Handler) -> None:
        asked.append(1)
        if len(asked) == 1:
            handler.send_file(original, "/a")
        else:
            changed(handler)

    web.at("/a", first)
    assert fetch(url) == CONTENT[::-1]


def test_a_server_without_ranges_sends_it_again(web: Web, fetch) -> None:
    asked = []

    def without(handler: Handler) -> None:
        asked.append(1)
        del handler.headers["Range"]
        web.cut["/a"] = [1000] if len(asked) == 1 else []
        handler.send_file(CONTENT, "/a")

    assert fetch(web.at("/a", without)) == CONTENT


def test_a_server_that_names_no_version_sends_it_again(web: Web, fetch) -> None:
    asked = []

    def without(handler: Handler) -> None:
        asked.append(1)
        send = handler.send_header
        handler.send_header = lambda name, value: name == "ETag" or send(name, value)
        web.cut["/a"] = [1000] if len(asked) == 1 else []
        handler.send_file(CONTENT, "/a")

    assert fetch(web.at("/a", without)) == CONTENT
    assert web.ranges() == [None, None]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(web: Web, fetch, tmp_path) -> None:
    web.cut["/a"] = [2_000_000]
    url = web.put("/a", CONTENT)
    stop = threading.Event()
    with pytest.raises(Interrupted):
        transfer(url, tmp_path / "x.part", lambda *_: stop.set(), stop)
    (tmp_path / "x.part").write_bytes(CONTENT * 2)
    assert fetch(url) == CONTENT


def test_a_part_that_was_whole_already_asks_nobody(web: Web, fetch) -> None:
    url = web.put("/a", CONTENT)
    fetch(url)
    fetch(url)
    assert len(web.seen) == 1


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_what_is_not_there_is_one_line_at_once(web: Web, fetch, code: int) -> None:
    url = web.at("/a", lambda handler: handler.send_error(code))
    with pytest.raises(DownloadError, match=f"/a: the server says {code}") as caught:
        fetch(url)
    assert caught.value.gone == (code != 401)
    assert "mirror" in caught.value.hint
    assert len(web.seen) == 1


@pytest.mark.parametrize("code", [429, 500, 503])
def test_what_passes_is_tried_again(web: Web, fetch, code: int) -> None:
    asked = []

    def busy(handler: Handler) -> None:
        asked.append(1)
        handler.send_error(code) if len(asked) < 3 else handler.send_file(CONTENT)

    assert fetch(web.at("/a", busy)) == CONTENT


def test_what_does_not_pass_is_given_up(web: Web, fetch) -> None:
    with pytest.raises(DownloadError, match="the server says 503") as caught:
        fetch(web.at("/a", lambda handler: handler.send_error(503)))
    assert not caught.value.gone
    assert len(web.seen) == TRIES


@pytest.mark.usefixtures("web")
def test_nobody_at_the_address_is_one_line(fetch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match=r"cannot be fetched: .*refused"):
        fetch(f"http://127.0.0.1:{port}/a")


def test_something_that_is_no_http_is_one_line(web: Web, fetch) -> None:
    with pytest.raises(DownloadError, match="cannot be fetched"):
        fetch(web.at("/a", lambda handler: handler.wfile.write(b"no HTTP\r\n\r\n")))


PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>please</body></html>"


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream"])
def test_a_page_in_place_of_a_file_is_named_as_that(web: Web, fetch, kind: str) -> None:
    web.at("/login", lambda handler: handler.send_text(PAGE, kind))
    url = web.at("/a", lambda handler: handler.redirect("/login"))
    with pytest.raises(DownloadError, match=r"a web page came .*'Sign in', from http.*/login"):
        fetch(url)


def test_a_page_does_not_cost_the_part_that_is_there(web: Web, fetch, tmp_path: Path) -> None:
    url = web.put("/a", CONTENT)
    stop = threading.Event()
    with pytest.raises(Interrupted):
        transfer(url, tmp_path / "x.part", lambda *_: stop.set(), stop)
    have = (tmp_path / "x.part").stat().st_size
    web.at("/a", lambda handler: handler.send_text(PAGE))
    with pytest.raises(DownloadError, match="a web page came"):
        fetch(url)
    assert (tmp_path / "x.part").stat().st_size == have > 0


FORM = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<p>Google Drive can't scan this file for viruses.</p>
<form id="search" action="/search" method="get"><input type="text" name="q"></form>
<form id="download-form" action="{}/download" method="get"><input type="submit" value="Download">
<input type="hidden" name="id" value="1N0&amp;t">
<input type="hidden" name="export" value="download">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="7f-3"></form>
</body></html>"""


def test_a_page_that_asks_to_confirm_is_confirmed(web: Web, fetch) -> None:
    web.cut["/download"] = [1_000_000]
    web.put("/download", CONTENT)
    url = web.at("/uc", lambda handler: handler.send_text(FORM.replace("{}", web.url)))
    assert fetch(url + "?export=download&id=1N0") == CONTENT
    query = "id=1N0%26t&export=download&confirm=t&uuid=7f-3"
    asked = [path for path, _ in web.seen]
    assert asked == ["/uc?export=download&id=1N0", f"/download?{query}"] * 2
    assert web.ranges() == [None, None, "bytes=1000000-", "bytes=1000000-"]


def test_a_confirmation_that_leads_to_another_page_is_named(web: Web, fetch) -> None:
    quota = "<html><title>Quota exceeded</title></html>"
    web.at("/download", lambda handler: handler.send_text(quota))
    url = web.at("/uc", lambda handler: handler.send_text(FORM.replace("{}", web.url)))
    with pytest.raises(DownloadError, match="'Quota exceeded'"):
        fetch(url)


def test_a_proxy_is_asked(web: Web, fetch, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("http_proxy", web.url)
    web.put("/far/away", CONTENT)
    assert fetch("http://files.invalid/far/away") == CONTENT
    assert web.seen == [("http://files.invalid/far/away", None)]
    monkeypatch.setenv("no_proxy", "files.invalid")
    (tmp_path / "x.part").unlink()
    with pytest.raises(DownloadError, match="cannot be fetched"):
        fetch("http://files.invalid/other")


def test_a_disk_that_is_too_small_is_said_before_the_first_byte(
    web: Web, fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9, 9, 1_000_000))
    with pytest.raises(MlcError, match=r"0\.00 GB are needed, and 0\.00 GB are free") as caught:
        fetch(web.put("/a", CONTENT))
    assert "download.cache" in caught.value.hint
    assert not (tmp_path / "x.part").exists()


def test_a_full_disk_is_one_line(web: Web, fetch, tmp_path: Path) -> None:
    (tmp_path / "x.part").symlink_to("/dev/full")
    with pytest.raises(MlcError, match=r"x\.part: cannot be written: No space left") as caught:
        fetch(web.put("/a", CONTENT))
    assert "Free some space" in caught.value.hint


def test_a_disk_that_fills_up_keeps_what_came(web: Web, fetch, tmp_path: Path) -> None:
    url = web.put("/a", CONTENT)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, limits[1]))
    try:
        with pytest.raises(MlcError, match=r"x\.part: cannot be written: File too large"):
            fetch(url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    have = (tmp_path / "x.part").stat().st_size
    assert 1_000_000 < have <= 1_500_000
    assert fetch(url) == CONTENT
    assert web.ranges()[-1] == f"bytes={have}-"


def test_a_process_killed_at_any_moment_leaves_what_the_next_one_goes_on_with(
    web: Web, fetch, tmp_path: Path
) -> None:
    def slow(handler: Handler) -> None:
        write = handler.wfile.write
        handler.wfile.write = (
            lambda data: [  # type: ignore[method-assign]
                (write(data[at : at + 100_000]), time.sleep(0.01))
                for at in range(0, len(data), 100_000)
            ]
        )
        handler.send_file(CONTENT)

    web.at("/a", slow)
    script = (
        "import sys, threading; from pathlib import Path\n"
        "from mlc_cli.core.system.downloads.transfer import transfer\n"
        "print('started', flush=True)\n"
        "transfer(sys.argv[1], Path(sys.argv[2]), lambda *_: None, threading.Event())"
    )
    for wait in (0.0, 0.05, 0.12, 0.2):
        process = subprocess.Popen(
            [sys.executable, "-c", script, web.url + "/a", tmp_path / "x.part"],
            stdout=subprocess.PIPE,
        )
        assert process.stdout
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    del web.answers["/a"]
    web.put("/a", CONTENT)
    assert fetch(web.url + "/a") == CONTENT


def test_waiting_is_short_for_those_who_stop(
    web: Web, fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 100.0)
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    started = time.monotonic()
    with pytest.raises(DownloadError):
        fetch(web.at("/a", lambda handler: handler.send_error(503)), stop)
    assert time.monotonic() - started < 5
