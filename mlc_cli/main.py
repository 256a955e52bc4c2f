"""The `mlc` executable: the commands, and the one place where errors become exit codes."""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from mlc_cli import __version__
from mlc_cli.core.system.addresses import in_text
from mlc_cli.core.system.interrupts import stop_signals
from mlc_cli.core.system.machine import machine_error
from mlc_cli.core.system.processes import dist_info
from mlc_cli.errors import Interrupted, MlcError, UsageError
from mlc_cli.text import plain

SHARED = ("train", "eval", "thresholds", "calibrate", "predict")
"""Commands that several processes can do together."""

COMMANDS = {
    "choose": "Find the backbone and image size for your photographs, machine and time.",
    "train": "Train a multilabel classifier and evaluate its best epoch.",
    "tune": "Search for better settings, or for the learning rate alone.",
    "eval": "Evaluate a checkpoint: mAP, and precision, recall and F1 of classes and overall.",
    "thresholds": "Choose the probability from which each class counts as present.",
    "calibrate": "Make probabilities mean what they say; decisions stay as they are.",
    "export": "Export a checkpoint to ONNX and OpenVINO IR, and prove that the files equal it.",
    "predict": "Say which labels images have: JSON lines, CSV, drawn pictures, a gallery.",
    "dataset-download": "Fetch a public data set, and make it ready to train on.",
    "dataset-convert": "Turn any labelled data set into one to train on, or into one for another"
    " tool.",
    "dataset-check": "Say what is in a data set and what is wrong with it, before a model learns"
    " from it.",
    "compare": "Compare runs: numbers beyond noise, settings, classes and images that changed.",
    "benchmark": "Measure latency and throughput of model files on this machine, in turns.",
    "presets": "List the presets, or show one with all that it extends.",
    "cache": "Show or clear what is kept in the cache folder: downloads and resized images.",
    "settings": "Explain the settings of a command.",
}
"""What each command does; the one of that name in `commands` is imported when it is called."""
_CONTEXT = {"help_option_names": ["-h", "--help"]}


class LazyGroup(TyperGroup):
    """Commands that are imported when they are called: the help of all needs none of them."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        for name, summary in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that is called."""
        if args[0] in COMMANDS:
            self.commands[args[0]] = load_command(args[0])
        return super().resolve_command(ctx, args)


def load_command(name: str) -> Any:
    """The command itself, with all its flags."""
    function = name.replace("-", "_")
    module = import_module(f"mlc_cli.commands.{function}")
    one = typer.Typer(add_completion=False)
    call = getattr(module, {"eval": "evaluate"}.get(function, function))
    one.command(name, help=f"{COMMANDS[name]}\n\n{call.__doc__}", context_settings=_CONTEXT)(call)
    return get_command(one)


app = typer.Typer(
    name="mlc",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=_CONTEXT,
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"mlc {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Train, evaluate, calibrate, export and run multilabel image classifiers."""


def main() -> None:
    """Run a command; errors of users become a message and an exit code, never a traceback.

    Of several processes one speaks: the leading one, and where one fails, the first that does.
    """
    _prepare_streams()
    alone = _alone()
    # they end as Ctrl-C does; what `nohup` has put off stays off
    ends = [n for n in stop_signals() if n != signal.SIGINT]
    before = {number: signal.signal(number, signal.default_int_handler) for number in ends}
    try:
        if alone:
            _run(lambda: True)
            return
        from mlc_cli.core.system.distributed import joined

        with joined() as fails_first:
            _run(fails_first)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _prepare_streams() -> None:
    """Results are UTF-8 wherever they go; a terminal shows what it can, and the rest escaped."""
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the end
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
        _fail(MlcError("standard output is closed", "Send it to a file or to /dev/null."))
    if isinstance(sys.stdout, TextIOWrapper):
        encoding = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")
    try:
        Path.cwd()
    except FileNotFoundError:
        _fail(UsageError("the folder that this is called in is gone", "Go to one that is there."))
    assert logging.lastResort
    logging.lastResort.setFormatter(_PlainFormatter())


class _PlainFormatter(logging.Formatter):
    """What is logged has names of others in it, too."""

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record), "\n")


def _alone() -> bool:
    try:
        return dist_info().size == 1
    except MlcError as error:
        _fail(error, lambda: True)


def _run(speaks: Callable[[], bool]) -> None:
    try:
        with _only_the_leader_speaks():
            try:
                app(_arguments())
            finally:
                sys.stdout.flush()
    except MlcError as error:
        _fail(error, speaks)
    except SystemExit as end:
        if end.code == Interrupted.exit_code:  # so Typer ends at KeyboardInterrupt, without a word
            _fail(Interrupted("interrupted"), speaks)
        raise
    except BrokenPipeError:
        speaks()  # so that no other process does
        _drop_output()
        sys.exit(1)
    except Exception as error:
        _drop_output()
        if isinstance(error.__context__, Interrupted):  # the terminal went, and the bar on it
            _fail(error.__context__, speaks)
        if isinstance(error.__cause__, KeyboardInterrupt):  # Python 3.11 wraps it in a class body
            _fail(Interrupted("interrupted"), speaks)
        if found := machine_error(error):
            _fail(found, speaks)
        if not speaks():  # another process has shown the cause
            sys.exit(1)
        raise


def _drop_output() -> None:
    """What could not be written is not tried again at the end of the process."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _arguments() -> list[str]:
    # --debug belongs to all commands and may stand anywhere; `_fail` looks for it
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    command = next((a for a in arguments if not a.startswith("-")), None)
    if dist_info().size > 1 and command and command not in SHARED:
        raise UsageError(
            f"mlc {command} is done by one process, and several were started",
            f"Call it without torchrun. Several processes share mlc {', '.join(SHARED)}.",
        )
    return arguments


@contextmanager
def _only_the_leader_speaks() -> Iterator[None]:
    if dist_info().rank == 0:
        yield
        return
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def _fail(error: MlcError, speaks: Callable[[], bool] = lambda: True) -> NoReturn:
    with suppress(OSError):  # nobody listens any more
        _say(error, speaks)
    sys.exit(error.exit_code)


def _say(error: MlcError, speaks: Callable[[], bool]) -> None:
    if speaks():
        if "--debug" in sys.argv:
            traceback.print_exception(error)
        for report in getattr(error, "__notes__", ()):  # what was found before it went wrong
            typer.echo(plain(report, "\n"), err=True)
        title = "" if isinstance(error, Interrupted) else "Error: "
        typer.secho(plain(in_text(f"{title}{error.message}"), "\n"), err=True, fg=typer.colors.RED)
        if error.hint:
            typer.secho(plain(error.hint, "\n"), err=True)
