"""The published table (Prokofiev & Sovrasov 2022), run by one command: published beside measured.

Needs a GPU and the data, which it fetches where they are public as archives; NUS-WIDE, whose
pictures are links, has to be there. A row that is done is not run again, and one that was
interrupted goes on.

    python tests/benchmarks/paper.py                              # days: each row says how long
    python tests/benchmarks/paper.py --only effnetv2s-voc         # hours
    python tests/benchmarks/paper.py --list                       # the commands alone
    python tests/benchmarks/paper.py --small                      # minutes, on any machine

`--small` shows that every row runs to its end: random weights, 64 pixels, two steps and one
evaluation on pictures that it makes. What it measures means nothing.
"""

import argparse
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from samples import make_images
from timing import show

from mlc_cli.settings.presets import Card, load_card, load_preset, preset_names

PRESETS = [
    name for name in preset_names("train") if name.endswith(("-coco", "-voc", "-nus", "-vg500"))
]
CLASSES = {"coco14": 80, "voc07": 20, "nus-wide": 81, "vg500": 500}
BY_ARCHIVES = ("coco14", "voc07", "vg500")
SMALL = {
    "data.input_size": "64", "data.workers": "0", "data.cache": "none", "model.weights": "null",
    "model.pretrained": "false", "epochs": "1", "batch_size": "4", "eval_batch_size": "4",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A preset of the paper, and where it is run.

    Attributes:
        preset: Its name.
        data: Its data set.
        output: Folder of its run.
        flags: What is given beside.
    """

    preset: str
    data: Path
    output: Path
    flags: tuple[str, ...]

    @property
    def card(self) -> Card:
        return load_card("train", self.preset)

    @property
    def command(self) -> list[str]:
        """The training."""
        where = ["--data", str(self.data), "--output", str(self.output)]
        return ["train", "--preset", self.preset, *where, *self.flags]

    @property
    def next_command(self) -> list[str]:
        """The training, or the rest of one that was interrupted."""
        run = self.output / f"{self.preset}-1"
        resumes = (run / "trainer.pt").exists()
        return ["train", "--resume", str(run)] if resumes else self.command

    @property
    def measured(self) -> float | None:
        """Validation mAP in percent, once the run has come to its end."""
        results = [json.loads(path.read_text()) for path in self.output.glob("*/eval.json")]
        return 100 * float(results[-1]["mAP"]) if results else None


def mlc(arguments: list[str]) -> str:
    """Run a command of mlc; what it said last if it failed."""
    print("$ mlc " + shlex.join(arguments), flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "mlc_cli", *arguments], stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, text=True, check=False,
    )  # fmt: skip
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    errors = [line for line in said if line.startswith("Error: ")]
    return "" if done.returncode == 0 else (errors or said)[-1]


def make_data(folder: Path, classes: int) -> None:
    """Eight pictures to train on and four to validate, each label in some of them."""
    rng = np.random.default_rng(classes)
    names = list(range(classes)) if classes == 500 else [f"class {c:03}" for c in range(classes)]
    for split, count in (("train", 8), ("val", 4)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        paths = make_images(folder / split, count, (96, 80))
        has_NC = rng.random((count, classes)) < 0.5
        entries = [
            [f"{split}/{path.name}", [name for name, has in zip(names, has_C, strict=True) if has]]
            for path, has_C in zip(paths, has_NC.tolist(), strict=True)
        ]
        content = {"classes": names, "images": entries}
        (folder / f"{split}.json").write_text(json.dumps(content))


def prepare(row: Row, data_set: str, *, small: bool) -> str:
    """Make or fetch the data of a row; what is wrong if that cannot be."""
    if small:
        make_data(row.data, CLASSES[data_set])
        return ""
    if data_set in BY_ARCHIVES:
        return mlc(["dataset-download", data_set, str(row.data), "--trust-download"])
    there = (row.data / "train.json").exists()
    return "" if there else f"no data: mlc dataset-download {data_set} {row.data} --links FILE"


def run(row: Row, data_set: str, *, small: bool) -> str:
    """Bring a row to its end; what went wrong if it did not."""
    if row.measured is not None:
        return ""
    return prepare(row, data_set, small=small) or mlc(row.next_command)


def write_table(path: Path, rows: list[Row], faults: dict[str, str]) -> bool:
    """Write and show published beside measured; whether all rows are there."""
    header = ("preset", "expected", "published", "measured", "command")
    cells = []
    for row in rows:
        published, measured = (
            "-" if value is None else f"{value:.2f}" for value in (row.card.published, row.measured)
        )
        said = faults.get(row.preset) or measured
        cells.append(
            (row.preset, row.card.time, published, said, shlex.join(["mlc", *row.command]))
        )
    lines = [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *cells)]
    path.write_text("\n".join(lines) + "\n")
    show(f"mAP in percent, validation split ({path})", header[:4], [line[:4] for line in cells])
    return all(row.measured is not None for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PRESETS, default=PRESETS)
    parser.add_argument("--data", type=Path, default=Path("datasets"))
    parser.add_argument("--output", type=Path, default=Path("runs/paper"))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    output = given.output / "small" if given.small else given.output
    small = tuple(f for key, value in SMALL.items() for f in ("--set", f"{key}={value}"))
    rows, names = [], {}
    for preset in given.only:
        names[preset] = Path(load_preset("train", preset)["data"]["root"]).name
        data = (output / "data" if given.small else given.data) / names[preset]
        flags = small if given.small else ("--trust-download",)
        rows.append(Row(preset, data, output / preset, flags))
    faults: dict[str, str] = {}
    if not given.list:
        output.mkdir(parents=True, exist_ok=True)
        for row in rows:
            faults[row.preset] = run(row, names[row.preset], small=given.small)
            whole = write_table(output / "table.md", rows, faults)
        sys.exit(0 if whole else 1)
    for row in rows:
        print(f"{row.preset}  {row.card.time}  {shlex.join(['mlc', *row.command])}")


if __name__ == "__main__":
    main()
