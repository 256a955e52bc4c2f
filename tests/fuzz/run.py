"""Mutants are read one after the other, and what comes of them is counted."""

import random
import signal
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from mlc_cli.core.system.machine import machine_error
from mlc_cli.errors import MlcError
from tests.fuzz.targets import TARGETS

SECONDS = 30
"""After so long a mutant hangs."""


@dataclass
class Tally:
    """What came of the mutants of a kind.

    Attributes:
        refused: With a message.
        same: Accepted, and they mean what the undamaged file means.
        other: Accepted, and they mean something else.
        faults: Tracebacks and hangs, each with the seed of its mutant.
    """

    refused: int = 0
    same: int = 0
    other: int = 0
    faults: list[str] = field(default_factory=list)


def fuzz(kind: str, folder: Path, seeds: range, keep: Path | None = None) -> Tally:
    """Read a mutant for each seed.

    Args:
        kind: A name of `TARGETS`.
        folder: For files.
        seeds: Of the mutants.
        keep: Folder for the mutants that are accepted and mean something else.
    """
    target, tally = TARGETS[kind](folder), Tally()
    whole = target.whole()
    signal.signal(signal.SIGALRM, _hangs)
    for seed in seeds:
        path = target.mutant(random.Random(f"{kind} {seed}"))
        signal.alarm(SECONDS)
        try:
            same = target.read(path) == whole or whole is None
            tally.same, tally.other = tally.same + same, tally.other + (not same)
            if keep and not same:
                (keep / f"{kind}-{seed}{path.suffix}").write_bytes(path.read_bytes())
        except MlcError:
            tally.refused += 1
        except Exception as error:
            if machine_error(error):
                tally.refused += 1
            else:
                tally.faults.append(f"{kind} {seed}: {traceback.format_exc(limit=-3)}")
        finally:
            signal.alarm(0)
    return tally


class Hang(Exception):
    """A mutant takes too long."""


def _hangs(_number: int, _frame: FrameType | None) -> None:
    raise Hang
