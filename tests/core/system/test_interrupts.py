"""Signals as a question, and held back."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlc_cli.core.system import files
from mlc_cli.core.system.files import folder_beside, write_text
from mlc_cli.core.system.interrupts import stop_requests, undisturbed

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def termination_as_interrupt() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt as Ctrl-C does, as in `mlc`."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_request_is_noted_and_the_second_obeyed(number: signal.Signals) -> None:
    with stop_requests() as stopped:
        assert not stopped()
        os.kill(os.getpid(), number)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_for_what_is_undisturbed(number: signal.Signals) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with undisturbed():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            done.append(1)
        done.append(2)
    assert done == [1]


def test_a_signal_that_waited_is_noted_by_who_asks() -> None:
    with stop_requests() as stopped:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
            assert not stopped()
        assert stopped()


def test_other_threads_get_no_signals_and_change_nothing() -> None:
    seen = []

    def work() -> None:
        with undisturbed(), stop_requests() as stopped:
            seen.append(stopped())

    before = [signal.getsignal(number) for number in SIGNALS]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize(
    ("owner", "name"), [(files.tempfile, "mkstemp"), (Path, "mkdir")], ids=["file", "folder"]
)
def test_a_signal_while_something_temporary_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    make = getattr(owner, name)

    def interrupted(*arguments: object, **named: object) -> object:
        made = make(*arguments, **named)
        os.kill(os.getpid(), signal.SIGINT)
        return made

    monkeypatch.setattr(owner, name, interrupted)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        if name == "mkstemp":
            write_text(tmp_path / "a", "x")
        with folder_beside(tmp_path / "a"):
            pass
    assert list(tmp_path.iterdir()) == []
