"""`mlc dataset-convert`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mlc_cli.commands import options, screen

if TYPE_CHECKING:
    from mlc_cli.core.datasets.converting.summary import Conversion
    from mlc_cli.core.system.issues import IssueLog

IMAGES = "Images"
LABELS = "Labels and splits"
ROWS, NAMES = 30, 10
"""How many classes the table shows, and a line names, at most."""


def dataset_convert(
    form: Annotated[
        str | None,
        typer.Argument(
            metavar="FORMAT",
            show_default=False,
            help="auto, mlc, coco, voc, yolo, csv-onehot, csv-list, image-folder, open-images,"
            " datumaro, cvat, label-studio, fiftyone, nus-wide, vg500, mmpretrain, imagenet-txt"
            " or celeba.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Argument(metavar="SOURCE", show_default=False, help="File or folder to convert."),
    ] = None,
    dest: Annotated[
        str | None,
        typer.Argument(
            metavar="DEST",
            show_default=False,
            help="Folder of the result; if it exists, splits are added to it.",
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the images, if they are not where the format has them.",
            rich_help_panel=IMAGES,
        ),
    ] = None,
    link: Annotated[
        str | None,
        typer.Option(
            help="reference leaves images where they are; copy, symlink or hardlink puts them in"
            " DEST.",
            rich_help_panel=IMAGES,
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES|FILE",
            help="The classes: names with commas, or a .txt or .json file.",
            rich_help_panel=LABELS,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Divide the images anew (0.8,0.2 or 0.8,0.1,0.1), keep the splits of the source,"
            " or name the one split that it is (val).",
            rich_help_panel=LABELS,
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="Images whose paths agree in this regular expression stay in one split.",
            rich_help_panel=LABELS,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the division.", rich_help_panel=LABELS)
    ] = None,
    keep_empty: Annotated[
        bool | None,
        typer.Option(
            "--keep-empty/--drop-empty",
            help="Keep images without labels, which are negatives, or leave them out.",
            rich_help_panel=LABELS,
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="mlc, coco, datumaro, fiftyone, csv-onehot or csv-list.",
            rich_help_panel=options.RESULT,
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Write nothing and exit with code 3 if anything would be dropped.",
            rich_help_panel=options.RESULT,
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace files that exist.", rich_help_panel=options.RESULT
        ),
    ] = False,
    as_json: options.Json = False,
    config: options.Config = None,
    assignments: options.Assignments = None,
    show_settings: options.ShowSettings = False,
) -> None:
    """Turn any labelled data set into one to train on, or into one for another tool.

    Example: mlc dataset-convert coco instances_val2017.json datasets/mine --images val2017
    """  # fmt: skip
    from mlc_cli.settings.convert import ConvertSettings

    flags = {
        "format": form,
        "source": source,
        "dest": dest,
        "images.root": images,
        "images.link": link,
        "classes": classes,
        "split": split,
        "group_by": group_by,
        "seed": seed,
        "keep_empty": keep_empty,
        "to": to,
        "strict": strict or None,
        "overwrite": overwrite or None,
    }
    settings = options.settings_of(
        ConvertSettings, "dataset-convert", flags, config, assignments, show=show_settings
    )
    from mlc_cli.core.datasets.converting.summary import as_dict
    from mlc_cli.errors import GateMissed
    from mlc_cli.jobs.convert import convert

    conversion = convert(settings)
    _introduce(conversion)
    if as_json:
        screen.result_json(as_dict(conversion))
    else:
        _show(conversion)
    if not conversion.files:
        kinds, count = len(conversion.dropped.counts), sum(conversion.dropped.counts.values())
        raise GateMissed(
            f"--strict: {count} findings of {kinds} kinds would be dropped; nothing is written"
        )
    _conclude(conversion, settings.images.link)


def _introduce(conversion: "Conversion") -> None:
    seen = f" ({conversion.seen})" if conversion.seen else ""
    screen.note(f"{conversion.source}: {conversion.title}{seen}")
    for remark in conversion.remarks:
        screen.note(f"  {remark}")
    for name, new in conversion.renamed.items():
        screen.note(f"split {name} becomes {new}")
    if conversion.shares:
        parts = zip(conversion.splits, conversion.shares, strict=True)
        screen.note("divided in " + ", ".join(f"{name} {share:g}" for name, share in parts))
    if conversion.alone:
        screen.note(
            f"  the source is {conversion.alone} alone, and a training needs train and val;"
            f" --split {conversion.alone} keeps it whole"
        )
    if conversion.classes_from == "labels":
        screen.note(
            f"{conversion.source} lists no classes; these {len(conversion.classes)} have images: "
            + _some(conversion.classes, 10 * NAMES)
        )


def _some(names: Sequence[str], most: int = NAMES) -> str:
    """The first names of a list, in words."""
    more = len(names) - most
    return ", ".join(map(screen.plain, names[:most])) + (f" and {more} more" if more > 0 else "")


def _show(conversion: "Conversion") -> None:
    screen.table(
        ("split", "images", "labels", "labels an image", "without labels", "unknown"),
        [
            (
                name,
                f"{split.images}",
                f"{split.labels}",
                f"{split.labels / split.images:.2f}",
                f"{split.empty}",
                f"{split.unknown_C.sum()}",
            )
            for name, split in conversion.splits.items()
        ],
    )
    _show_classes(conversion)
    _show_findings("noted", conversion.noted)
    _show_findings("dropped", conversion.dropped)


def _show_classes(conversion: "Conversion") -> None:
    """Classes by the number of their images, and those that have none."""
    names = conversion.classes
    counts = [
        [int(split.positives_C[c]) for split in conversion.splits.values()]
        for c in range(len(names))
    ]
    ranking = sorted(range(len(names)), key=lambda c: -sum(counts[c]))
    rows = [(screen.plain(names[c]), *map(str, counts[c])) for c in ranking if any(counts[c])]
    screen.table(("images of each class", *conversion.splits), rows[:ROWS])
    if len(rows) > ROWS:
        screen.result(f"... and {len(rows) - ROWS} more classes with images; --json has them all")
    bare = [name for name, own in zip(names, counts, strict=True) if not any(own)]
    if bare:
        screen.result(f"{len(bare)} of {len(names)} classes have no image: {_some(bare)}")
    for split, lacking in conversion.missing.items():
        screen.result(
            f"warning: {len(lacking)} of {len(names)} classes have no image in {split}:"
            f" {_some(lacking)}"
        )


def _show_findings(title: str, tally: "IssueLog") -> None:
    if tally.counts:
        screen.result(f"{title}:")
        screen.result(tally.lines())


def _conclude(conversion: "Conversion", link: str) -> None:
    screen.note(f"written to {conversion.dest}: {', '.join(conversion.files)}, convert.json")
    root, dest = conversion.image_root, conversion.dest
    if link == "reference" and not root.resolve().is_relative_to(dest.resolve()):
        screen.note(
            f"the images stay in {root}, so that neither folder may move; --link hardlink or"
            f" --link copy puts them in {dest}"
        )
    if conversion.to != "mlc":
        return
    if link == "symlink":
        screen.note("links lead out of the folder: train with --set data.allow_outside_root=true")
    lacking = {"train", "val"} - {*conversion.splits, *conversion.beside}
    if lacking:
        screen.note(
            f"a training needs {' and '.join(sorted(lacking))} too: convert"
            f" {'it' if len(lacking) == 1 else 'them'} into the same folder, or divide this source"
            " with --split 0.8,0.2"
        )
