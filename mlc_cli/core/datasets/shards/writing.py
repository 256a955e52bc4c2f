"""Shards in WebDataset's layout: for each image its bytes, and beside it a JSON file of its labels.

shards/train-000000.tar: 000000000.jpg 000000000.json 000000001.png ...
train.parquet: the index
"""

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.columns import Beside
from mlc_cli.core.datasets.shards.index import write_index
from mlc_cli.core.system import places
from mlc_cli.core.system.files import named_faults
from mlc_cli.errors import MlcError

SHARD_BYTES = 256e6
"""From which a shard is full."""
FOLDER = "shards"


@dataclass(frozen=True)
class ShardsWriter:
    """Writes shards of about 256 MB with the images as they are, and an index for each split.

    `beside` has the columns of each image, of which one may tell what belongs together.
    """

    beside: Beside = field(default_factory=lambda: Beside({}, "", stays=False))
    name = "shards"

    def losses(self, splits: Mapping[str, Annotation]) -> list[str]:  # noqa: ARG002 - of a Writer
        """None."""
        return []

    def write(self, splits: Mapping[str, Annotation], folder: Path) -> list[Path]:
        """Write shards, and the index of a split behind its own; images are where they are now."""
        (folder / FOLDER).mkdir()
        return [file for name, own in splits.items() for file in self._write(name, own, folder)]

    def _write(self, split: str, annotation: Annotation, folder: Path) -> list[Path]:
        cells, group = self.beside.cells, self.beside.group
        groups = [cells.get(path, {}).get(group) for path in annotation.paths]
        found: list[tuple[int, int, int, int]] = []
        shards: list[Path] = []
        while len(found) < len(annotation):
            shards.append(folder / FOLDER / f"{split}-{len(shards):06}.tar")
            with (
                named_faults(shards[-1], "cannot be written", MlcError),
                tarfile.open(shards[-1], "w", format=tarfile.USTAR_FORMAT) as tar,
            ):
                while len(found) < len(annotation) and tar.offset < SHARD_BYTES:
                    place = _add(tar, annotation, len(found), split, groups[len(found)])
                    found.append((len(shards) - 1, *place, 0))
        index = folder / f"{split}.parquet"
        names = [shard.relative_to(folder).as_posix() for shard in shards]
        write_index(index, annotation, names, found, split, groups)
        return [*shards, index]


def _add(
    tar: tarfile.TarFile, annotation: Annotation, image: int, split: str, group: str | None
) -> tuple[int, int]:
    """Put an image and its labels at the end; where its bytes begin, and how many they are."""
    place = annotation.path(image)
    with named_faults(place, "cannot be read"):
        content = places.read(place)
    classes, path = annotation.classes, str(annotation.paths[image])
    second = "unknown" if annotation.unlisted == "absent" else "absent"
    about = {
        "path": path,
        "labels": [classes[label] for label in annotation.positives.of(image)],
        second: [classes[label] for label in annotation.others.of(image)],
        "split": split,
        **({"group": group} if group else {}),
    }
    start = tar.offset + tarfile.BLOCKSIZE  # a header of USTAR is one block
    suffix = PurePosixPath(path).suffix.lower() or ".img"
    for ending, data in ((suffix, content), (".json", json.dumps(about).encode())):
        info = tarfile.TarInfo(f"{image:09}{ending}")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return start, len(content)
