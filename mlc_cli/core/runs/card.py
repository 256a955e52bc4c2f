"""What a model file knows beside its weights; read and written without torch."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from mlc_cli.core.datasets.rules import BoundRules, Rules
from mlc_cli.core.images.geometry import Decode, Geometry, Interpolation, Resize
from mlc_cli.core.system.checksum import OPEN, digest_of, is_intact
from mlc_cli.core.system.files import named_faults
from mlc_cli.errors import CheckpointError

FORMAT = 7
"""From 2 on a file carries its checksum, from 3 on the whole geometry of its images, from 4 on what
its thresholds promise, and its calibration, from 5 on its backbone ends in timm's last norm, from 6
on it has label rules, and from 7 on the card has a checksum of its own."""

Names = list[str] | list[int]


def _in_order(names: Names) -> Names:
    if sorted(set(names)) != names:  # type: ignore[type-var]
        raise ValueError("class names must be sorted, each once")
    for name in names:
        str(name).encode()  # half of a surrogate pair is no text
    return names


Classes = Annotated[Names, Field(min_length=1), AfterValidator(_in_order)]
Side = Annotated[int, Field(ge=1, le=8192)]
Part = Annotated[float, Field(ge=0, le=1)]
Spread = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of an annotation file: checksum, images, and labels that are present."""

    sha256: str
    images: int
    labels: int

    def __str__(self) -> str:
        return f"{self.images:,} images with {self.labels:,} labels"


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint knows beside its weights.

    Attributes:
        classes: Class names (text or integers) in the order of the logits.
        model: Settings of the model, as plain values.
        input_size: Height and width in pixels.
        mean: Mean of RGB, in 0..1.
        std: Standard deviation of RGB, in 0..1.
        scale: Factor that the logits already contain.
        thresholds: Probability from which each class counts as present, if estimated.
        lower_thresholds: Probability below which a class is absent, nowhere above its threshold;
            between the two a person should look.
        promise: Floors that the thresholds keep with a confidence, for which classes not and why,
            and the chain of decision that this was tested for.
        calibration: Scale (above 0) and bias of each logit, on top of the weights, that make its
            sigmoid a probability that means what it says.
        metrics: Validation metrics of these weights.
        data: Where the training data was: settings of the data section, as plain values.
        epoch: Epochs that the weights were trained for.
        averaged: Whether they are the moving average rather than the raw weights.
        versions: Of mlc, torch and timm.
        resize: How images of another shape become the input size (see `Geometry`).
        interpolation: Of the resizing.
        decode: How far JPEG are decoded.
        bits: That images of 16 bits a channel use.
        rules: Between labels, which decisions obey.
        annotations: What the files of the training data were, by the names in `data`.
        last_norm: Whether a norm that timm has in its classifier is applied.
    """

    __pydantic_config__: ClassVar = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    classes: Classes
    model: dict[str, Any]
    input_size: tuple[Side, Side]
    mean: tuple[Part, Part, Part]
    std: tuple[Spread, Spread, Spread]
    scale: Annotated[float, Field(gt=0)]
    metrics: dict[str, float | None] = field(default_factory=dict)
    thresholds: list[Part] | None = None
    lower_thresholds: list[Part] | None = None
    promise: dict[str, Any] | None = None
    calibration: list[tuple[Annotated[float, Field(gt=0)], float]] | None = None
    data: dict[str, Any] = field(default_factory=dict)
    epoch: Annotated[int, Field(ge=0)] = 0
    averaged: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    resize: Resize = "squash"
    interpolation: Interpolation = "linear"
    decode: Decode = "full"
    bits: Annotated[int, Field(ge=8, le=16)] = 16
    annotations: dict[str, Fingerprint] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    last_norm: bool = True

    @property
    def geometry(self) -> Geometry:
        """How images become the input."""
        how = (self.resize, self.interpolation, self.decode)
        return Geometry(self.input_size, *how, bits=self.bits)

    @property
    def bound(self) -> BoundRules:
        """The rules over the classes."""
        return BoundRules(self.rules, self.classes)


_LOG = logging.getLogger(__name__)
_SCHEMA = TypeAdapter(ModelCard)


def card_to_json(card: ModelCard) -> str:
    """Text that `card_from_json` reads, with a place for the checksum of the file."""
    content = json.loads(json.dumps(asdict(card), allow_nan=False))
    return json.dumps({"format": FORMAT, "checksum": OPEN, "digest": digest_of(content), **content})


def check_sealed(path: Path, *parts: Path) -> bool:
    """Refuse a file, or one of its parts, that is not as it was written, before it is parsed.

    Returns:
        Whether it carries a checksum; files of format 1 do not.

    Raises:
        CheckpointError: There is no such file, or its checksum is another.
    """
    for file in (path, *parts):
        if not file.is_file():
            raise CheckpointError(f"{file}: there is no such model")
    with named_faults(path, "cannot be read", CheckpointError):
        intact = is_intact(path, *parts)
    if intact is False:
        raise CheckpointError(
            f"{path}: is damaged or was changed: its checksum is another",
            "Take another copy; the files of an export belong together.",
        )
    return bool(intact)


def card_from_json(text: str, path: Path, *, sealed: bool) -> ModelCard:
    """What a file knows, from the text in its metadata; `sealed` files carry a checksum.

    Raises:
        CheckpointError: The text is damaged, or from another version.
    """
    with named_faults(path, "its metadata is damaged or incomplete", CheckpointError):
        content = json.loads(text)
        number = content.pop("format")
        if type(number) is not int or not 1 <= number <= FORMAT:
            raise CheckpointError(f"{path}: was written by another version of mlc; update mlc")
        if number > 1 and not sealed:
            raise ValueError("its checksum is gone")
        content.pop("checksum", None)
        digest = content.pop("digest", None)
        changed = digest != digest_of(content) if digest or number >= 7 else False
        content.setdefault("last_norm", number >= 5)
        try:
            card = _SCHEMA.validate_json(json.dumps(content, allow_nan=False))
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors())
            raise ValueError("; ".join(faults)) from None
        for name in ("thresholds", "lower_thresholds", "calibration"):
            numbers = getattr(card, name)
            if numbers is not None and len(numbers) != len(card.classes):
                raise ValueError(f"{name} of {len(numbers)} for {len(card.classes)} classes")
        BoundRules(card.rules, card.classes)
        if changed:
            raise ValueError("it is not as it was written")
    if not sealed:
        say_unsealed(path)
    return card


@cache
def say_unsealed(path: Path) -> None:
    """Warn, once for each file, that damage of it may go unseen."""
    _LOG.warning("%s: is of an earlier version, without a checksum to tell damage by", path)


def class_hash(classes: Sequence[str | int]) -> str:
    """SHA-256 of a list of classes, which ties files that speak of the same one together."""
    text = json.dumps([str(name) for name in classes])
    return hashlib.sha256(text.encode()).hexdigest()
