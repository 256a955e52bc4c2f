"""Connections to a cluster of Ray: it speaks when nobody asks, and takes signals that are ours."""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType

from mlc_cli.core.system.extras import import_extra
from mlc_cli.core.system.interrupts import stop_signals
from mlc_cli.errors import MlcError


def import_ray() -> ModuleType:
    """Ray with Ray Data, its reports of usage off.

    Raises:
        MlcError: It is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it speaks of what is in order
    import_extra("ray.data", "ray")
    return import_extra("ray", "ray")


@contextmanager
def connected(address: str | None) -> Iterator[ModuleType]:
    """Ray, connected; what it prints of lost nodes, while it closes too, goes nowhere."""
    ray = import_ray()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        _connect(ray, address)
        try:
            yield ray
        finally:
            ray.shutdown()


def _connect(ray: ModuleType, address: str | None) -> None:
    own = {} if address else {"include_dashboard": False}
    before = {number: signal.getsignal(number) for number in stop_signals()}
    try:
        host, _, port = (address or "").rpartition(":")
        if host:  # Ray itself would try for a quarter of an hour
            socket.create_connection((host, int(port)), 10).close()
        with _silent():
            ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
    except (OSError, ValueError) as error:
        raise MlcError(
            f"--address {address}: no cluster of Ray can be reached: {str(error)[:200]}",
            "Start one with `ray start --head`, or leave out --address to use this machine.",
        ) from error
    for number, handler in before.items():  # at one of Ray's own it aborts
        signal.signal(number, handler)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars, context.raise_original_map_exception = False, True
    logging.getLogger("ray.data").setLevel(logging.ERROR)


@contextmanager
def _silent() -> Iterator[None]:
    """Inside, nothing gets to the terminal: the setting that quiets Ray is told by itself."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
