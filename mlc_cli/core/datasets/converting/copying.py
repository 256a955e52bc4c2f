"""Images of a converted data set: which can be used, and where they come to lie.

A result is written to a folder beside its destination and takes its place only when it is whole.
Into a folder that exists files are added; none is replaced unless the user says so.
"""

import filecmp
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.packed import PackedStrings
from mlc_cli.core.system.files import folder_beside
from mlc_cli.core.system.interrupts import undisturbed
from mlc_cli.errors import DataError, MlcError
from mlc_cli.text import listing

Link = Literal["reference", "copy", "symlink", "hardlink"]


def rewrite_paths(
    splits: Mapping[str, Annotation],
    dest: Path,
    stage: Path,
    link: Link,
    folders: Mapping[str, str],
) -> dict[str, Annotation]:
    """Annotations with the paths that their images will have.

    Images are below one folder now. Those that will be below `dest` get paths below `stage`, which
    takes its place later: in the folder that `folders` has for their split. Others stay.
    """
    prefixes = {name: f"{folder}/" for name, folder in folders.items()}
    if link == "reference":
        root, real = next(iter(splits.values())).folder.resolve(), dest.resolve()
        if not root.is_relative_to(real):
            return dict(splits)
        prefix = "" if root == real else f"{root.relative_to(real).as_posix()}/"
        prefixes = dict.fromkeys(splits, prefix)
    elif all(p.startswith(prefixes[name]) for name, split in splits.items() for p in split.paths):
        prefixes = dict.fromkeys(splits, "")
    return {name: _moved(split, stage, prefixes[name]) for name, split in splits.items()}


def _moved(annotation: Annotation, folder: Path, prefix: str) -> Annotation:
    paths = annotation.paths
    if prefix:
        paths = PackedStrings.pack([prefix + path for path in paths])
    return replace(annotation, folder=folder, paths=paths)


def copy_images(
    before: Mapping[str, Annotation], after: Mapping[str, Annotation], link: Link
) -> None:
    """Put images where they belong; each once, if several splits have it in one place.

    Raises:
        DataError: Two images want the same place.
        MlcError: A file cannot be written.
    """
    done: set[tuple[str, str]] = set()
    for name, annotation in before.items():
        for image, move in enumerate(zip(annotation.paths, after[name].paths, strict=True)):
            if move not in done:
                done.add(move)
                _put(annotation.path(image), after[name].path(image), link)


def _put(source: Path, target: Path, link: Link) -> None:
    try:
        put_file(source, target, link)
    except FileExistsError:
        raise DataError(
            f"{source}: another image has this name but for its case, and this file system keeps"
            " one of them",
            "Rename one, or leave the images where they are with `--link reference`.",
        ) from None
    except OSError as error:
        hint = "Hard links stay on one disk; use --link copy." if link == "hardlink" else ""
        raise MlcError(
            f"{source}: no {link} can be made: {error.strerror or error}", hint
        ) from error


def put_file(source: Path, target: Path, link: Link) -> None:
    """Link or copy a file to a place that is free; its folder is made.

    Raises:
        OSError: It cannot be made; `FileExistsError` if the place is taken.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if link == "symlink":
        target.symlink_to(source.resolve())
    elif link == "hardlink":
        target.hardlink_to(source.resolve())
    else:
        with source.open("rb") as reader, target.open("xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)


@contextmanager
def atomic_output(dest: Path, *, overwrite: bool = False, record: str = "") -> Iterator[Path]:
    """A folder for the result, which takes the place of `dest` if nothing goes wrong.

    Into a `dest` that exists the files are added. None is replaced but `record`, which holds what
    was there before, unless `overwrite`.

    Raises:
        DataError: Files would be replaced.
        MlcError: The folder cannot be written to, or another command makes it.
    """
    try:
        dest = Path(os.path.realpath(dest))  # Path.resolve fails at links in a circle
        dest.parent.mkdir(parents=True, exist_ok=True)
        with folder_beside(dest) as stage:
            yield stage
            if dest.exists():
                _add_to(stage, dest, None if overwrite else record)
            else:
                stage.rename(dest)
    except OSError as error:
        raise MlcError(
            f"{dest} cannot be made: {error.strerror or error}",
            "Free some space, or choose another place.",
        ) from error


def _add_to(stage: Path, dest: Path, record: str | None) -> None:
    """Move all files of one folder into another, annotations after the images they list."""
    found = [Path(root, name) for root, _, names in os.walk(stage) for name in names]
    files = sorted((file.relative_to(stage) for file in found), key=lambda f: (-len(f.parts), f))
    kept = (file for file in files if record not in (None, str(file)))
    taken = [str(file) for file in kept if _differs(stage / file, dest / file)]
    if taken:
        raise DataError(
            f"{dest} has files of these names already:\n{listing(taken, len(taken))}",
            "Choose another DEST, or replace them with `--overwrite`.",
        )
    with undisturbed():  # annotations of one conversion go together
        for file in files:
            (dest / file).parent.mkdir(parents=True, exist_ok=True)
            (stage / file).replace(dest / file)


def _differs(new: Path, old: Path) -> bool:
    """Whether there is something else than the same bytes."""
    return os.path.lexists(old) and not (old.is_file() and filecmp.cmp(new, old, shallow=False))
