"""The `mlc` executable: the commands, and the one place where errors become exit codes."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from mlc_cli import __version__
from mlc_cli.commands.benchmark import benchmark
from mlc_cli.commands.dataset_check import dataset_check
from mlc_cli.commands.dataset_convert import dataset_convert
from mlc_cli.commands.eval import evaluate
from mlc_cli.commands.export import export
from mlc_cli.commands.predict import predict
from mlc_cli.commands.presets import presets
from mlc_cli.commands.thresholds import thresholds
from mlc_cli.commands.train import train
from mlc_cli.core.system.processes import dist_info
from mlc_cli.errors import Interrupted, MlcError, UsageError

SHARED = ("train", "eval", "thresholds", "predict")
"""Commands that several processes can do together."""

app = typer.Typer(
    name="mlc",
    help="Train, evaluate, calibrate, export and run multilabel image classifiers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(train)
app.command("eval")(evaluate)
app.command()(thresholds)
app.command()(export)
app.command()(predict)
app.command("dataset-convert")(dataset_convert)
app.command("dataset-check")(dataset_check)
app.command()(benchmark)
app.command()(presets)


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
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends as Ctrl-C does
    try:
        if dist_info().size == 1:
            _run(lambda: True)
            return
        from mlc_cli.core.system.distributed import joined

        with joined() as fails_first:
            _run(fails_first)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(speaks: Callable[[], bool]) -> None:
    try:
        with _only_the_leader_speaks():
            app(_arguments())
    except MlcError as error:
        _fail(error, speaks)
    except SystemExit as end:
        if end.code == Interrupted.exit_code:  # so Typer ends at KeyboardInterrupt, without a word
            _fail(Interrupted("interrupted"), speaks)
        raise
    except BrokenPipeError:
        speaks()  # so that no other process does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception:
        if not speaks():  # another process has shown the cause
            sys.exit(1)
        raise


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


def _fail(error: MlcError, speaks: Callable[[], bool]) -> None:
    if speaks():
        if "--debug" in sys.argv:
            traceback.print_exception(error)
        title = "" if isinstance(error, Interrupted) else "Error: "
        typer.secho(f"{title}{error.message}", err=True, fg=typer.colors.RED)
        if error.hint:
            typer.secho(error.hint, err=True)
    sys.exit(error.exit_code)
