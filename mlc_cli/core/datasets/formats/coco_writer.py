"""COCO as it is written: labels of images without boxes, which says no more than is known."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.formats.shared.json_files import write_object
from mlc_cli.core.datasets.formats.shared.layout import common_prefix
from mlc_cli.core.datasets.formats.shared.losses import numbered_classes, unknown_states


class CocoWriter:
    """Writes `annotations/labels_<split>.json`."""

    name = "coco"

    def losses(self, splits: Mapping[str, Annotation]) -> list[str]:
        """Unknown states, and classes that are numbers."""
        return [*unknown_states(splits), *numbered_classes(splits)]

    def write(self, splits: Mapping[str, Annotation], folder: Path) -> list[Path]:
        """Write a file for each split; file names start at `images/<split>/` if all are there.

        Raises:
            MlcError: A file cannot be written.
        """
        files = []
        for split, annotation in splits.items():
            files.append(folder / "annotations" / f"labels_{split}.json")
            write_object(files[-1], _content(annotation, common_prefix(annotation, split)))
        return files


def _content(annotation: Annotation, prefix: str) -> dict[str, object]:
    """Numbers start at 1: some readers take 0 for none."""
    return {
        "categories": [
            {"id": number, "name": name, "supercategory": ""}
            for number, name in enumerate(annotation.class_names, 1)
        ],
        "images": (
            {"id": number, "file_name": path.removeprefix(prefix)}
            for number, path in enumerate(annotation.paths, 1)
        ),
        "annotations": _objects(annotation),
    }


def _objects(annotation: Annotation) -> Iterator[dict[str, int]]:
    number = 0
    for image in range(len(annotation)):
        for label in annotation.positives.of(image).tolist():
            number += 1
            yield {"id": number, "image_id": image + 1, "category_id": label + 1}
