"""Pascal VOC: an XML file of objects for each image, and lists of images for each split.

    Annotations/<id>.xml  ImageSets/Main/<split>.txt  JPEGImages/<id>.jpg

Without XML files, or without lists of splits, `ImageSets/Main/<class>_<split>.txt` says it all: an
id and 1 (present), -1 (absent) or 0 (only difficult objects) on each line. `trainval` lists the
images of `train` and `val` a second time; beside these, it is read for other images alone.

    <split>/<id>.xml  <split>/<id>.jpg

Roboflow and labelImg have the XML file beside its image: in folders of splits, or in one folder.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.images import is_image
from mlc_cli.core.datasets.formats.shared.json_files import opening
from mlc_cli.core.datasets.formats.shared.lines import is_file, is_folder, text_lines
from mlc_cli.core.datasets.formats.shared.naming import ImageNames, leads_out, without_suffix
from mlc_cli.core.datasets.formats.shared.split_names import meaning
from mlc_cli.core.datasets.formats.shared.xml_files import whole
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

Difficult = Literal["positive", "unknown", "negative"]
_CLASS_LIST = re.compile(r"(.+)_(train|val|trainval|test)")
_ROOT = re.compile(r"<annotation[\s>]")


class _Image(NamedTuple):
    """An image of a list: its classes with a plain object, and those with difficult ones alone."""

    id: str
    plain: list[str]
    hard: list[str]


class _Lists(NamedTuple):
    """Split and objects of each image, the classes if there are lists of them, and remarks."""

    images: Iterator[tuple[str, _Image]]
    classes: list[str] | None
    remarks: tuple[str, ...]


def voc_reader(difficult: Difficult = "positive") -> Reader:
    """Reads Pascal VOC."""
    return Reader("voc", "Pascal VOC", _detect, partial(_read, difficult))


def _detect(source: Path) -> str | None:
    """Name the folders that are there."""
    folders = _find(source)
    if not folders:
        beside = _beside(source)
        places = ", ".join(split or str(source) for split in beside)
        return f"XML files beside images in {places}" if beside else None
    names = [name for name in ("Annotations", "ImageSets/Main") if (folders[0] / name).is_dir()]
    return f"{' and '.join(names)} in {folders[0]}"


def _read(difficult: Difficult, source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a folder, or one or two folders above it; or one with XML files beside images."""
    folders = _find(source)
    if not folders and (beside := _beside(source)):
        root = images or source
        pairs = _pairs(beside, dropped)
        return Source(root, _samples(pairs, ImageNames(root, dropped), difficult))
    if len(folders) != 1:
        found = ", ".join(map(str, folders)) or "none has Annotations/*.xml or ImageSets/Main"
        raise DataError(
            f"{source}: is not one folder of Pascal VOC: {found:.300}",
            "Name the folder that has Annotations, such as VOCdevkit/VOC2007.",
        )
    lists = _open_lists(folders[0] / "ImageSets/Main", folders[0] / "Annotations", dropped)
    pictures = folders[0] / "JPEGImages"
    root = images or (pictures if pictures.is_dir() else folders[0])
    return Source(
        image_root=root,
        samples=_samples(lists.images, ImageNames(root, dropped), difficult),
        classes=lists.classes,
        remarks=lists.remarks,
    )


def _samples(
    images: Iterable[tuple[str, _Image]], names: ImageNames, difficult: Difficult
) -> Iterator[Sample]:
    for split, (image, plain, hard) in images:
        path = names(image, "JPEGImages")
        if path is None:
            continue
        if path == without_suffix(path):
            path += ".jpg"
        if difficult == "positive":
            yield Sample(path, [*plain, *hard], (), split)
        else:
            yield Sample(path, plain, hard if difficult == "unknown" else (), split)


def _find(source: Path) -> list[Path]:
    """A folder, if it is one of Pascal VOC, or those below it that are called VOC2007 or so."""
    choices = [source] if _is_voc(source) else [*source.glob("VOC*"), *source.glob("*/VOC*")]
    return sorted(folder for folder in choices if _is_voc(folder))


def _is_voc(folder: Path) -> bool:
    return any((folder / "Annotations").glob("*.xml")) or any(
        (folder / "ImageSets/Main").glob("*.txt")
    )


def _beside(source: Path) -> dict[str, Path]:
    """The folders of splits that have XML files of objects; else the folder itself, as split ''."""
    splits = {folder.name: folder for folder in sorted(source.glob("*")) if meaning(folder.name)}
    found = {split: folder for split, folder in splits.items() if _has_objects(folder)}
    return found or ({"": source} if _has_objects(source) else {})


def _has_objects(folder: Path) -> bool:
    """Whether any of ten XML files of a folder is one of Pascal VOC."""
    files = islice(folder.glob("*.xml"), 10) if is_folder(folder) else ()
    return any(_ROOT.search(opening(file)[:4096]) for file in files)


def _pairs(folders: dict[str, Path], dropped: IssueLog) -> Iterator[tuple[str, _Image]]:
    """Split and objects of each XML file; images that have none are counted."""
    for split, folder in folders.items():
        prefix = f"{split}/" if split else ""
        stems = {file.stem: file for file in sorted(folder.glob("*.xml"))}
        for file in stems.values():
            yield from (
                (split, image) for image in _read_objects(prefix + file.stem, file, dropped)
            )
        for file in sorted(folder.glob("*")):
            if is_image(file.name) and not {file.name, without_suffix(file.name)} & stems.keys():
                dropped.add("images without an XML file", prefix + file.name)


def _read_objects(image: str, file: Path, dropped: IssueLog) -> Iterator[_Image]:
    """An image with the objects of its file, if that can be read."""
    try:
        yield _Image(image, *_objects(file, dropped))
    except DataError as error:
        dropped.add("images whose XML file cannot be read", error.message)


def _open_lists(main: Path, annotations: Path, dropped: IssueLog) -> _Lists:
    """Images of the lists of splits, if there are XML files; else of the lists of classes."""
    of_splits: dict[str, Path] = {}
    of_classes: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in sorted(main.glob("*.txt")):
        match = _CLASS_LIST.fullmatch(path.stem)
        if match and _has_states(path):
            of_classes[match[2]][match[1]] = path
        else:
            of_splits[path.stem] = path
    files = sorted(annotations.glob("*.xml"))
    if files and (of_splits or not of_classes):
        ids = {split: [line for _, line in text_lines(own)] for split, own in of_splits.items()}
        found = _once(ids or {"": [file.stem for file in files]})
        images = (
            (split, own) for split, name in found for own in _listed(name, annotations, dropped)
        )
        return _Lists(images, None, _remarks(ids))
    if not of_classes:
        raise DataError(f"{annotations}: has no XML files, and no list names a class")
    states = {split: _with_states(lists, dropped) for split, lists in of_classes.items()}
    classes = sorted({name for lists in of_classes.values() for name in lists})
    images = ((split, states[split][name]) for split, name in _once(states))
    return _Lists(images, classes, _remarks(states))


def _once(lists: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str]]:
    """Split and id of each image, of `trainval` those that neither `train` nor `val` has."""
    seen: set[str] = set()
    for split in sorted(lists, key=lambda split: (split == "trainval", split)):
        for name in lists[split]:
            if split in ("train", "val"):
                seen.add(name)
            if split != "trainval" or name not in seen:
                yield split, name


def _remarks(splits: Collection[str]) -> tuple[str, ...]:
    if "trainval" in splits and {"train", "val"} & set(splits):
        return ("trainval lists images of train and val again: they are in those",)
    return ()


def _listed(image: str, annotations: Path, dropped: IssueLog) -> Iterator[_Image]:
    image = image.partition(".jpg ")[0]  # Paddle has the XML file behind the image
    path = annotations / f"{without_suffix(image)}.xml"
    if not is_file(path) and not leads_out(image):  # a path in place of an id: JPEGImages/1.jpg
        image = image.rpartition("/")[2]
        path = annotations / f"{without_suffix(image)}.xml"
    if leads_out(image):
        dropped.add("images whose id leads out of the folder", f"{image:.80}")
    elif not is_file(path):
        dropped.add("images without an XML file", f"{path!s:.200}")
    else:
        yield from _read_objects(image, path, dropped)


def _with_states(lists: Mapping[str, Path], dropped: IssueLog) -> dict[str, _Image]:
    images: dict[str, _Image] = {}
    for name, path in lists.items():
        for number, line in text_lines(path):
            image, _, state = " ".join(line.split()).rpartition(" ")
            if not image or state not in ("1", "0", "-1"):
                kind = "lines that are not an id and 1, 0 or -1"
                dropped.add(kind, f"{path}, line {number}: {line!r:.80}")
                continue
            _, plain, hard = images.setdefault(image, _Image(image, [], []))
            if state != "-1":
                (plain if state == "1" else hard).append(name)
    return images


def _has_states(path: Path) -> bool:
    """Whether the first line of a list ends in a state; a list of a split has ids alone."""
    _, line = next(text_lines(path), (0, ""))
    words = line.split()
    return len(words) > 1 and words[-1] in ("1", "0", "-1")


def _objects(path: Path, dropped: IssueLog) -> tuple[list[str], list[str]]:
    """Classes with an object that is not difficult, and those with difficult ones alone."""
    plain, hard = dict[str, None](), dict[str, None]()
    for thing in whole(path).iterfind("object"):
        name = (thing.findtext("name") or "").strip()
        if not name:
            dropped.add("objects without a name", str(path))
            continue
        difficult = (thing.findtext("difficult") or "").strip().lower() in ("1", "true")
        (hard if difficult else plain)[name] = None
    return list(plain), [name for name in hard if name not in plain]
