"""Which images of a source can be used, and where they are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from mlc_cli.core.datasets.converting.collect import Collected, Findings
from mlc_cli.core.datasets.formats.shared.images import ImageIndex
from mlc_cli.core.datasets.packed import PackedStrings
from mlc_cli.core.images.folder import AT_ADDRESS, ImageFolder
from mlc_cli.errors import DataError

MISSING, COUNTED = "is missing", "counted"
FOUND = "images found by the tail of their path, not where the source says"
TAKEN = "images that lead to the file of another image by the tail of their path"


def locate_images(whole: Collected, searched: Path, findings: Findings) -> Collected:
    """The images that are regular files inside their folder.

    One that is not where the source says is looked for below `searched`, by the longest tail of its
    path that exists. What several files fit, and files that several images lead to, are refused by
    name.

    Raises:
        DataError: There is none.
    """
    folder = ImageFolder(whole.annotation.folder)
    paths = list(whole.annotation.paths)
    problems = [folder.problem(path) for path in paths]
    elsewhere = {}
    if any(problems):
        elsewhere = _elsewhere(whole, paths, searched, problems, findings)
    for image, problem in enumerate(problems):
        if problem not in (None, COUNTED) and image not in elsewhere:
            findings.dropped.add(f"images whose file {problem}", paths[image])
    kept = [image for image, problem in enumerate(problems) if not problem or image in elsewhere]
    if not kept:
        raise DataError(
            f"{whole.annotation.source}: none of its images can be used."
            f" {findings.dropped.lines()}",
            f"They are looked for in {searched}; name another folder with --images, another"
            " column of a table with --image-column, or convert without looking with"
            " `--set images.check=false`.",
        )
    found = whole if len(kept) == len(paths) else whole.take(np.array(kept))
    if not elsewhere:
        return found
    return _moved(found, [elsewhere.get(image, "") for image in kept], searched)


def _elsewhere(
    whole: Collected,
    paths: Sequence[str],
    searched: Path,
    problems: list[str | None],
    findings: Findings,
) -> dict[int, str]:
    """Paths below `searched` of images that are not where they are said to be."""
    index, checked = ImageIndex(searched), ImageFolder(searched)
    prefix = _prefix(whole.annotation.folder, searched)
    elsewhere: dict[int, str] = {}
    lost: dict[int, list[str]] = {split: [] for split in range(len(whole.splits))}
    for path, problem, split in zip(paths, problems, whole.split_N, strict=True):
        if problem in (MISSING, AT_ADDRESS):
            lost[split].append(path)
    places = {own: index.find_all(lost[own], name) for own, name in enumerate(whole.splits)}
    for image, problem in enumerate(problems):
        if problem in (MISSING, AT_ADDRESS):
            found = places[whole.split_N[image]].of(paths[image])
        else:
            inside = _inside(paths[image], searched) if problem else ""
            found = [inside] if inside else []
        found = [own for own in found if checked.problem(own) is None]
        if len(found) > 1:
            kind = "images that several files fit (--images narrows the search)"
            findings.dropped.add(kind, f"{paths[image]:.200}: {', '.join(found[:3]):.200}")
            problems[image] = COUNTED
        if len(found) == 1:
            elsewhere[image] = found[0]
    taken = Counter(elsewhere.values())
    taken.update(
        prefix + path for path, problem in zip(paths, problems, strict=True) if problem is None
    )
    for image, found_at in list(elsewhere.items()):
        log, kind = findings.noted, FOUND
        if taken[found_at] > 1 and paths[image] != found_at:
            log, kind = findings.dropped, TAKEN
            problems[image] = COUNTED
            del elsewhere[image]
        log.add(kind, partial("{:.200} is {:.200}".format, paths[image], found_at))
    return elsewhere


def _inside(path: str, folder: Path) -> str:
    """An absolute path into a folder as one below it; empty for others."""
    full = Path(path)
    if not full.is_absolute() or not full.is_relative_to(folder.absolute()):
        return ""
    return full.relative_to(folder.absolute()).as_posix()


def _prefix(folder: Path, searched: Path) -> str:
    below = folder.resolve().relative_to(searched.resolve()).as_posix()
    return "" if below == "." else f"{below}/"


def _moved(whole: Collected, elsewhere: list[str], searched: Path) -> Collected:
    """Images with the paths at which they were found, all below one folder."""
    annotation = whole.annotation
    prefix = _prefix(annotation.folder, searched)
    paths = [new or prefix + old for new, old in zip(elsewhere, annotation.paths, strict=True)]
    folder = searched
    if prefix and all(path.startswith(prefix) for path in paths):
        paths, folder = [path.removeprefix(prefix) for path in paths], annotation.folder
    moved = replace(annotation, paths=PackedStrings.pack(paths), folder=folder)
    return replace(whole, annotation=moved)


def searched_folder(origin: Path, root: Path, images: Path | None) -> Path:
    """Where images are looked for: the source itself if their folder is in it."""
    source = origin if origin.is_dir() else origin.parent
    inside = images is None and root.resolve().is_relative_to(source.resolve())
    return source if inside else root
