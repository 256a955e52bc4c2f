"""`mlc dataset-convert`."""

from typing import TYPE_CHECKING, Any

from mlc_cli.commands import flags, screen
from mlc_cli.commands.flags import Flag, Given, settings_command
from mlc_cli.settings.convert import ConvertSettings
from mlc_cli.text import some

if TYPE_CHECKING:
    from mlc_cli.core.datasets.converting.summary import Conversion

IMAGES = "Images"
LABELS = "Labels and splits"
ROWS = 30
"""How many classes the table shows, and a line names, at most."""


@settings_command(
    ConvertSettings,
    "dataset-convert",
    Flag("format", metavar="FORMAT", argument=True),
    Flag("source", metavar="SOURCE", argument=True),
    Flag("dest", metavar="DEST", argument=True),
    Flag("images.root", IMAGES, ("--images",), metavar="DIR"),
    Flag("images.link", IMAGES),
    Flag("classes", LABELS, metavar="NAMES|FILE"),
    Flag("label_names", LABELS, metavar="FILE"),
    Flag("rename_class", LABELS, metavar="OLD=NEW"),
    Flag("drop_class", LABELS, metavar="NAME"),
    Flag("min_images", LABELS, metavar="N"),
    Flag("split", LABELS),
    Flag("csv.image", LABELS, ("--image-column",), metavar="NAME"),
    Flag("csv.labels", LABELS, ("--label-column",), metavar="NAME"),
    Flag("csv.split", LABELS, ("--split-column",), metavar="NAME"),
    Flag("csv.group", LABELS, ("--group-column",), metavar="NAME"),
    Flag("csv.keep", LABELS, ("--keep-columns",)),
    Flag("group_by", LABELS, metavar="PATTERN"),
    Flag("seed", LABELS),
    Flag("keep_empty", LABELS, ("--keep-empty/--drop-empty",)),
    Flag("to", flags.RESULT, metavar="FORMAT"),
    flags.STRICT,
    Flag("overwrite", flags.RESULT),
)
def dataset_convert(given: Given[ConvertSettings], *, as_json: flags.Json = False) -> None:
    """Example: mlc dataset-convert coco instances_val2017.json datasets/mine --images val2017"""
    if given.flags["dest"] is None:
        _without_format(given.flags)
    settings = given.settings()
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


def tell(conversion: "Conversion", link: str) -> None:
    """Say what a conversion that another command asked for came to."""
    _introduce(conversion)
    _show(conversion)
    _conclude(conversion, link)


def _without_format(flags: dict[str, Any]) -> None:
    """Take two places for SOURCE and DEST, if the first is no format."""
    from mlc_cli.core.datasets.formats.build import format_names

    form, source = flags["format"], flags["source"]
    if source is not None and form not in format_names():
        flags.update(format="auto", source=form, dest=source)


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
            + some(conversion.classes, 100)
        )


def _show(conversion: "Conversion") -> None:
    screen.show_splits(conversion.splits)
    _show_classes(conversion)
    for title, tally in (("noted", conversion.noted), ("dropped", conversion.dropped)):
        if tally.counts:
            screen.result(f"{title}:\n{tally.lines()}")


def _show_classes(conversion: "Conversion") -> None:
    """Classes by the number of their images, and those that have none."""
    names = conversion.classes
    counts = [
        [int(split.positives_C[c]) for split in conversion.splits.values()]
        for c in range(len(names))
    ]
    ranking = sorted(range(len(names)), key=lambda c: -sum(counts[c]))
    rows = [(names[c], *map(str, counts[c])) for c in ranking if any(counts[c])]
    screen.table(("images of each class", *conversion.splits), rows[:ROWS])
    if len(rows) > ROWS:
        screen.result(f"... and {len(rows) - ROWS} more classes with images; --json has them all")
    bare = [name for name, own in zip(names, counts, strict=True) if not any(own)]
    if bare:
        screen.result(f"{len(bare)} of {len(names)} classes have no image: {some(bare)}")
    for split, lacking in conversion.missing.items():
        screen.result(
            f"warning: {len(lacking)} of {len(names)} classes have no image in {split}:"
            f" {some(lacking)}"
        )


def _conclude(conversion: "Conversion", link: str) -> None:
    screen.note(f"written to {conversion.dest}: {', '.join(conversion.files)}, convert.json")
    root, dest = conversion.image_root, conversion.dest
    zipped = not conversion.source.is_dir() and root.is_relative_to(conversion.source)
    if zipped:
        screen.note(f"the images of {conversion.source} are in {dest} now")
    elif conversion.to == "shards":
        screen.note(f"the images of {root} are in {dest / 'shards'}, too")
    elif link == "reference" and not root.resolve().is_relative_to(dest.resolve()):
        screen.note(
            f"the images stay in {root}, so that neither folder may move; --link hardlink or"
            f" --link copy puts them in {dest}"
        )
    trainable = conversion.to in ("mlc", "shards")
    if trainable and link == "symlink":
        screen.note("links lead out of the folder: train with --set data.allow_outside_root=true")
    lacking = {"train", "val"} - {*conversion.splits, *conversion.beside}
    if trainable and lacking:
        screen.note(
            f"a training needs {' and '.join(sorted(lacking))} too: convert"
            f" {'it' if len(lacking) == 1 else 'them'} into the same folder, or divide this source"
            " with --split 0.8,0.2"
        )
    if line := conversion.large_losses():
        screen.note(line)
