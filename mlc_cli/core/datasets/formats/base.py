"""What every format is: a reader, and for some a writer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from mlc_cli.core.datasets.annotations import Annotation, Label, State
from mlc_cli.core.datasets.rules import NO_RULES, Rules
from mlc_cli.core.system.issues import IssueLog


class Sample(NamedTuple):
    """An image as a format lists it.

    Attributes:
        path: Below the image root of the source, with forward slashes.
        labels: Labels that are present, in any order; repetitions count once.
        others: Labels in the state that unlisted ones of the source are not in: unknown, or
            absent where unlisted ones are unknown.
        split: Its split in the source; empty if the source has none.
    """

    path: str
    labels: Sequence[Label]
    others: Sequence[Label] = ()
    split: str = ""


@dataclass(frozen=True)
class Source:
    """A data set that a reader has opened.

    Attributes:
        image_root: Folder that paths of samples are relative to.
        samples: Read as they are asked for, once.
        classes: The classes, if the format lists them; otherwise those that samples have.
        unlisted: State of labels that a sample does not list.
        scattered: Whether an image may come in several samples by the nature of the format, so
            that joining them is nothing to report.
        remarks: What the user should know of how it is read, such as a separator that was found.
        unsplit: Names of the files of which nothing tells the split; several are joined only when
            the user asks for it.
        cells: Of columns that stay beside the annotation, by the path of the image and the name of
            the column; filled while samples are read.
        group: The column whose images belong together, where the source says so.
        rules: Between labels.
    """

    image_root: Path
    samples: Iterable[Sample]
    classes: Sequence[Label] | None = None
    unlisted: State = "absent"
    scattered: bool = False
    remarks: tuple[str, ...] = ()
    unsplit: tuple[str, ...] = ()
    cells: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    group: str = ""
    rules: Rules = NO_RULES


@dataclass(frozen=True)
class Reader:
    """Reads one format.

    Attributes:
        name: As it is typed: `coco`.
        title: As people call it: `COCO instances`.
        detect: What of this format is at a place (`annotations and categories in a.json`), if it
            is; judged from names and the first bytes alone, and never raises.
        read: Opens a data set, whose images are in a folder that the user may name. While samples
            are read, all that they leave out is counted as dropped, by reason. A `DataError` says
            that it is not of this format, or so damaged that nothing can be said of it.
    """

    name: str
    title: str
    detect: Callable[[Path], str | None]
    read: Callable[[Path, Path | None, IssueLog], Source]


class Writer(Protocol):
    """Writes one format."""

    @property
    def name(self) -> str:
        """As it is typed: `coco`."""

    def losses(self, splits: Mapping[str, Annotation]) -> list[str]:
        """What of a data set the format cannot hold, each as a reason; empty if it holds all."""

    def write(self, splits: Mapping[str, Annotation], folder: Path) -> list[Path]:
        """Write annotation files; images are where `Annotation.path` is below `folder`.

        Returns:
            The files.

        Raises:
            MlcError: A file cannot be written.
        """
