"""Fixtures for tests of formats: reading whole sources, round trips, and damage at random."""

import copy
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlc_cli.core.datasets.annotations import Annotation, read_annotation
from mlc_cli.core.datasets.converting.collect import Findings, collect
from mlc_cli.core.datasets.formats.base import Reader, Source, Writer
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

States = dict[tuple[str, str], tuple[set[str | int], set[str | int]]]


@dataclass(frozen=True)
class Reading:
    """A whole source: labels and others by split and path."""

    source: Source
    states: States
    dropped: IssueLog

    @property
    def labels(self) -> dict[str, set[str | int]]:
        return {path: labels for (_, path), (labels, _) in self.states.items()}


@pytest.fixture
def read_all() -> Callable[..., Reading]:
    """Read a source to its end, joining samples of one image."""

    def read(reader: Reader, place: Path, images: Path | None = None) -> Reading:
        dropped = IssueLog()
        source = reader.read(place, images, dropped)
        states: States = {}
        for path, labels, others, split in source.samples:
            present, second = states.setdefault((split, path), (set(), set()))
            present.update(labels)
            second.update(others)
        return Reading(source, states, dropped)

    return read


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Write a file below the folder of the test: JSON, or text or bytes as they are."""

    def write(name: str, content: Any = b"") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
            path.write_bytes(text.encode())
        return path

    return write


Images = Mapping[str, list[list[Any]]]


@pytest.fixture
def make_splits(put: Callable[..., Path]) -> Callable[..., dict[str, Annotation]]:
    """Annotations of a folder `result`, and their images, which are empty files."""

    def make(
        splits: Images, classes: list[str | int], unlisted: str = "absent"
    ) -> dict[str, Annotation]:
        made = {}
        for name, images in splits.items():
            for path, *_ in images:
                put(f"result/{path}")
            content = {"classes": classes, "images": images, "unlisted": unlisted}
            file = put(f"result/.{name}.json", content)
            made[name] = read_annotation(file)
            file.unlink()
        return made

    return make


def _states(annotation: Annotation) -> dict[str, list[int]]:
    rows = annotation.targets_NC(range(len(annotation))).tolist()
    return dict(zip(annotation.paths, rows, strict=True))


@pytest.fixture
def round_trip() -> Callable[..., None]:
    """Assert that what a writer writes, a reader reads, and that neither loses anything."""

    def check(writer: Writer, reader: Reader, splits: Mapping[str, Annotation]) -> None:
        assert writer.losses(splits) == []
        folder = next(iter(splits.values())).folder
        files = writer.write(splits, folder)
        assert all(file.is_file() and file.is_relative_to(folder) for file in files)
        assert reader.detect(folder)
        findings = Findings()
        whole = collect(reader.read(folder, None, findings.dropped), folder, findings)
        assert whole.annotation.folder.resolve() == folder.resolve()
        read = whole.by_split()
        assert set(read) == set(splits)
        for name, split in splits.items():
            assert read[name].classes == split.classes
            assert _states(read[name]) == _states(split)
            assert list(read[name].paths) == list(split.paths)

    return check


_HOSTILE = [
    None, True, -1, 0, 3, 10**30, 1e308, float("nan"), float("inf"), "", "x", "../x", "/x", "a\0b",
    "\ud800", "http://[", "é" * 300, [], [[]], [None], {}, {"label": []}, {"choices": 3},
]  # fmt: skip


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """All containers with their keys, in depth."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(items):
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _damage(content: Any, rng: random.Random) -> bytes:
    """A valid content with a fault: in its values, in its structure, or in its bytes."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice((0, 1, 1, 2))):
        places = list(_places(content))
        if not places:
            break
        node, key = rng.choice(places)
        if rng.random() < 0.3:
            del node[key]
        else:
            node[key] = copy.deepcopy(rng.choice(_HOSTILE))
    text = json.dumps(content).encode()
    fault = rng.random()
    place = rng.randrange(len(text))
    if fault < 0.15:
        return text[:place]
    if fault < 0.3:
        return text[:place] + bytes([rng.randrange(256)]) + text[place + 1 :]
    return text


@pytest.fixture
def stands_damage() -> Callable[..., None]:
    """Assert that a file with faults at random is read or refused with a message, never worse."""

    def check(reader: Reader, place: Path, file: Path, rounds: int = 400) -> None:
        content = json.loads(file.read_text(encoding="utf-8"))
        rng = random.Random(0)
        outcomes = set()
        for _ in range(rounds):
            damaged = _damage(content, rng)
            file.write_bytes(damaged)
            reader.detect(place)
            findings = Findings()
            message = None
            try:
                source = reader.read(place, None, findings.dropped)
                collect(source, place, findings)
            except DataError as error:
                message = error.message
            except Exception as error:
                raise AssertionError(damaged) from error
            assert message is None or str(place) in message, damaged
            outcomes.add(message is None)
        assert outcomes == {True, False}, "only read, or only refused"

    return check


_BYTES = [
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"'", b",", b";", b" ", b"\t", b"\n\n", b"\r",
    b"../", b"/", b"\\", b"-1", b"nan", b"1e9", b"99999999999999999999", b"[", b"]", b"<", b">",
    b"&x;", b"\xed\xa0\x80", "é".encode("latin-1"), "\u2028".encode(), b"x" * 300, b"1" * 200_000,
]  # fmt: skip


def _mangle(content: bytes, rng: random.Random) -> bytes:
    """Bytes that are cut, lost, repeated, swapped or strange in one to three places."""
    for _ in range(rng.randint(1, 3)):
        start, stop = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        stop = min(stop, start + 40)
        content = rng.choice(
            (
                content[:start],
                content[:start] + content[stop:],
                content[:stop] + content[start:],
                content[:start] + rng.choice(_BYTES) + content[start:],
                content[:start] + rng.choice(_BYTES) + content[stop:],
            )
        )
    return content


@pytest.fixture
def damaged_outcomes() -> Callable[..., set[str]]:
    """What becomes of a text with faults at random: `read` or `refused`; worse is an error."""

    def outcomes(reader: Reader, place: Path, file: Path, rounds: int = 300) -> set[str]:
        content = file.read_bytes()
        rng = random.Random(0)
        found = set()
        for _ in range(rounds):
            mangled = _mangle(content, rng)
            file.write_bytes(mangled)
            reader.detect(place)
            findings = Findings()
            try:
                source = reader.read(place, None, findings.dropped)
                collect(source, place, findings)
                found.add("read")
            except DataError as error:
                found.add("refused" if str(place.parent) in error.message else error.message)
            except Exception as error:
                raise AssertionError(mangled[:2000]) from error
        return found

    return outcomes
