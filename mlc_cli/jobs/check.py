"""`mlc dataset-check`: what is in a data set, and what is wrong with it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mlc_cli.core.datasets.completing import completed, with_rules
from mlc_cli.core.datasets.inspection.cleaning import check_destination, plan_cleaning, write_clean
from mlc_cli.core.datasets.inspection.collection import read_collection
from mlc_cli.core.datasets.inspection.html.page import write_page
from mlc_cli.core.datasets.inspection.inspect import Inspection, inspect
from mlc_cli.core.datasets.inspection.scan import scan_files
from mlc_cli.core.datasets.shards.open import is_split, read_anywhere
from mlc_cli.core.system.addresses import is_remote, shown
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.downloads.build import build_cache
from mlc_cli.core.system.files import check_output
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import UsageError
from mlc_cli.settings.check import CheckSettings
from mlc_cli.settings.download import DownloadSettings

OnProgress = Callable[[int, int], object]


def check(settings: CheckSettings, progress: OnProgress | None = None) -> Inspection:
    """Examine a data set, and write the page about it if one is wanted.

    Raises:
        MlcError: There is no data set, or the page cannot be written.
    """
    source = Path(settings.data)
    check_output("--html", settings.html)
    if settings.fix:
        if not settings.images:
            raise UsageError("--fix needs the image files: it does not go with --no-images")
        check_destination(source, Path(settings.fix))
    image_root = Path(settings.image_root) if settings.image_root else None
    read = partial(read_anywhere, store=build_cache(DownloadSettings()))
    collection = read_collection(source, image_root, read, is_split)
    far = is_remote(source) or any(split.pieces for split in collection.splits.values())
    if settings.fix and far:
        raise UsageError(
            f"--fix copies files of this machine, and the images of {shown(source)} are elsewhere",
            "Make files of shards first: `mlc dataset-convert shards SOURCE DEST`.",
        )
    if more := settings.rules:
        given = more.implies, more.exclusive, more.separator or ""
        splits = {name: with_rules(one, *given) for name, one in collection.splits.items()}
        collection = replace(collection, splits=splits)
    threads = usable_cores() if settings.threads == "auto" else settings.threads
    files = None
    if settings.images:
        files = scan_files(
            collection,
            threads=threads,
            max_pixels=settings.max_megapixels * 1e6,
            allow_outside=settings.allow_outside_root,
            progress=progress,
        )
    inspection = inspect(collection, files, settings.near)
    if settings.html:
        write_page(Path(settings.html), inspection, threads)
    return inspection


@dataclass(frozen=True)
class Cleaned:
    """What a cleaned copy leaves out.

    Attributes:
        images: Images in the copy.
        left_out: Images left out, by reason.
        completed: Images that got labels which theirs imply.
        joined: Images that took over labels of their copies.
        contradicting: Groups of copies that stay because their labels contradict.
    """

    images: int
    left_out: IssueLog
    completed: int
    joined: int
    contradicting: int


def clean(
    settings: CheckSettings, inspection: Inspection, progress: OnProgress | None = None
) -> Cleaned:
    """Write a cleaned copy of a data set to `settings.fix`.

    Raises:
        MlcError: The data set cannot be cleaned, or the copy not be written.
    """
    before = inspection.collection
    after = {name: completed(split) for name, split in before.splits.items()}
    inspection = replace(inspection, collection=replace(before, splits=after))
    plan = plan_cleaning(inspection)
    write_clean(inspection, plan, Path(settings.fix or ""), progress)
    left_out = IssueLog()
    for row, reason in sorted(plan.left_out.items()):
        left_out.add(f"images left out because {reason}", inspection.collection.title(row))
    return Cleaned(
        images=len(inspection.collection) - len(plan.left_out),
        left_out=left_out,
        completed=sum(
            int(np.count_nonzero(split.positives.sizes_N() < after[name].positives.sizes_N()))
            for name, split in before.splits.items()
        ),
        joined=len(plan.labels),
        contradicting=len(plan.kept_contradictions),
    )
