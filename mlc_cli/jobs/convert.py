"""`mlc dataset-convert`: from any format to any other."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.columns import Beside
from mlc_cli.core.datasets.converting.archive import unpacked
from mlc_cli.core.datasets.converting.class_changes import change_classes, drop_rare, old_classes
from mlc_cli.core.datasets.converting.collect import Collected, Findings, check_floor, collect
from mlc_cli.core.datasets.converting.copying import atomic_output, copy_images, rewrite_paths
from mlc_cli.core.datasets.converting.label_names import name_numbers
from mlc_cli.core.datasets.converting.locate import locate_images, searched_folder
from mlc_cli.core.datasets.converting.output_folder import RECORD, Destination, inspect_existing
from mlc_cli.core.datasets.converting.splits import (
    by_folders,
    divide,
    group_by_name,
    in_order,
    missing_classes,
    number_groups,
    rename_splits,
    with_splits,
)
from mlc_cli.core.datasets.converting.summary import Conversion, as_dict
from mlc_cli.core.datasets.counts import count_split
from mlc_cli.core.datasets.formats import fiftyone
from mlc_cli.core.datasets.formats.base import Source, Writer
from mlc_cli.core.datasets.formats.build import OWN, pick_reader, pick_writer, read_classes
from mlc_cli.core.datasets.formats.shared.lines import is_file, is_folder
from mlc_cli.core.datasets.formats.shared.split_names import split_in_name
from mlc_cli.core.datasets.shards.writing import ShardsWriter
from mlc_cli.core.system.files import write_json
from mlc_cli.errors import DataError, MlcError, UsageError
from mlc_cli.settings.convert import ConvertSettings
from mlc_cli.text import SHOWN

SHARES = (0.8, 0.2)
"""What a source without splits is divided in, unless the user says otherwise."""
_WORDS = ("auto", "keep")

Splits = Mapping[str, Annotation]


def convert(settings: ConvertSettings) -> Conversion:
    """Read a data set in one format and write it in another.

    With `strict`, nothing is written if something was dropped.

    Raises:
        MlcError: The source cannot be read, or the result cannot be written. What was found before
            is its note.
    """
    _check_places(settings)
    writer, classes = pick_writer(settings), read_classes(settings)
    findings = Findings()
    try:
        source = Path(settings.source)
        inner = not settings.images.root
        with unpacked(source, Path(settings.dest), settings.max_unpacked, inner=inner) as place:
            if place != source:
                inside = [place] if place.is_dir() else [place, place.parent]
                name = f"{source} (unpacked)" if source.is_dir() else settings.source
                findings.named.update((str(path), name) for path in inside)
                settings = _of_zip(settings, place)
            return _convert(settings, writer, classes, findings)
    except MlcError as error:
        findings.use_names()
        error.message, error.hint = findings.said(error.message), findings.said(error.hint)
        if report := findings.lines(already=error.message + error.hint):
            error.add_note(report)
        raise


def _of_zip(settings: ConvertSettings, place: Path) -> ConvertSettings:
    """Settings to convert what was unpacked; images in it cannot stay there."""
    images = settings.images
    if images.link == "symlink" and not images.root:
        raise UsageError("--link symlink: links cannot lead into zip files", "Choose hardlink.")
    if images.link == "reference" and not images.root and settings.to != ShardsWriter.name:
        images = images.model_copy(update={"link": "hardlink"})
    form = {"parquet": "jsonl", "shards": "mlc"}.get(settings.format, settings.format)
    return settings.model_copy(update={"source": str(place), "images": images, "format": form})


def _convert(
    settings: ConvertSettings,
    writer: Writer,
    classes: list[str | int] | None,
    findings: Findings,
) -> Conversion:
    reader, seen, place = pick_reader(settings)
    settings = settings.model_copy(update={"source": str(place)})
    dest = inspect_existing(Path(settings.dest))
    source = reader.read(Path(settings.source), _path(settings.images.root), findings.dropped)
    source = name_numbers(source, Path(settings.source), _path(settings.label_names))
    findings.remarks.extend(source.remarks)
    _check_unsplit(settings, source)
    whole = _filter(settings, _collect(settings, source, classes, findings), findings)
    group = settings.csv.group or source.group
    if group and not any(group in own for own in whole.cells_N):
        raise DataError(f"{settings.source}: no column {group} is kept beside it")
    renamed, shares = _plan(settings, whole, dest)
    if shares:
        splits = _divide(settings, whole, group, shares, findings)
    else:
        splits = in_order({renamed[name]: split for name, split in whole.by_split().items()})
    stays = bool(settings.csv.keep or group or reader.name == "mlc")
    looked_at = whole.cells_N if stays or shares else ()
    cells = dict(zip(whole.annotation.paths, looked_at, strict=False))
    beside = Beside(cells, group, stays)
    beside.hint(splits, findings.noted, names=bool(shares) and not settings.group_by)
    if writer.name == "mlc":
        dest.check(whole.annotation.classes, list(splits))
    findings.use_names()
    conversion = Conversion(
        format=reader.name,
        title=reader.title,
        seen=findings.said(seen or "") or None,
        remarks=tuple(findings.remarks),
        source=Path(findings.said(settings.source)),
        image_root=Path(findings.said(str(whole.annotation.folder))),
        to=writer.name,
        dest=dest.folder,
        classes=tuple(whole.annotation.class_names),
        classes_from="user" if classes else "labels" if source.classes is None else "source",
        splits={name: count_split(split) for name, split in splits.items()},
        renamed={
            name: new for name, new in renamed.items() if name not in ("", new) and not shares
        },
        alone=next(iter(renamed.values())) if shares and renamed else "",
        shares=shares,
        missing=missing_classes(splits),
        dropped=findings.dropped,
        noted=findings.noted,
        files=(),
        beside=tuple(name for name in dest.classes if name not in splits),
    )
    if settings.strict and findings.dropped.counts:
        return conversion
    return _write(settings, writer, splits, conversion, dest, beside)


def _check_places(settings: ConvertSettings) -> None:
    if not (is_file(Path(settings.source)) or is_folder(Path(settings.source))):
        raise DataError(f"{settings.source}: there is no such file or folder")
    if settings.images.root and not is_folder(Path(settings.images.root)):
        raise DataError(f"--images {settings.images.root}: there is no such folder")


def _check_unsplit(settings: ConvertSettings, source: Source) -> None:
    if len(source.unsplit) > 1 and settings.split in _WORDS:
        raise UsageError(
            f"{settings.source}: has {len(source.unsplit)} files whose names tell no split:"
            f" {', '.join(source.unsplit):.300}",
            "Name one of them, or join them with `--split train` or `--split 0.8,0.2`.",
        )


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None


def _collect(
    settings: ConvertSettings, source: Source, classes: list[str | int] | None, findings: Findings
) -> Collected:
    seen: set[str] = set()
    if classes:
        classes = old_classes(classes, settings.rename_class, settings.drop_class)
    whole = collect(
        with_splits(source, settings.rename, seen) if settings.rename else source,
        Path(settings.source),
        findings,
        classes=classes,
        drop_unknown_labels=settings.on_unknown_class == "drop",
        join_splits=settings.split not in _WORDS,
    )
    unused = [name for name in settings.rename if name not in seen]
    if unused and settings.split in _WORDS:
        raise UsageError(
            f"rename: {settings.source} has no split {', '.join(unused)}",
            f"It has {', '.join(sorted(seen)) or 'none'}.",
        )
    if settings.split in _WORDS and not split_in_name(Path(settings.source)):
        whole = by_folders(whole, findings.remarks)
    listed = [*(source.classes or ()), *(classes or ())]
    changed = change_classes(
        whole.annotation, settings.rename_class, settings.drop_class, findings.noted, listed=listed
    )
    return replace(whole, annotation=changed)


def _filter(settings: ConvertSettings, whole: Collected, findings: Findings) -> Collected:
    """Leave out images that cannot be used, or that are not wanted."""
    if settings.images.check or settings.images.link != "reference":
        root = _path(settings.images.root)
        searched = searched_folder(Path(settings.source), whole.annotation.folder, root)
        whole = locate_images(whole, searched, findings)
    check_floor(whole.annotation, findings)
    if whole.annotation.rules and settings.to not in OWN:
        findings.dropped.add("label rules, which the format cannot hold", "")
    rest = drop_rare(whole.annotation, settings.min_images, findings.noted)
    whole = replace(whole, annotation=rest)
    if settings.keep_empty:
        return whole
    sizes_N = whole.annotation.positives.sizes_N()
    for image in np.flatnonzero(sizes_N == 0).tolist():
        findings.noted.add("images without labels, left out", whole.annotation.paths[image])
    if not sizes_N.any():
        raise DataError(f"{settings.source}: no image has a label", "Keep them: --keep-empty.")
    return whole.take(np.flatnonzero(sizes_N))


def _plan(
    settings: ConvertSettings, whole: Collected, dest: Destination
) -> tuple[dict[str, str], tuple[float, ...]]:
    """Names of the splits by those in the source, or else the parts to divide it in."""
    if not isinstance(settings.split, str):
        return {}, settings.split
    if settings.split not in _WORDS:
        return {"": settings.split}, ()
    may_divide = settings.split == "auto" and settings.to in OWN
    if whole.splits != ("",):
        names = rename_splits(whole.splits)
    else:
        name = split_in_name(Path(settings.source))
        if may_divide and name is None and dest.classes:
            raise UsageError(
                f"which split is {settings.source}? {dest.folder} has"
                f" {', '.join(dest.classes)} already",
                "Say `--split val`, or whichever it is.",
            )
        names = {"": name or ("" if may_divide else "train")}
    # One split alone, unless it is train, cannot be trained on.
    alone = len(names) == 1 and "train" not in names.values() and not dest.classes
    return (names, SHARES) if may_divide and alone else (names, ())


def _divide(
    settings: ConvertSettings,
    whole: Collected,
    group: str,
    shares: tuple[float, ...],
    findings: Findings,
) -> dict[str, Annotation]:
    annotation, group_N = whole.annotation, None
    if settings.group_by is not None:
        group_N = group_by_name(annotation, re.compile(settings.group_by), findings.noted)
    elif group:
        values = (own.get(group) or None for own in whole.cells_N)
        group_N = number_groups(annotation, values, f"without a {group}", findings.noted)
    splits = divide(annotation, shares, settings.seed, group_N)
    bare = [name for name in splits if not len(splits[name])]
    if bare:
        groups = "" if group_N is None else f" in {group_N.max() + 1} groups"
        raise DataError(
            f"{settings.source}: {len(annotation)} images{groups} are too few to divide:"
            f" none is left for {', '.join(bare)}",
            "Choose other parts, or keep all in one with `--split train`.",
        )
    return splits


def _write(
    settings: ConvertSettings,
    writer: Writer,
    splits: Splits,
    conversion: Conversion,
    dest: Destination,
    beside: Beside,
) -> Conversion:
    images = settings.images
    with atomic_output(dest.folder, overwrite=settings.overwrite, record=RECORD) as stage:
        if inspect_existing(dest.folder) != dest:
            raise DataError(f"{dest.folder}: another command has just changed it", "Call again.")
        usual = f"{{}}/{fiftyone.DATA}" if writer.name == "fiftyone" else "images"
        folders = {name: images.folder or usual.format(name) for name in splits}
        moved = rewrite_paths(splits, dest.folder, stage, images.link, folders)
        if losses := writer.losses(moved):
            raise DataError(
                f"{writer.name} cannot hold this data set:\n"
                + "\n".join(f"  {loss}" for loss in losses[:SHOWN]),
                "Choose another format with --to.",
            )
        if writer.name == ShardsWriter.name:
            moved, writer = dict(splits), ShardsWriter(beside)
        files = [*writer.write(moved, stage), *beside.write(splits, moved, stage)]
        if images.link != "reference" and writer.name != ShardsWriter.name:
            copy_images(splits, moved, images.link)
        names = tuple(file.relative_to(stage).as_posix() for file in files)
        conversion = replace(conversion, files=names)
        write_json(stage / RECORD, {"conversions": [*dest.records, as_dict(conversion)]})
    return conversion
