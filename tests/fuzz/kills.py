"""`python -m tests.fuzz.kills --kills N`: commands killed at random moments, and called again.

A training is taken up with `--resume` and killed again, until it is through; other commands are
called once more. What they leave in the end is compared, byte by byte, with what they leave when
nobody disturbs them. Right after a kill the checkpoint has to be what it was or what it becomes.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from mlc_cli.core.runs.checkpoint import read_card
from mlc_cli.main import main as mlc
from tests import launch
from tests.conftest import TINY, write_dataset

TRAIN = ["train", "--data", "data", "--epochs", "3", *(a for s in TINY for a in ("--set", s)),
         "--set", "ema.decay=0.9", "--set", "save_minutes=0.00001"]  # fmt: skip
COMMANDS = {
    "train": TRAIN,
    "eval": ["eval", "--report", "--set", "workers=0"],
    "thresholds": ["thresholds", "--set", "workers=0"],
    "calibrate": ["calibrate", "--method", "temperature", "--set", "workers=0"],
    "export": ["export", "--no-check", "--ir"],
    "convert": ["dataset-convert", "mlc", "data", "copied", "--link", "copy"],
    "check": ["dataset-check", "data", "--fix", "fixed"],
}
RUN = Path("runs/train-1")
AIMS = ("", "scores.npz", "eval.json", "best.safetensors", "trainer.pt")
"""Files: a command may be killed soon after one of them has got its name."""
UNLIKE = ("output.txt", "train.log", "trainer.pt", "run.lock", "calibration.json")
"""Files that differ: a second calibration tells of what the first has left."""
TIMES = {"seconds", "train/images_per_second"}
SECONDS = 300
"""After so long a command hangs."""


class Whole(NamedTuple):
    """What a command needs that nobody disturbs: events that Python tells of, CPU seconds."""

    events: int
    seconds: float


class Killed(NamedTuple):
    """How often commands were killed, and what came of it."""

    kills: int
    trials: int
    different: list[str]
    stuck: list[str]


def work(
    folder: Path, command: list[str], event: int, seconds: float, aim: str
) -> tuple[Any, Whole]:
    """Run a command; the process dies at an event, counted from an aim on, or after CPU time."""
    os.chdir(folder)
    sys.stdout = sys.stderr = Path("output.txt").open("a")  # noqa: SIM115
    seen, aimed = [0], [not aim]

    def count(name: str, arguments: tuple[object, ...]) -> None:
        if name == "os.rename" and str(arguments[1]).endswith(aim):
            aimed[0] = True
        seen[0] += aimed[0]
        if seen[0] == event:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    sys.argv = ["mlc", *command]
    before, code = resource.getrusage(resource.RUSAGE_SELF), 0
    try:
        mlc()
    except SystemExit as end:
        code = end.code or 0
    after = resource.getrusage(resource.RUSAGE_SELF)
    return code, Whole(seen[0], after.ru_utime - before.ru_utime)


def run(folder: Path, command: list[str], event: int = 0, seconds: float = 0, aim: str = "") -> Any:
    """Run a command in a process of its own; `None` if it was killed."""
    _, result = launch.start(partial(work, folder, command, event, seconds, aim))
    found = launch.Started([], [result]).results(SECONDS)[0]
    if isinstance(found, BaseException):
        raise found
    return found


def content(folder: Path) -> dict[str, Any]:
    """What counts of all files of a folder."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if path.name == "metrics.jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [{k: v for k, v in row.items() if k not in TIMES} for row in rows]
        elif path.name == "convert.json":  # killed when all was there, it says so twice
            records = json.loads(path.read_text())["conversions"]
            found[name] = sorted({json.dumps(record) for record in records})
        elif (
            path.name[0] != "."
            and path.name not in UNLIKE
            and not (path.name.startswith("events."))
        ):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def again(folder: Path, command: list[str]) -> list[str]:
    """How a command that was killed is called once more."""
    if command[0] == "dataset-check":
        shutil.rmtree(folder / "fixed", ignore_errors=True)
    if command[0] != "train":
        return command
    if (folder / RUN / "settings.yaml").exists():
        return ["train", "--resume", str(RUN)]
    shutil.rmtree(folder / "runs", ignore_errors=True)
    return command


def trial(
    home: Path, folder: Path, command: list[str], whole: Whole, rng: random.Random
) -> tuple[int, bool]:
    """Kill a command now and then until it is through; how often, and whether it is."""
    shutil.copytree(home, folder, symlinks=True)
    kills = 0
    for left in range(12, -1, -1):
        aim = rng.choice(AIMS)
        events = 40 if aim else whole.events
        event = rng.randrange(1, events) if left and rng.random() < 0.5 else 0
        seconds = rng.uniform(0.01, whole.seconds) if left and not event else 0
        call = again(folder, command) if kills else command
        ended = run(folder, call, event, seconds, aim if event else "")
        if ended is not None:
            return kills, ended[0] == 0 or "is done after" in (folder / "output.txt").read_text()
        kills += 1
        if command[0] != "train":
            read_card(folder / RUN / "best.safetensors")
    return kills, False


def killed(name: str, home: Path, kills: int, seed: int) -> Killed:
    """Kill a command so often in all."""
    command, total, trials = COMMANDS[name], 0, 0
    different: list[str] = []
    stuck: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        wanted = Path(place) / "wanted" / "here"
        shutil.copytree(home, wanted, symlinks=True)
        code, whole = run(wanted, command)
        assert code == 0, (wanted / "output.txt").read_text()
        meaning = content(wanted)
        shutil.rmtree(wanted)
        while total < kills:
            title = f"{name} {seed + trials}"
            # each in the same place, as files name it
            done, through = trial(home, wanted, command, whole, random.Random(title))
            total, trials = total + done, trials + 1
            if not through:
                stuck.append(f"{title}: {(wanted / 'output.txt').read_text()[-500:]}")
            else:
                found = content(wanted)
                names = {n for n in found | meaning if found.get(n) != meaning.get(n)}
                if names:
                    different.append(f"{title}: {', '.join(sorted(names))}")
            shutil.rmtree(wanted)
    return Killed(total, trials, different, stuck)


def main() -> None:
    """Kill commands and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="*", default=list(COMMANDS))
    parser.add_argument("--kills", type=int, default=60, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(f"{'command':12}{'kills':>6}{'trials':>8}{'different':>11}{'stuck':>7}")
    with tempfile.TemporaryDirectory() as place:
        bare, home = Path(place) / "bare", Path(place) / "home"
        write_dataset(bare / "data", 24, 12)
        shutil.copytree(bare, home)
        code, _ = run(home, TRAIN)
        assert code == 0, (home / "output.txt").read_text()
        for name in given.commands:
            found = killed(name, bare if name == "train" else home, given.kills, given.seed)
            numbers = (found.kills, found.trials, len(found.different), len(found.stuck))
            widths = (6, 8, 11, 7)
            cells = (f"{n:{w}}" for n, w in zip(numbers, widths, strict=True))
            print(f"{name:12}" + "".join(cells), *found.different, *found.stuck, sep="\n",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
