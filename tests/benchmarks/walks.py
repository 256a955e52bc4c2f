"""How far a reader walks: rooms on the way of a conversion, a training and an evaluation.

Each function of the package counts once, when it is called first; bodies of classes, which run when
their module is imported, do not. A move is a step to a function in another room: a folder of the
package or of `core`, or a loose file. Run it by hand:

    python tests/benchmarks/walks.py            # or with --rooms for the way itself
"""

import inspect
import itertools
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import cv2
import numpy as np

import mlc_cli
from mlc_cli.main import main

PACKAGE = Path(mlc_cli.__file__).parent


def room(path: Path) -> str:
    """The folder below the package, below `core` one deeper; a loose file is a room of its own."""
    *folders, file = path.relative_to(PACKAGE).parts
    return "/".join(folders[:2] if folders[:1] == ["core"] else folders[:1]) or file


def walk(run: Callable[[], None]) -> list[str]:
    """Rooms in the order of the first call of each of their functions, without repeats in a row."""
    first: dict[object, str] = {}

    def heard(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        inside = code.co_filename.startswith(str(PACKAGE)) and code.co_name[0] != "<"
        inside = inside and code.co_flags & inspect.CO_OPTIMIZED
        if event == "call" and inside and code not in first:
            first[code] = room(Path(code.co_filename))

    threading.setprofile(heard)
    sys.setprofile(heard)
    try:
        run()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return [name for name, _ in itertools.groupby(first.values())]


def command(*words: str) -> Callable[[], None]:
    """A command as it is typed."""

    def run() -> None:
        sys.argv = ["mlc", *words]
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise

    return run


def make_coco(folder: Path) -> None:
    """A COCO file of forty pictures with two classes."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(40):
        name = f"{number:03}.jpg"
        cv2.imwrite(str(folder / "images" / name), rng.integers(0, 256, (64, 64, 3), np.uint8))
        images.append({"id": number, "file_name": name, "width": 64, "height": 64})
        annotations.append({"id": number, "image_id": number, "category_id": number % 2 + 1})
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))


def walks(folder: Path) -> dict[str, list[str]]:
    """The ways of the commands, run one after the other in a folder."""
    make_coco(folder / "coco")
    os.chdir(folder)
    small = ["--set", "model.backbone=test_vit", "--set", "model.pretrained=false"]
    small += [
        "--epochs",
        "1",
        "--device",
        "cpu",
        "--set",
        "data.input_size=64",
        "--set",
        "data.workers=0",
    ]
    return {
        "convert": walk(command("dataset-convert", "coco", "coco", "mine")),
        "train": walk(command("train", "--data", "mine", *small)),
        "eval": walk(command("eval", "--split", "val")),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        found = walks(Path(scratch))
    print(f"{'command':<10}{'rooms':>6}{'moves':>6}")
    for name, rooms in found.items():
        print(f"{name:<10}{len(set(rooms)):>6}{len(rooms) - 1:>6}")
        if "--rooms" in sys.argv[1:]:
            print("    " + " > ".join(rooms))
