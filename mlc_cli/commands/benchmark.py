"""`mlc benchmark`."""

from dataclasses import asdict
from pathlib import Path

from mlc_cli.commands import flags, screen
from mlc_cli.commands.flags import Flag, Given, settings_command
from mlc_cli.settings.benchmark import BenchmarkSettings


@settings_command(
    BenchmarkSettings,
    "benchmark",
    Flag("models", metavar="[FILE]...", argument=True),
    *flags.ANY_MODEL,
    Flag("batch_size", flags.RESULT, ("--batch-size", "-b")),
    Flag("seconds", flags.RESULT),
    Flag("precision", flags.RESULT),
    *flags.WHERE,
)
def benchmark(given: Given[BenchmarkSettings], *, as_json: flags.Json = False) -> None:
    """Example: mlc benchmark --seconds 10"""
    settings = given.settings()
    from mlc_cli.jobs.benchmark import benchmark as job

    outcome = job(settings, lambda done, total: screen.note(f"round {done + 1}/{total}"))
    for warning in outcome.warnings:
        screen.warn(warning)
    if as_json:
        screen.result_json(asdict(outcome))
        return
    rows = [
        (
            Path(speed.model).name,
            f"{speed.bytes / 2**20:.1f}",
            f"{speed.latency_ms:.2f}",
            f"{speed.latency_p95_ms:.2f}",
            f"{speed.rate:.1f}",
            f"{speed.ratio:.2f}",
        )
        for speed in outcome.speeds
    ]
    screen.table(("", "MiB", "latency ms", "p95 ms", "images/s", "ratio"), rows)
    screen.note(
        f"{outcome.machine}; device {outcome.device}, arithmetic {outcome.precision}; latency of"
        f" one image, throughput of {settings.batch_size} handed over at once, reading not counted;"
        " ONNX files run as they are"
    )
