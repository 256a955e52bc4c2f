"""mmpretrain: `{"metainfo": {"classes": [...]}, "data_list": [{"img_path", "gt_label"}]}`.

Without names of the classes, their numbers are the names.
"""

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from mlc_cli.core.datasets.annotations import Label
from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.json_files import FileKind, having, numbered
from mlc_cli.core.datasets.formats.shared.layout import image_prefix, root_of, split_of, unsplit
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_FILES = FileKind(
    "metainfo and data_list",
    having(r'"(?:metainfo|img_path)"\s*:', r'"(?:data_list|gt_label)"\s*:'),
    'The file looks like {"metainfo": {"classes": [...]}, "data_list": [...]}.',
    ("*.json", "annotations/*.json"),
)


class _Meta(Struct):
    classes: list[str] | None = None


class _Entry(Struct, gc=False):
    img_path: str | None = None
    gt_label: Any = None


class _Content(Struct):
    data_list: list[_Entry]
    metainfo: _Meta = field(default_factory=_Meta)


def _read(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a file, or all of a folder, where all files name the classes, or none does."""
    contents = _FILES.load_all(source, _Content, dropped, "data_list")
    root = images or root_of(source)
    return Source(
        image_root=root,
        samples=_samples(contents, root, dropped),
        classes=_classes(source, contents),
        unsplit=unsplit({file: len(content.data_list) for file, content in contents.items()}),
    )


def _classes(source: Path, contents: Mapping[Path, _Content]) -> list[Label] | None:
    lists = [content.metainfo.classes for content in contents.values()]
    named = [names for names in lists if names is not None]
    if named and len(named) < len(lists):
        raise DataError(f"{source}: some files name the classes, others do not", _FILES.hint)
    return list(dict.fromkeys(name for names in named for name in names)) if named else None


def _samples(contents: Mapping[Path, _Content], root: Path, dropped: IssueLog) -> Iterator[Sample]:
    for file, content in contents.items():
        split = split_of(file)
        paths = [(entry.img_path or "").replace("\\", "/") for entry in content.data_list]
        prefix = image_prefix(root, split, filter(None, paths))
        for number, (entry, path) in enumerate(zip(content.data_list, paths, strict=True)):
            place = f"{file.name}, entry {number}"
            numbers = entry.gt_label if isinstance(entry.gt_label, list) else [entry.gt_label]
            if not path or entry.gt_label is None:
                dropped.add("entries without img_path or gt_label", f"{place}: {path:.80}")
            else:
                labels = numbered(numbers, content.metainfo.classes, place, dropped)
                yield Sample(posixpath.join(prefix, path), labels, (), split)


MMPRETRAIN_READER = Reader("mmpretrain", "mmpretrain", _FILES.seen, _read)
