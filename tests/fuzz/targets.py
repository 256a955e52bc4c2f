"""What is fuzzed: how a good file is made, how it is damaged, and how it is read.

A mutant is made before the checksum is computed: else only the checksum would be tested.
"""

import io
import json
import math
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from html import escape, unescape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from mlc_cli.core.evaluation.scores import SavedScores, read_scores, write_scores
from mlc_cli.core.evaluation.thresholds import pick_thresholds, save_thresholds
from mlc_cli.core.exporting.ir import to_ir, write_ir
from mlc_cli.core.exporting.onnx_graph import write_onnx
from mlc_cli.core.images.decode import read_image
from mlc_cli.core.images.suffixes import IMAGE_SUFFIXES
from mlc_cli.core.inference.open import open_model
from mlc_cli.core.inference.runtime.metadata import ExportInfo
from mlc_cli.core.models.build import build_model, load_classifier
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.checkpoint import save_checkpoint
from mlc_cli.core.system.checksum import OPEN, seal
from mlc_cli.settings.model import ModelSettings
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings
from tests.core.training.test_state import make_state, work

CLASSES = ["a", "b", "c"]
VALUES: list[Any] = [
    None, True, -1, 0, 1.5, 10**400, 1e308, -0.0, "", "x", "\ud800", [], [[]], {}, {"a": {}},
    [1, 2, 3], ["b", "a"], [None], "cpu", 2**31, 2**63,
]  # fmt: skip
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)


class Target(ABC):
    """A kind of file.

    Args:
        folder: Where files of it are made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Make what all mutants start from."""

    @abstractmethod
    def mutant(self, rng: random.Random) -> Path:
        """Write a damaged file."""

    @abstractmethod
    def read(self, path: Path) -> Any:
        """Read it as a command would; what it means, to be compared."""

    def whole(self) -> Any:
        """What the undamaged file means; `None` where mutants may mean anything."""
        return None


def flipped(content: bytes, rng: random.Random) -> bytes:
    """Bytes that are changed, cut, doubled, zeroed or taken out: never those that were."""
    damaged = content
    while damaged == content:
        damaged = _flipped(content, rng)
    return damaged


def _flipped(content: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        place = rng.randrange(len(damaged) or 1)
        many = min(rng.choice((1, 1, 2, 4, 16, 256)), len(damaged) - place)
        match rng.randrange(6):
            case 0:
                damaged[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                damaged[place : place + many] = bytes(many)
            case 2:
                damaged[place : place + many] = b"\xff" * many
            case 3:
                del damaged[place : place + many]
            case 4:
                damaged[place:place] = damaged[place : place + many]
            case 5:
                del damaged[place:]
    return bytes(damaged)


def changed(content: Any, rng: random.Random) -> Any:
    """JSON-like content with one value, somewhere, replaced, taken out or doubled."""
    if isinstance(content, dict) and content and rng.random() < 0.9:
        key = rng.choice(list(content))
        rest = {k: v for k, v in content.items() if k != key}
        return rest if rng.random() < 0.1 else {**rest, key: changed(content[key], rng)}
    if isinstance(content, list | tuple) and content and rng.random() < 0.7:
        place = rng.randrange(len(content))
        middle = [changed(content[place], rng)] * rng.choice((0, 1, 1, 1, 2))
        return type(content)([*content[:place], *middle, *content[place + 1 :]])
    return rng.choice(VALUES)


def _model(folder: Path) -> tuple[Path, ModelCard]:
    torch.manual_seed(0)
    settings = ModelSettings(backbone="test_resnet", pretrained=False)
    built = build_model(settings, CLASSES, (32, 32))
    card = ModelCard(
        CLASSES, settings.model_dump(mode="json"), (32, 32), built.mean, built.std,
        float(built.classifier.head.scale), metrics={"val_mAP": 0.5}, thresholds=[0.2, 0.5, 0.7],
        calibration=[(1.1, 0.1)] * 3, data={"root": "d"},
    )  # fmt: skip
    save_checkpoint(folder / "m.safetensors", built.classifier.state_dict(), card)
    return folder / "m.safetensors", card


class Card(Target):
    """The card of a checkpoint, read as `mlc predict` does."""

    def prepare(self) -> None:
        """A checkpoint with everything that a card may have."""
        self.path, _ = _model(self.folder)
        with safe_open(str(self.path), "pt") as stream:
            self.content = json.loads(stream.metadata()["mlc"])
            del self.content["checksum"]  # each mutant gets its own
            self.tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118

    def mutant(self, rng: random.Random) -> Path:
        """One value of the card is another, or its text is damaged."""
        content = self.content
        while content == self.content:
            content = changed(self.content, rng)
        text = json.dumps({**content, "checksum": OPEN} if isinstance(content, dict) else content)
        if rng.random() < 0.3:
            text = flipped(text.encode(), rng).decode("utf-8", "replace")
        path = self.folder / "x.safetensors"
        save_file(self.tensors, str(path), {"mlc": text})
        if OPEN in text:
            seal(path)
        return path

    def read(self, path: Path) -> Any:
        """Classes, decisions and logits."""
        opened = open_model(path, "cpu", "fp32")
        card = opened.card
        return (
            card.classes, card.thresholds, card.lower_thresholds, card.geometry,
            opened.engine(PIXELS).round(4).tolist(),
        )  # fmt: skip

    def whole(self) -> Any:
        """Of the checkpoint itself."""
        return self.read(self.path)


class OldCard(Card):
    """The card of the last version, which has no checksum of its own: a mutant that the schema
    lets pass may be another whole card.
    """

    def prepare(self) -> None:
        """A checkpoint of format 6."""
        super().prepare()
        del self.content["digest"]
        self.content["format"] = 6

    def whole(self) -> Any:
        """Nothing to compare with."""
        return None


class Onnx(Card):
    """Metadata of an ONNX file."""

    def prepare(self) -> None:
        """An exported model."""
        checkpoint, card = _model(self.folder)
        self.path = self.folder / "m.onnx"
        self.info = ExportInfo(card)
        write_onnx(self.path, load_classifier(checkpoint)[0], self.info, saliency=False)
        self.model = onnx.load(str(self.path))

    def mutant(self, rng: random.Random) -> Path:
        """An entry is another, or gone."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        entry = rng.choice(list(model.metadata_props))
        if rng.random() < 0.1:
            model.metadata_props.remove(entry)
        elif entry.key.endswith(" mlc") or rng.random() < 0.5:
            entry = next(e for e in model.metadata_props if e.key.endswith(" mlc"))
            entry.value = _entry(entry.value, rng)
        else:
            entry.value = flipped(entry.value.encode(), rng).decode("utf-8", "replace")
        return self.sealed(model.SerializeToString())

    def sealed(self, content: bytes) -> Path:
        """A file of this content, with its own checksum."""
        path = self.folder / f"x{self.path.suffix}"
        path.write_bytes(content)
        parts = [path.with_suffix(".bin")] if path.suffix == ".xml" else []
        if parts:
            parts[0].write_bytes(self.path.with_suffix(".bin").read_bytes())
        if OPEN.encode()[:11] in content:
            seal(path, *parts)
        return path


class Ir(Onnx):
    """Metadata of an OpenVINO IR."""

    def prepare(self) -> None:
        """An exported model."""
        super().prepare()
        self.path = self.folder / "m.xml"
        write_ir(self.path, to_ir(self.folder / "m.onnx", self.info), self.info, half=False)

    def mutant(self, rng: random.Random) -> Path:
        """An entry is another, or its bytes are damaged, quotes of the XML and all."""
        text = self.path.read_bytes()
        name, old = rng.choice(re.findall(rb'<(\w+) value="(.*?)" />', text[_card(text) :]))
        if name == b"mlc" and rng.random() < 0.5:
            new = escape(_entry(unescape(old.decode()), rng)).encode("utf-8", "replace")
        else:
            new = flipped(old, rng)
        place = text.index(b'<%s value="' % name, _card(text)) + len(name) + 9
        return self.sealed(text[:place] + new + text[place + len(old) :])


class OnnxGraph(Onnx):
    """All of an ONNX file: what is sealed after a change may be another whole model."""

    def mutant(self, rng: random.Random) -> Path:
        """Bytes are damaged anywhere."""
        return self.sealed(flipped(self.path.read_bytes(), rng))

    def whole(self) -> Any:
        """Nothing to compare with."""
        return None


class IrGraph(OnnxGraph, Ir):
    """All of the XML of an OpenVINO IR."""


def _card(text: bytes) -> int:
    return text.rfind(b"<model_info>")


def _entry(text: str, rng: random.Random) -> str:
    old = json.loads(text)
    del old["checksum"]  # each mutant gets its own
    new = old
    while new == old:
        new = changed(old, rng)
    if rng.random() < 0.8:
        return json.dumps({**new, "checksum": OPEN} if isinstance(new, dict) else new)
    return flipped(text.encode(), rng).decode("utf-8", "replace")


class State(Target):
    """The state of a training."""

    def prepare(self) -> None:
        """After three steps."""
        state = make_state()
        work(state)
        state.save(self.folder / "trainer.pt")
        self.content = torch.load(self.folder / "trainer.pt", weights_only=True)

    def mutant(self, rng: random.Random) -> Path:
        """One value is another, or the bytes are damaged."""
        path = self.folder / "x.pt"
        if rng.random() < 0.3:
            path.write_bytes(flipped((self.folder / "trainer.pt").read_bytes(), rng))
        else:
            torch.save(changed(self.content, rng), path)
        return path

    def read(self, path: Path) -> Any:
        """Where the training is, and its weights."""
        state = make_state(1)
        state.load(path)
        assert state.ema
        weights = [v.double().flatten().tolist() for v in state.model.state_dict().values()]
        return weights, vars(state.position), vars(state.best), state.ema.steps, state.metrics

    def whole(self) -> Any:
        """Of the state itself."""
        return self.read(self.folder / "trainer.pt")


class OldState(State):
    """The state of a training by the last version, whose values have no checksum of their own."""

    def prepare(self) -> None:
        """After three steps."""
        super().prepare()
        del self.content["digest"]

    def whole(self) -> Any:
        """Nothing to compare with."""
        return None


class Npz(Target):
    """Saved scores."""

    def prepare(self) -> None:
        """Of four images."""
        rng = np.random.default_rng(0)
        targets = rng.integers(-1, 2, (4, 3)).astype(np.int8)
        scores = SavedScores(rng.random((4, 3), np.float32), targets, CLASSES, list("wxyz"))
        write_scores(self.folder / "s.npz", scores)
        with np.load(self.folder / "s.npz") as arrays:
            self.arrays = dict(arrays)

    def mutant(self, rng: random.Random) -> Path:
        """An array is another, or the bytes are damaged."""
        path = self.folder / "x.npz"
        if rng.random() < 0.5:
            path.write_bytes(flipped((self.folder / "s.npz").read_bytes(), rng))
            return path
        arrays = dict(self.arrays)
        name = rng.choice(list(arrays))
        array = arrays[name]
        arrays[name] = rng.choice(ARRAYS)(array)
        np.savez(path, **arrays)
        return path

    def read(self, path: Path) -> Any:
        """The arrays."""
        scores = read_scores(path)
        return (
            scores.classes, scores.paths, scores.probabilities_NC.tolist(),
            scores.targets_NC.tolist(),
        )  # fmt: skip

    def whole(self) -> Any:
        """Of the scores themselves."""
        return self.read(self.folder / "s.npz")


ARRAYS: list[Callable[[Any], Any]] = [
    lambda a: a.reshape(-1)[:1],
    np.flip,
    lambda a: a.reshape(-1),
    lambda a: a.astype(np.str_),
    lambda a: np.zeros((0, *a.shape)),
    lambda _: np.zeros((), np.complex64),
    lambda a: np.full(a.shape, math.nan),
    lambda a: np.full(a.shape, math.inf, np.float32),
    lambda a: np.full(a.shape, 2**40),
    lambda a: np.full(a.shape, "x" * 1000),
]


class Npy(Target):
    """A file of thresholds."""

    def prepare(self) -> None:
        """For three classes."""
        _, self.card = _model(self.folder)
        save_thresholds(self.folder / "t.npy", np.array([0.1, 0.2, 0.3]), CLASSES)

    def mutant(self, rng: random.Random) -> Path:
        """Its bytes are damaged, or it is another array."""
        path = self.folder / "x.npy"
        if rng.random() < 0.3:
            array = rng.choice(ARRAYS)(np.array([0.1, 0.2, 0.3]))
            np.save(path, array)
        else:
            path.write_bytes(flipped((self.folder / "t.npy").read_bytes(), rng))
        return path

    def read(self, path: Path) -> Any:
        """The thresholds."""
        found = pick_thresholds(str(path), self.card)
        assert found is not None
        return found.tolist()

    def whole(self) -> Any:
        """Of the file itself."""
        return self.read(self.folder / "t.npy")


WORDS = [
    b"&a ", b"*a ", b"!!int ", b"!!python/none ", b"[" * 3000, b"{", b"9" * 5000, b".nan", b".inf",
    b"\n  ", b": ", b"- ", b"<<: ", b"1e999", b"\x00", b"? ",
]  # fmt: skip


class Yaml(Target):
    """A file of settings."""

    def prepare(self) -> None:
        """A preset."""
        self.text = (Path(__file__).parents[2] / "presets/train/finetune.yaml").read_bytes()

    def mutant(self, rng: random.Random) -> Path:
        """Its text is damaged, or has a word of YAML in it that means more than it seems."""
        path = self.folder / "x.yaml"
        text = self.text
        if rng.random() < 0.5:
            place = rng.randrange(len(text))
            text = text[:place] + rng.choice(WORDS) + text[place:]
        path.write_bytes(flipped(text, rng) if rng.random() < 0.6 else text)
        return path

    def read(self, path: Path) -> Any:
        """The settings."""
        content = gather(TrainSettings, "train", config=path, flags={"data.root": "d"})
        return validate(TrainSettings, content)


class Images(Target):
    """Image files of every format that can be written here."""

    def prepare(self) -> None:
        """One of each format, small and of structure."""
        self.files: dict[str, bytes] = {}
        pixels = cv2.resize(PIXELS[0], (40, 24), interpolation=cv2.INTER_CUBIC)
        for suffix in IMAGE_SUFFIXES:
            image = pixels.astype(np.float32) / 255 if suffix in (".hdr", ".exr") else pixels
            try:
                done, content = cv2.imencode(suffix, image)
            except cv2.error:
                done = False
            if done:
                self.files[suffix] = content.tobytes()
        picture = Image.fromarray(pixels)
        for form in ("GIF", "AVIF", "WEBP", "TIFF", "ICO", "PCX", "TGA", "PPM", "JPEG2000"):
            stream = io.BytesIO()
            try:
                picture.save(stream, form)
            except (KeyError, OSError):
                continue
            self.files[f"-{form}.png"] = stream.getvalue()
        for options in ({"progressive": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}):
            stream = io.BytesIO()
            picture.save(stream, "JPEG", **options)
            self.files[f"-{next(iter(options))}.jpg"] = stream.getvalue()

    def mutant(self, rng: random.Random) -> Path:
        """A damaged image of any format."""
        suffix = rng.choice(list(self.files))
        path = self.folder / f"x{suffix}"
        path.write_bytes(flipped(self.files[suffix], rng))
        return path

    def read(self, path: Path) -> Any:
        """The shape of the pixels."""
        pixels = read_image(path, max_pixels=1e6)
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3
        return pixels.shape


TARGETS: dict[str, type[Target]] = {
    "card": Card, "oldcard": OldCard, "onnx": Onnx, "ir": Ir, "onnxgraph": OnnxGraph,
    "irgraph": IrGraph, "state": State, "oldstate": OldState, "npz": Npz, "npy": Npy,
    "yaml": Yaml, "images": Images,
}  # fmt: skip
