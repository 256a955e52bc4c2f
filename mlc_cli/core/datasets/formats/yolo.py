"""YOLO: names of classes in one file, and a text file of boxes for each image.

    data.yaml                           names: [cat, dog] or {0: cat, 1: dog}
      path: ../coco8
      train: images/train               a folder, a pattern such as images/*/a_*.jpg, a .txt list of
                                        images, folders and patterns, or several: [images/a, b.txt]
    obj.data, obj.names                 Darknet, and CVAT's YOLO 1.1: train = data/train.txt
    classes.txt                         labelImg and Label Studio: a name a line

Where only `classes.txt` is, or boxes have names in place of numbers, all images of the folder
count, and folders such as `train` are splits. An image without a label file, or with an empty one,
has no labels.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.lines import is_folder
from mlc_cli.core.datasets.formats.shared.split_names import split_of_folders
from mlc_cli.core.datasets.formats.yolo_labels import LabelFiles, label_file
from mlc_cli.core.datasets.formats.yolo_layout import (
    Layout,
    absolute,
    data_folder,
    find_boxes,
    find_names,
    images_of,
    open_layout,
    resolve,
)
from mlc_cli.core.system.issues import IssueLog


def _detect(source: Path) -> str | None:
    """Name the file with names of classes, or the first file of boxes."""
    file = find_names(source)
    if file is not None and file.suffix != ".txt":
        return f"names of classes in {file.name}"
    boxes = find_boxes(source if source.is_dir() else data_folder(source))
    if boxes is None:
        return None
    return f"boxes in {boxes.name}" + (f", names of classes in {file.name}" if file else "")


def _read(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a file that names classes, or the folder that has it."""
    layout = open_layout(source)
    entries, names = layout.entries, layout.names
    root = _root(layout, images)
    image_root = images or root
    below = f"{absolute(image_root).as_posix().rstrip('/')}/"
    places = [(split, place) for split, entry in entries for place in resolve(root, entry, dropped)]
    if images is not None and entries == [("", ".")]:
        places = [("", absolute(images).as_posix())]
    files = LabelFiles(names, root, dropped)
    remarks = list(_remarks(places))
    if names is None:
        remarks.append("no file names the classes: they are called as their boxes say")
    return Source(
        image_root=image_root,
        samples=_samples(places, below, files, dropped),
        classes=None if names is None else list(dict.fromkeys(names.values())),
        remarks=tuple(remarks),
    )


def _samples(
    places: Sequence[tuple[str, str]], below: str, files: LabelFiles, dropped: IssueLog
) -> Iterator[Sample]:
    for split, place in places:
        for image in images_of(place, dropped):
            labels = files.labels(image)
            if labels is not None:
                path = image.removeprefix(below)
                yield Sample(path, labels, (), split or split_of_folders(path))
    files.close()


def _root(layout: Layout, images: Path | None) -> Path:
    """The folder that entries are relative to: the first choice where one of them is."""
    choices = [layout.folder / layout.named, layout.folder, *([images] if images else [])]
    for root in choices:
        if any(resolve(root, entry, IssueLog()) for _, entry in layout.entries):
            return root
    return choices[0]


def _remarks(places: list[tuple[str, str]]) -> Iterator[str]:
    for split, place in places:
        labels = label_file(f"{place}/any.jpg").parent
        bare = is_folder(Path(place)) and not is_folder(labels)
        if split and bare and not any(Path(place).glob("*.txt")):
            yield f"{split}: there is no folder {labels}, so that all images are without labels"


YOLO_READER = Reader("yolo", "YOLO", _detect, _read)
