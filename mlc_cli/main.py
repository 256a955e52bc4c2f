"""The `mlc` executable: the commands, and the one place where errors become exit codes."""

import os
import signal
import sys
import traceback
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
from mlc_cli.errors import Interrupted, MlcError

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
    """Run a command; errors of users become a message and an exit code, never a traceback."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends as Ctrl-C does
    try:
        # --debug belongs to all commands and may stand anywhere; `_fail` looks for it
        app([argument for argument in sys.argv[1:] if argument != "--debug"])
    except MlcError as error:
        _fail(error)
    except SystemExit as end:
        if end.code == Interrupted.exit_code:  # so Typer ends at KeyboardInterrupt, without a word
            _fail(Interrupted("interrupted"))
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    finally:
        signal.signal(signal.SIGTERM, before)


def _fail(error: MlcError) -> None:
    if "--debug" in sys.argv:
        traceback.print_exception(error)
    title = "" if isinstance(error, Interrupted) else "Error: "
    typer.secho(f"{title}{error.message}", err=True, fg=typer.colors.RED)
    if error.hint:
        typer.secho(error.hint, err=True)
    sys.exit(error.exit_code)
