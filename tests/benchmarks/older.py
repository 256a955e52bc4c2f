"""What a change of the package changes in its files: a conversion, a run and an export, twice.

Both trees run the same commands on the same generated data; the files are then compared: tables
and JSON by their values, weights by their numbers, everything else by its name. Times, versions
and checksums differ always and are left out.

    git worktree add --detach ../older COMMIT
    python tests/benchmarks/older.py ../older
"""

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from walks import make_coco

SMALL = (
    "--set model.backbone=test_vit --set model.pretrained=false --set data.input_size=64 "
    "--set data.workers=0 --epochs 2 --device cpu"
)
COMMANDS = (
    "dataset-convert coco coco mine",
    f"train --data mine {SMALL}",
    "thresholds --run runs/train-1",
    "eval --run runs/train-1 --split val --report",
    "predict coco/images --run runs/train-1 --output predictions.csv",
    "export --run runs/train-1",
    "dataset-check mine --json",
)
CHANGING = re.compile(
    r"(^|\.)(seconds|images_per_second|created|date|time|started|finished|rate|sha256|seal|weights_sha256"
    r"|python|torch|timm|mlc|numpy|version|versions|command|latency\w*|mlc_version)(\.|$)"
)


def produce(tree: Path, folder: Path) -> None:
    """Run the commands of a tree in a folder."""
    make_coco(folder / "coco")
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "120"}
    for number, command in enumerate(COMMANDS):
        words = [sys.executable, "-m", "mlc_cli", *command.split()]
        done = subprocess.run(
            words, check=False, cwd=folder, env=environment, capture_output=True, text=True
        )
        (folder / f"{number}-{command.split()[0]}.out").write_text(done.stdout)
        if done.returncode:
            print(f"{tree}: mlc {command}: exit {done.returncode}\n{done.stderr[-500:]}")


def values(content: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of JSON with their dotted keys."""
    if isinstance(content, dict):
        for name, inner in content.items():
            yield from values(inner, f"{key}.{name}" if key else name)
    elif isinstance(content, list):
        for name, inner in enumerate(content):
            yield from values(inner, f"{key}.{name}")
    else:
        yield key, content


READERS = {
    ".json": lambda path: dict(values(json.loads(path.read_text()))),
    ".jsonl": lambda path: dict(values([json.loads(line) for line in path.open()])),
    ".csv": lambda path: dict(values(list(csv.reader(path.open())))),
    ".npy": lambda path: {"": np.load(path)},
    ".npz": lambda path: dict(np.load(path)),
    ".safetensors": load_file,
}


def read(path: Path) -> dict[str, Any]:
    """What of a file is compared; nothing of kinds that are not listed."""
    return READERS.get(path.suffix, lambda _: {})(path)


def same(first: Any, second: Any) -> bool:
    """Whether two values are equal; numbers to 1e-6, for which texts of numbers count too."""
    try:
        pair = np.asarray(first, np.float64), np.asarray(second, np.float64)
    except (TypeError, ValueError):
        return str(first) == str(second)
    return pair[0].shape == pair[1].shape and np.allclose(*pair, atol=1e-6, equal_nan=True)


def files(folder: Path) -> dict[str, Path]:
    """The files of a folder but its pictures."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".jpg")
    return {
        re.sub(r"events\.out\S+", "events", path.relative_to(folder).as_posix()): path
        for path in found
    }


def differences(first: Path, second: Path) -> Iterator[str]:
    """What two folders differ in, a line each."""
    left, right = files(first), files(second)
    yield from (f"only older   {name}" for name in sorted(left.keys() - right.keys()))
    yield from (f"only newer   {name}" for name in sorted(right.keys() - left.keys()))
    for name in sorted(left.keys() & right.keys()):
        old, new = (
            {key: value for key, value in read(side[name]).items() if not CHANGING.search(key)}
            for side in (left, right)
        )
        for title, keys in (("gone", old.keys() - new.keys()), ("new", new.keys() - old.keys())):
            groups = sorted({re.sub(r"\.\d+(?=\.|$)", ".N", key) for key in keys})
            yield from (f"{title:<12} {name}: {key}" for key in groups)
        wrong = [key for key in old.keys() & new.keys() if not same(old[key], new[key])]
        for key in sorted(wrong)[:5]:
            yield f"differs      {name}: {key}: {old[key]!s:.60} -> {new[key]!s:.60}"
        if len(wrong) > 5:
            yield f"             {name}: and {len(wrong) - 5} more values"


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory() as scratch:
        sides = Path(scratch) / "older", Path(scratch) / "newer"
        for tree, folder in zip((Path(sys.argv[1]).resolve(), here), sides, strict=True):
            produce(tree, folder)
        found = list(differences(*sides))
    print("\n".join(found) or "no difference")
