"""A web server on this machine that behaves as badly as those out there."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

Answer = Callable[["Handler"], None]


class Web:
    """What a server has, and what it was asked for.

    Attributes:
        url: Its address.
        files: Content by path, such as `/a.zip`; served with ranges and an ETag.
        answers: What is done in place of that, by path.
        cut: After how many bytes the connection ends, by path; each number is for one request.
        seen: Path and `Range` header of each request.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Answer] = {}
        self.cut: dict[str, list[int]] = {}
        self.seen: list[tuple[str, str | None]] = []

    def put(self, path: str, content: bytes) -> str:
        """Serve a file; its address."""
        self.files[path] = content
        return self.url + path

    def at(self, path: str, answer: Answer) -> str:
        """Answer at a path in another way; its address."""
        self.answers[path] = answer
        return self.url + path

    def ranges(self) -> list[str | None]:
        """The `Range` header of each request."""
        return [header for _, header in self.seen]


class Handler(BaseHTTPRequestHandler):
    """Serves what the `Web` of its server has."""

    web: Web

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        self.web.seen.append((self.path, self.headers.get("Range")))
        if path in self.web.answers:
            self.web.answers[path](self)
        elif path in self.web.files:
            self.send_file(self.web.files[path], path)
        else:
            self.send_error(404)

    def send_file(self, content: bytes, path: str = "") -> None:
        """Send a file, or the part that is asked for of this version of it."""
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        start, wanted = 0, self.headers.get("Range")
        if wanted and self.headers.get("If-Range") in (None, tag):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cuts = self.web.cut.get(path)
        end = start + cuts.pop(0) if cuts else len(content)
        self.wfile.write(content[start:end])

    def send_text(self, text: str, kind: str = "text/html; charset=utf-8", code: int = 200) -> None:
        """Send a page."""
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def redirect(self, url: str) -> None:
        """Send elsewhere."""
        self.send_response(302)
        self.send_header("Location", url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Web]:
    """A server while the context lasts."""
    handler = type("Serving", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign] - clients that go
        handler.web = web = Web(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()
