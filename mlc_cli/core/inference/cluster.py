"""Prediction on the machines of a Ray cluster, which see the same disk.

A part is a file with the predictions of some images. A process of the cluster writes it whole or
not at all, and a line of `_manifest.jsonl` then says that it is done. What has no line is done when
the command is called again; a part that was written without one is replaced by the same.
"""

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TextIO

import cv2

from mlc_cli.core.inference.engines import is_exported, model_files
from mlc_cli.core.inference.predictions import FORMATS, Format, JsonLines
from mlc_cli.core.inference.results import Prediction
from mlc_cli.core.inference.writer import RecordWriter
from mlc_cli.core.loading.sources import Item
from mlc_cli.core.loading.stream import Picture, PictureReader, fetched
from mlc_cli.core.system.addresses import is_remote
from mlc_cli.core.system.checksum import digest_of
from mlc_cli.core.system.cores import take_cores
from mlc_cli.core.system.extras import import_extra
from mlc_cli.core.system.files import lock_output, read_text, write_atomic
from mlc_cli.core.system.ray_cluster import connected
from mlc_cli.errors import DataError, UsageError
from mlc_cli.settings.predict import PredictSettings

if TYPE_CHECKING:
    from mlc_cli.core.inference.model import Model

PART_BYTES = 2**27
"""Pixels of a part: so large are the blocks that Ray Data hands round."""
PART_IMAGES = 1000
MANIFEST = "_manifest.jsonl"  # what begins so is no part of a table to those who read Parquet
_HOW = {"like", "weight_classes", "precision", "matmul", "tta", "tiles", "topk", "format",
        "guard_formulas", "on_damaged", "max_megapixels"}  # fmt: skip
"""Settings that predictions depend on."""


@dataclass(frozen=True)
class Work:
    """What each process of the cluster gets; the model goes as the name of its file.

    Attributes:
        model: That is run.
        settings: Of the prediction.
        folder: Of the parts, absolute.
        here: Folder that paths are relative to.
    """

    model: "Model"
    settings: PredictSettings
    folder: Path
    here: Path = field(default_factory=Path.cwd)

    @property
    def part_images(self) -> int:
        """Images of a part: the same for the same model."""
        height, width = self.model.input_size
        image = 3 * height * width * (1 + self.settings.tiles**2)
        return max(1, min(PART_IMAGES, PART_BYTES // image))

    @property
    def on_gpu(self) -> bool:
        """Whether it wants a GPU where there is one."""
        on_host = self.model.opened.engine.on_host
        return not on_host or (self.settings.device == "auto" and not is_exported(self.model.path))

    @property
    def digest(self) -> str:
        """Of all that predictions depend on beside the images."""
        files = (file.read_bytes() for file in model_files(self.model.path))
        hashes = [hashlib.sha256(content).hexdigest() for content in files]
        how = self.settings.model_dump(mode="json", include=_HOW)
        return digest_of([hashes, how, self.model.thresholds.tolist()])


@dataclass(frozen=True)
class Part:
    """A part that is done.

    Images that could not be read are there with the reason, damaged ones with what is wrong.
    """

    name: str
    images: int
    unreadable: list[tuple[str, str]]
    damaged: list[tuple[str, str]]


def predict_parts(
    work: Work, items: Iterable[Item], address: str | None, on_part: Callable[[int, int], object]
) -> tuple[list[Part], int]:
    """Predict all images that no part is of yet.

    Without an address a cluster is started here; `on_part` hears images done and machines there.

    Returns:
        All parts in order, and how many images were done before.

    Raises:
        DataError: The folder holds predictions of other images or by another model.
        MlcError: There is no such cluster, or a part cannot be written.
    """
    suffix = work.settings.format.replace("onehot", "csv")
    rest, total, digest = iter(items), 0, hashlib.sha256()
    todo: list[dict[str, Any]] = []
    while chunk := tuple(islice(rest, work.part_images)):
        digest.update(json.dumps([item.name for item in chunk]).encode())
        total += len(chunk)
        name = f"part-{len(todo):06}.{suffix}"
        for item in chunk:
            if item.frame is not None or item.error:
                raise UsageError(f"{item.name}: the engine ray takes no videos")
        todo.append({"part": name, "items": pickle.dumps(chunk)})
    about = {"images": total, "sources": digest.hexdigest(), "predictions": work.digest}
    with _manifest(work.folder, about) as (parts, stream):
        before = done = sum(part.images for part in parts.values())
        todo = [row for row in todo if row["part"] not in parts]
        with connected(address) as ray:
            for line in _lines(ray, work, todo) if todo else ():
                print(line, file=stream, flush=True)
                os.fsync(stream.fileno())
                part = Part(**json.loads(line))
                parts[part.name] = part
                done += part.images
                on_part(done, sum(node["Alive"] for node in ray.nodes()))
    return [parts[name] for name in sorted(parts)], before


@contextmanager
def _manifest(folder: Path, about: dict[str, Any]) -> Iterator[tuple[dict[str, Part], TextIO]]:
    """Parts that are done, and where to say so of others; one command at a time has them."""
    path = folder / MANIFEST
    with path.open("a+", encoding="utf-8") as stream:
        lock_output(stream.fileno(), path)
        whole = [line for line in read_text(path).splitlines(keepends=True) if line[-1:] == "\n"]
        if whole and json.loads(whole[0]) != about:
            raise DataError(
                f"{folder}: holds predictions of other images, by another model or with other"
                " settings",
                "Repeat the command that began them, or choose another --output.",
            )
        stream.truncate(sum(len(line.encode()) for line in whole))
        if not whole:
            stream.write(json.dumps(about) + "\n")
        for half in folder.glob(".part-*"):  # of a process that was killed
            half.unlink(missing_ok=True)
        parts = [Part(**json.loads(line)) for line in whole[1:]]
        yield {part.name: part for part in parts if (folder / part.name).is_file()}, stream


def _lines(ray: ModuleType, work: Work, todo: list[dict[str, Any]]) -> Iterator[str]:
    """Lines of the manifest, as parts are done.

    A model on a CPU reads its pictures itself; for one on a GPU, other processes read ahead.
    """
    rows = ray.data.from_items(todo, override_num_blocks=len(todo))
    needs = {"num_cpus": 1}
    if work.on_gpu and ray.cluster_resources().get("GPU"):
        rows = rows.map(_read_ahead, fn_kwargs={"work": work}, num_cpus=1)
        needs = {"num_cpus": 0, "num_gpus": 1}
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=len(todo))
    done = rows.map(_Actor, fn_constructor_args=(pickle.dumps(work),), compute=pool, **needs)
    for row in done.iter_rows():
        yield row["line"]


def _read_ahead(row: dict[str, Any], work: Work) -> dict[str, Any]:
    return {"part": row["part"], "pictures": pickle.dumps(_read(row, work))}


def _read(row: dict[str, Any], work: Work) -> list[Picture]:
    cv2.setNumThreads(1)
    with suppress(OSError):  # where it is missing, paths are absolute
        os.chdir(work.here)
    items: Sequence[Item] = pickle.loads(row["items"])
    far, given = any(is_remote(item.path) for item in items), work.settings
    geometry = work.model.geometry.tiled(given.tiles)
    read = PictureReader(geometry, given.max_megapixels * 1e6, on_damaged=given.on_damaged)
    return [read(item) for item in (fetched(items) if far else items)]


class _Actor:
    """A process with the model, on one core or one GPU."""

    def __init__(self, work: bytes) -> None:
        take_cores(1)  # before the model is opened
        self._work: Work = pickle.loads(work)
        given = self._work.settings
        self._predictor = self._work.model.predictor(tta=given.tta, tiles=given.tiles)

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        ahead: bytes | None = row.get("pictures")
        pictures: list[Picture] = pickle.loads(ahead) if ahead else _read(row, self._work)
        made: list[Prediction] = []
        size = self._work.settings.batch_size
        for start in range(0, len(pictures), size):
            made += self._predictor(pictures[start : start + size])
        write_atomic(self._work.folder / row["part"], lambda path: self._write(path, made))
        part = {
            "name": row["part"],
            "images": len(made),
            "unreadable": [(one.image, one.error) for one in made if one.error],
            "damaged": [(one.item.name, one.damage) for one in pictures if one.damage],
        }
        return {"line": json.dumps(part)}

    def _write(self, path: Path, made: list[Prediction]) -> None:
        model, given = self._work.model, self._work.settings
        band, kind = model.lower_thresholds is not None, FORMATS[given.format]
        form = kind(model.classes, given.topk, band=band, guard=given.guard_formulas)
        if given.format == "parquet":
            _write_parquet(path, form, made)
            return
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = RecordWriter(stream, form)
            writer.write(made)
            writer.finish()


def _write_parquet(path: Path, form: Format, made: list[Prediction]) -> None:
    """A row an image: what a line of JSON has, with a field of `probabilities` for each class."""
    pa, pq = import_extra("pyarrow", "ray"), import_extra("pyarrow.parquet", "ray")
    assert isinstance(form, JsonLines)
    names = pa.list_(pa.string())
    probabilities = pa.struct([(name, pa.float64()) for name in form.classes])
    unsure = [("unsure", names)] if form.band else []
    schema = pa.schema([
        ("image", pa.string()), ("labels", names), *unsure, ("probabilities", probabilities),
        ("error", pa.string()),
    ])  # fmt: skip
    pq.write_table(pa.Table.from_pylist([form.content(one) for one in made], schema), path)
