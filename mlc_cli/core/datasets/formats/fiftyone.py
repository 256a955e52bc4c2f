"""FiftyOne image classification: `labels.json`, and images in `data/` or as `data.json` says.

    {"classes": ["cat", "dog"], "labels": {"a": [1], "b": [], "c": null}}

Keys are paths of images without suffix. `null` says that no label is stated, so that all states
are unknown, whereas `[]` says that the image has none of the classes. FiftyOne itself takes `[]`
for that, but writes `null` for it, which can mean either: `null` may be read as absent, too.
Splits are folders.
"""

import posixpath
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from mlc_cli.core.datasets.annotations import Annotation, State
from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.json_files import FileKind, having, id_key, load
from mlc_cli.core.datasets.formats.shared.layout import split_of
from mlc_cli.core.datasets.formats.shared.naming import ImageNames
from mlc_cli.core.datasets.formats.shared.writing import (
    exported_paths,
    numbered_classes,
    write_object,
)
from mlc_cli.core.system.issues import IssueLog

LABELS, MANIFEST, DATA = "labels.json", "data.json", "data"
_FILES = FileKind(
    "labels",
    having(r"\A\s*\{", r'"labels"\s*:\s*\{'),
    'labels.json looks like {"classes": ["cat", "dog"], "labels": {"image": [0, 1]}}.',
    (),
    (LABELS, f"*/{LABELS}"),
)

Find = Callable[[str], str | None]


class _Content(Struct):
    labels: dict[str, Any]
    classes: list[str | int] | None = None


def fiftyone_reader(null: State = "unknown") -> Reader:
    """Reads classification data sets of FiftyOne."""
    return Reader("fiftyone", "FiftyOne image classification", _FILES.seen, partial(_read, null))


def _read(null: State, source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a file of labels, its folder, or a folder of such folders, which are splits."""
    contents = _FILES.load_all(source, _Content)
    targets = {file: _targets(file, part, dropped, null) for file, part in contents.items()}
    lists = [part.classes for part in contents.values()]
    named = [[*map(str, names or ())] for names in lists]
    found = (names or [] for part in targets.values() for names in part.values())
    classes = list(dict.fromkeys(chain.from_iterable(named if all(lists) else found)))
    root = images or (source if source.is_dir() else source.parent)
    return Source(
        image_root=root,
        samples=_samples(targets, classes, root, dropped, given=images is not None),
        classes=classes if all(lists) else None,
    )


def _targets(
    file: Path, content: _Content, dropped: IssueLog, null: State
) -> dict[str, list[str] | None]:
    """Labels by key; `None` where all states are unknown."""
    targets: dict[str, list[str] | None] = {}
    for key, target in content.labels.items():
        place = f"{file}: {key:.200}"
        if target is None and null == "unknown":
            dropped.add("images with null for labels (all their states are unknown)", place)
            targets[key] = None
            continue
        items = target if isinstance(target, list) else [target]
        names = [_name(item, content.classes or ()) for item in items if target is not None]
        targets[key] = [name for name in names if name is not None]
        if None in names:
            kind = "labels that are not those of a class"
            dropped.add(kind, f"{place}: {target!r:.80}", names.count(None))
    return targets


def _name(item: Any, classes: Sequence[str | int]) -> str | None:
    """Name of a label, given by name, or by number, perhaps with a confidence."""
    label = item.get("label") if isinstance(item, dict) else item
    number = id_key(label) if isinstance(label, str | int | float) else None
    if isinstance(label, str) and (type(number) is not int or label in map(str, classes)):
        return label
    if type(number) is not int or not classes:
        return None if type(number) is not int else str(number)
    return str(classes[number]) if 0 <= number < len(classes) else None


def _samples(
    targets: Mapping[Path, Mapping[str, list[str] | None]],
    classes: Sequence[str],
    root: Path,
    dropped: IssueLog,
    *,
    given: bool,
) -> Iterator[Sample]:
    for file, labels in targets.items():
        folder = file.absolute().parent
        split = split_of(folder) if len(targets) == 1 else folder.name
        find = _finder(file.parent, root, dropped, given=given)
        for key, names in labels.items():
            path = find(key)
            if path is not None:
                yield Sample(path, names or (), classes if names is None else (), split)


def _finder(folder: Path, root: Path, dropped: IssueLog, *, given: bool) -> Find:
    """What turns the keys of a folder into paths below the root, be it given or not."""
    own = "" if given else f"{folder.relative_to(root).as_posix()}/".removeprefix("./")
    manifest, data = folder / MANIFEST, folder / DATA
    if manifest.is_file():
        paths = load(manifest, dict[str, str], 'It looks like {"image.jpg": "path/image.jpg"}.')
        bare = {posixpath.splitext(key)[0]: path for key, path in paths.items()}
        index = ImageNames(root, dropped)

        def listed(key: str) -> str | None:
            path = bare.get(key, paths.get(key))
            if path is None:
                dropped.add(f"images that {MANIFEST} does not list", f"{key:.200}")
                return None
            return index.find(path) if given else posixpath.normpath(posixpath.join(own, path))

        return listed
    base = root if given else data if data.is_dir() else folder
    inside = f"{own}{DATA}/" if base == data else own
    names = ImageNames(base, dropped)
    return lambda key: (path := names(key)) and posixpath.join(inside, path)


class FiftyOneWriter:
    """Writes `<split>/labels.json`, and `<split>/data.json`, which says where the images are.

    FiftyOne reads the folder of a split as it is if the images of the split are in its `data`, and
    with `data_path="data.json"` if they are elsewhere.
    """

    name = "fiftyone"

    def losses(self, splits: Mapping[str, Annotation]) -> list[str]:
        """Unknown states of images that are labelled, names alike but for the suffix, numbers."""
        reasons = numbered_classes(splits)
        for split, annotation in splits.items():
            unknown_N = _unknown_N(annotation)
            partly = int(((unknown_N > 0) & (unknown_N < len(annotation.classes))).sum())
            if partly:
                reasons.append(f"{split}: {partly} images have some labels that are unknown")
            stems = Counter(posixpath.splitext(path)[0] for path in annotation.paths)
            twins = [stem for stem, count in stems.items() if count > 1]
            if twins:
                reasons.append(
                    f"{split}: {len(twins)} images differ in their suffix alone: {twins[0]}"
                )
        return reasons

    def write(self, splits: Mapping[str, Annotation], folder: Path) -> list[Path]:
        """Write two files for each split."""
        files = []
        for split, annotation in splits.items():
            labels, manifest = folder / split / LABELS, folder / split / MANIFEST
            keys, classes = _keys(split, annotation), annotation.class_names
            write_object(labels, {"classes": classes, "labels": _labels(annotation, keys)})
            places = exported_paths(annotation, labels.parent)
            write_object(manifest, dict(zip(keys, places, strict=True)))
            files += [labels, manifest]
        return files


def _unknown_N(annotation: Annotation) -> NDArray[np.int64]:
    """How many labels of each image are unknown."""
    others_N = annotation.others.sizes_N()
    if annotation.unlisted == "absent":
        return others_N
    return len(annotation.classes) - annotation.positives.sizes_N() - others_N


def _keys(split: str, annotation: Annotation) -> list[str]:
    """Paths of the images: below the `data` of the split if all are there."""
    paths, prefix = list(annotation.paths), f"{split}/{DATA}/"
    inside = all(path.startswith(prefix) for path in paths)
    return [path.removeprefix(prefix) for path in paths] if inside else paths


def _labels(annotation: Annotation, keys: Sequence[str]) -> dict[str, list[int] | None]:
    blank_N = _unknown_N(annotation) == len(annotation.classes)
    return {
        posixpath.splitext(key)[0]: None if blank else annotation.positives.of(image).tolist()
        for image, (key, blank) in enumerate(zip(keys, blank_N, strict=True))
    }
