"""An object store with a real S3 interface, in a process of its own, behind a line with a delay."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import psutil
import pytest

BUCKET = "photos"


class Store:
    """A bucket on a server of its own.

    Attributes:
        url: The bucket's address, without a slash at the end.
        server: The process.
    """

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self.url = f"s3://{BUCKET}"
        self.server = server

    def cpu_seconds(self) -> float:
        """Processor time of the server so far."""
        times = psutil.Process(self.server.pid).cpu_times()
        return times.user + times.system

    def put(self, folder: Path, name: str = "") -> str:
        """Copy a folder into the bucket; its address."""
        system = fsspec.filesystem("s3", skip_instance_cache=True)
        for file in filter(Path.is_file, folder.rglob("*")):
            key = f"{BUCKET}/{name or folder.name}/{file.relative_to(folder).as_posix()}"
            system.pipe_file(key, file.read_bytes())
        return f"{self.url}/{name or folder.name}"


@contextlib.contextmanager
def serving(delay: float = 0.0) -> Iterator[Store]:
    """A server with an empty bucket; each answer comes `delay` seconds late.

    The environment names it to every process that is started inside.
    """
    server = subprocess.Popen(
        [sys.executable, __file__, str(delay)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout
    try:
        port = int(server.stdout.readline())
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
                patch.delenv(name)
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            patch.setenv("AWS_ACCESS_KEY_ID", "an-id")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-key")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)
            yield Store(server)
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, late: float) -> None:
    """Carry bytes over a wide line: what is under way does not wait for what is before it."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 18):
            loop.call_later(late, writer.write, data)
    loop.call_later(late, writer.close)


async def _serve(delay: float) -> None:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - in the server's process alone

    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    _, port = moto.get_host_and_port()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_carry(reader, back, 0.0), _carry(there, writer, delay))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
