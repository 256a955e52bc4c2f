"""From settings to readers and writers."""

from collections.abc import Sequence
from pathlib import Path

from mlc_cli.core.datasets.annotations import Label
from mlc_cli.core.datasets.formats import (
    celeba,
    coco,
    csv_list,
    csv_onehot,
    cvat,
    datumaro,
    fiftyone,
    image_folder,
    imagenet_txt,
    jsonl,
    keywords,
    label_studio,
    labelme,
    mlc,
    mmpretrain,
    nus_wide,
    open_images,
    vg500,
    via,
    voc,
    yolo,
)  # fmt: skip
from mlc_cli.core.datasets.formats.base import Reader, Writer
from mlc_cli.core.datasets.formats.foreign import refuse_known, refuse_unseen
from mlc_cli.core.datasets.formats.shared.lines import is_file, is_folder, other_files
from mlc_cli.core.datasets.formats.shared.split_names import meaning
from mlc_cli.core.datasets.formats.shared.states import StateRule
from mlc_cli.core.datasets.formats.shared.tables import Told
from mlc_cli.core.datasets.shards.writing import ShardsWriter
from mlc_cli.core.system.files import read_json, read_text
from mlc_cli.errors import DataError, UsageError
from mlc_cli.settings.convert import ConvertSettings
from mlc_cli.text import nearest

OWN = (mlc.MLC_WRITER.name, ShardsWriter.name)
"""What is written for mlc itself."""


def readers(settings: ConvertSettings) -> tuple[Reader, ...]:
    """All formats that can be read."""
    table = settings.csv
    told = Told(table.image, table.labels, table.split, table.group, table.keep)
    rule = StateRule(table.minus_one, table.zero, table.blank)
    return (
        mlc.MLC_READER,
        coco.coco_reader(settings.coco.crowd, settings.coco.min_area),
        datumaro.DATUMARO_READER,
        label_studio.LABEL_STUDIO_READER,
        labelme.LABELME_READER,
        via.VIA_READER,
        fiftyone.fiftyone_reader(settings.fiftyone.null),
        mmpretrain.MMPRETRAIN_READER,
        vg500.vg500_reader(settings.vg500.names),
        voc.voc_reader(settings.voc.difficult),
        nus_wide.NUS_WIDE_READER,
        open_images.open_images_reader(settings.open_images.unverified),
        csv_onehot.csv_onehot_reader(rule, told),
        csv_list.csv_list_reader(settings.csv.separator, told),
        cvat.cvat_reader(settings.cvat.attributes),
        yolo.YOLO_READER,
        imagenet_txt.IMAGENET_TXT_READER,
        celeba.CELEBA_READER,
        jsonl.JSONL_READER,
        keywords.TAG_FILE_READER,
        keywords.XMP_READER,
        image_folder.IMAGE_FOLDER_READER,
    )


def writers() -> tuple[Writer, ...]:
    """All formats that can be written."""
    return (
        mlc.MLC_WRITER,
        coco.COCO_WRITER,
        datumaro.DATUMARO_WRITER,
        fiftyone.FiftyOneWriter(),
        csv_onehot.CsvOnehotWriter(),
        csv_list.CsvListWriter(),
        ShardsWriter(),
    )


def format_names() -> list[str]:
    """What can be named as the format of a source."""
    known = readers(ConvertSettings(source=".", dest="."))
    return ["auto", "parquet", "shards", *(reader.name for reader in known)]


def pick_reader(settings: ConvertSettings) -> tuple[Reader, str | None, Path]:
    """The reader of a format, and for `auto` what was seen of that format, and where.

    Raises:
        UsageError: There is no such format, or it has no columns and some are told.
        DataError: Nothing or more than one format was seen.
    """
    other_files.cache_clear()
    known = {reader.name: reader for reader in readers(settings)}
    reader, seen, place = known.get(settings.format), None, Path(settings.source)
    if settings.format == "auto":
        reader, seen, place = detect(place, list(known.values()))
    elif settings.format in ("parquet", "shards"):  # what is, has been unpacked to lines of JSON
        raise DataError(f"{settings.source}: there is no Parquet file, or one beside other tables")
    elif reader is None:
        raise _no_such("format to read", settings.format, format_names())
    _check_columns(settings, reader.name)
    return reader, seen, place


def _check_columns(settings: ConvertSettings, form: str) -> None:
    told = settings.csv
    if settings.group_by and told.group:
        raise UsageError("--group-by and --group-column both tell groups", "Choose one of them.")
    if not form.startswith("csv") and (
        told.image or told.labels or told.split or told.keep or (told.group and form != "mlc")
    ):
        raise UsageError(
            f"{settings.source} is read as {form}, which has no columns",
            "Columns are told of tables: csv-list and csv-onehot.",
        )
    if (told.keep or told.group) and settings.to not in OWN:
        raise UsageError("columns are kept beside the files of mlc alone", "Leave out --to.")


def pick_writer(settings: ConvertSettings) -> Writer:
    """The writer of a format.

    Raises:
        UsageError: There is none.
    """
    known = {writer.name: writer for writer in writers()}
    if settings.to not in known:
        raise _no_such("format to write", settings.to, list(known))
    return known[settings.to]


def _no_such(what: str, name: str, known: Sequence[str]) -> UsageError:
    return UsageError(
        f"'{name}' is no {what}{nearest(name, known)}", f"There are {', '.join(known)}."
    )


def detect(source: Path, choices: Sequence[Reader]) -> tuple[Reader, str, Path]:
    """The one format that a place is seen to have, what was seen, and where.

    That is the place, or the only folder in it, as archives have one around all.

    Raises:
        DataError: There is no sign of any, or there are signs of several.
    """
    other_files.cache_clear()
    refuse_known(source)
    found = [(reader, seen) for reader in choices if (seen := reader.detect(source))]
    inside = [] if found else [own for own in source.glob("[!.]*") if own.name != "__MACOSX"]
    if len(inside) == 1 and is_folder(inside[0]) and not meaning(inside[0].name):
        return detect(inside[0], choices)
    if len(found) > 1:  # a table further down may be of anything
        found = [item for item in found if item[1].rpartition(" in ")[2].count("/") == 0
                 or not item[0].name.startswith("csv")] or found  # fmt: skip
    names = ", ".join(reader.name for reader in choices)
    if not found:
        refuse_unseen(source, names, image_folder.below(source))
    if len(found) > 1:
        lines = [f"  {reader.name}: {seen}" for reader, seen in found]
        raise DataError(
            f"{source} may be of {len(found)} formats:\n" + "\n".join(lines),
            "Name one of them in place of auto.",
        )
    return *found[0], source


def read_classes(settings: ConvertSettings) -> list[Label] | None:
    """The classes that the user fixes: a list, a file of them, or names with commas.

    Raises:
        UsageError: No name is given.
        DataError: The file cannot be read, or is no list.
    """
    given = settings.classes
    if not isinstance(given, str):
        return None if given is None else list(given)
    if not given.strip(", "):
        raise UsageError("--classes names no class", "Name some with commas, or a file of them.")
    path = Path(given)
    if "," in given or not (path.suffix or is_file(path) or is_folder(path)):
        return [name for part in given.split(",") if (name := part.strip())]
    if path.suffix.lower() != ".json":
        return [name for line in read_text(path).splitlines() if (name := line.strip())]
    content = read_json(path)
    names = content.get("classes") if isinstance(content, dict) else content
    if not isinstance(names, list) or not all(type(name) in (str, int) for name in names):
        raise DataError(f'{path}: is neither a list of names nor {{"classes": [names]}}')
    return names
