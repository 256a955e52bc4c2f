"""`mlc compare`: what differs between runs, in settings, numbers, images, speed and size."""

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.evaluation.comparing import KINDS, METRICS, Comparison, Judged, compare, paired
from mlc_cli.core.evaluation.scores import read_scores
from mlc_cli.core.html.page import write_page
from mlc_cli.core.html.words import probability, span
from mlc_cli.core.images.thumbnails import read_thumbnails
from mlc_cli.core.inference.build import suffix_of
from mlc_cli.core.inference.engines import is_exported, model_bytes
from mlc_cli.core.models.complexity import complexity
from mlc_cli.core.models.weights.build import load_any
from mlc_cli.core.runs.folder import RunFolder
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.files import check_output, named_faults, read_json
from mlc_cli.errors import RunError, UsageError
from mlc_cli.settings.merge import dotted
from mlc_cli.settings.renamed import modernised
from mlc_cli.settings.resolve import validate
from mlc_cli.settings.train import TrainSettings
from mlc_cli.settings.yaml_io import read_yaml

MOST_PICTURES = 60
DRAWS = 1000


Table = tuple[str, Sequence[str], list[list[str]], int]
"""Title, heads, rows, and how many of the first columns are text."""


@dataclass(frozen=True)
class Compared:
    """What differs between runs.

    Attributes:
        notes: What the user should know before believing the numbers.
        comparisons: Of each run with the first, itself included.
        settings: Those that differ, as text by run; "" where there is no such setting.
        sizes: Training speed and size by run; `None` where it is not known.
    """

    images: int
    classes: int
    notes: list[str]
    comparisons: list[Comparison]
    settings: dict[str, list[str]]
    sizes: dict[str, dict[str, float | None]]

    def tables(self) -> Iterator[Table]:
        """All of it but the single images, as text."""
        first, *others = self.comparisons
        names, against = [one.name for one in self.comparisons], f"to {first.name}"
        rows = [
            [metric if run is first else "", run.name, f"{run.metrics[metric].value:.4f}",
             *(_words(run.metrics[metric]) if run is not first else ("", "", ""))]
            for metric in METRICS
            for run in self.comparisons
        ]  # fmt: skip
        yield "Numbers", ("metric", "run", "value", against, "95 %", "P(better)"), rows, 2
        rows = [[key, *texts] for key, texts in self.settings.items()]
        yield "Settings that differ", ("setting", *names), rows, 1 + len(names)
        rows = [[name, *("-" if value is None else f"{value:,.2f}" for value in size.values())]
                for name, size in self.sizes.items()]  # fmt: skip
        yield "Training speed and size", ("run", *self.sizes[first.name]), rows, 1
        rows = [[run.name, f"{len(run.images):,}",
                 *(f"{sum(len(one[kind]) for one in run.images.values()):,}" for kind in KINDS)]
                for run in others]  # fmt: skip
        yield "Images that are decided otherwise", ("run", "images", *KINDS), rows, 1
        heads = ("class", "AP", against, "95 %", "P(better)", "beyond noise")
        for run in others:
            rows = [[name, f"{one.value:.4f}", *_words(one), "yes" if one.is_clear else "no"]
                    for name, one in run.classes.items()]  # fmt: skip
            yield f"Classes: AP of {run.name}", heads, rows, 1


def _words(change: Any) -> tuple[str, str, str]:
    return f"{change.difference:+.4f}", span(change.interval, 4), probability(change.better)


class _Run:
    """What is on disk of a run, or of an exported file of one."""

    def __init__(self, path: Path, split: str) -> None:
        self.path = path.parent if path.is_file() else path
        file = self.path / f"eval{suffix_of(split)}.json"
        if not file.is_file():
            hint = "Name run folders, or folders that `mlc eval` has written to."
            if RunFolder(self.path).settings.is_file():
                hint = f"Make it with: mlc eval --run {quote(str(self.path))} --split {split}"
            raise RunError(f"{file}: there is no such evaluation", hint)
        self.scores = read_scores(file.with_name(f"scores{suffix_of(split)}.npz"))
        with named_faults(file, "is no evaluation"):
            self.about = read_json(file)
            thresholds = {str(row["class"]): row["threshold"] for row in self.about["per_class"]}
            self.thresholds_C = np.array([thresholds[name] for name in self.scores.classes])
        above = (self.path.resolve(), *self.path.resolve().parents[:2])  # of an exported file
        self.folder = next((RunFolder(f) for f in above if (f / "settings.yaml").is_file()), None)
        self.settings: dict[str, Any] = {}
        if self.folder:
            known = validate(TrainSettings, modernised(read_yaml(self.folder.settings)))
            self.settings = dotted(known.model_dump(mode="json"))

    def judged(self, name: str) -> Judged:
        """What it says and decides."""
        decide, scores_NC = self.scores.bound.decide, self.scores.probabilities_NC
        return Judged(name, self.scores, decide(scores_NC, self.thresholds_C))

    def size(self) -> dict[str, float | None]:
        """Training speed, and size of the model."""
        rows = self.folder.read_metrics() if self.folder else []
        rates = [rate for row in rows if (rate := row.get("train/images_per_second"))]
        file = Path(self.about["checkpoint"])
        places = (self.path / file.name, self.path.parent / file.name, file)
        file = next((place for place in places if place.is_file()), file)
        model = None
        if file.is_file() and not is_exported(file):
            classifier, card, _ = load_any(file, None, None)
            model = complexity(classifier, card.input_size)
        return {
            "images/s": statistics.median(rates) if rates else None,
            "minutes": sum(row.get("seconds") or 0 for row in rows) / 60 if rows else None,
            "M parameters": model.mparams if model else None,
            "GMACs": model.gmacs if model else None,
            "MiB": model_bytes(file) / 2**20 if file.is_file() else None,
        }

    def image_folder(self) -> Path:
        """Folder that image paths are relative to."""
        source, root = Path(self.about["data"]), self.settings.get("data.image_root")
        if self.folder and not source.is_file():
            moved = self.folder.find(self.settings["data.root"], self.settings["output"])
            source = Path(moved, source.name)
        return read_annotation(source, Path(root) if root else None).folder


def compare_runs(names: Sequence[str], split: str = "val", html: Path | None = None) -> Compared:
    """Compare runs with the first of them, on the images of a split.

    Raises:
        MlcError: Fewer than two runs, or one that cannot be compared.
    """
    check_output("--html", html)
    paths = [Path(name) for name in names]
    if len({path.resolve() for path in paths}) < max(2, len(paths)):
        raise UsageError("two different runs at least are needed: mlc compare RUN RUN...")
    runs = [_Run(path, split) for path in paths]
    short = [run.path.resolve().name for run in runs]
    titles = short if len(set(short)) == len(short) else [str(run.path) for run in runs]
    judged, notes = paired([run.judged(name) for run, name in zip(runs, titles, strict=True)])
    sources = sorted({str(run.about["data"]) for run in runs})
    if len(sources) > 1:
        notes.append(f"images are told by their paths, in other files: {', '.join(sources)}")
    if len({(run.thresholds_C == 0.5).all() for run in runs}) > 1:
        notes.append("some runs decide at 0.5 and others at their thresholds: F1 is no fair"
                     " comparison before `mlc thresholds` and `mlc eval` of all")  # fmt: skip
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    values = {key: [run.settings.get(key, "") for run in runs] for key in keys}
    rows = {k: [v if isinstance(v, str) else json.dumps(v) for v in values[k]] for k in keys}
    compared = Compared(
        len(judged[0].scores.paths),
        len(judged[0].scores.classes),
        notes,
        compare(judged, DRAWS, seed=0),
        {k: v for k, v in rows.items() if len(set(v)) > 1 and k not in ("name", "output")},
        {name: run.size() for run, name in zip(runs, titles, strict=True)},
    )
    if html:
        shown = {path for one in compared.comparisons for path in [*one.images][:MOST_PICTURES]}
        folder = runs[0].image_folder()
        files = {path: folder / path for path in sorted(shown)}
        pictures = read_thumbnails(files, np.inf, usable_cores())  # they were scored at their size
        write_page(html, "evaluation/compare.html", compared=compared, pictures=pictures,
                   most=MOST_PICTURES, source=runs[0].about["data"])  # fmt: skip
    return compared
