"""Predictions as records, and the continuation of files of them."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.inference.predictions import FORMATS, FormatName
from mlc_cli.core.inference.results import Prediction, best_first
from mlc_cli.core.inference.writer import RecordWriter, open_output, read_partial
from mlc_cli.errors import DataError, MlcError

CLASSES = ["cat", "=dog", 'a "b"; ü']
NAMES: list[FormatName] = ["jsonl", "csv", "onehot"]


def prediction(image: str = "a.jpg", *values: float) -> Prediction:
    row_C = np.array(values or (0.25, 0.75, 0.5))
    return Prediction(image, row_C, best_first(row_C, row_C >= 0.5))


PREDICTIONS = [
    prediction(),
    Prediction("broken.png", error="is not an image"),
    prediction("=new\nline, ü.png", 0.1, 0.2, 0.3),
    prediction("a.jpg"),
]


def written(name: FormatName, predictions: list[Prediction], most: int | None = None) -> str:
    stream = io.StringIO()
    writer = RecordWriter(stream, FORMATS[name](CLASSES, most))
    for one in predictions:
        writer.write([one])
    writer.finish()
    return stream.getvalue()


def test_the_threshold_itself_is_reached_and_the_best_is_first() -> None:
    row_C = np.array([0.5, 0.9, 0.4, 0.9])
    assert best_first(row_C, row_C >= 0.5) == [1, 3, 0]
    assert best_first(row_C, row_C >= [0.6, 0.95, 0.1, 0.9]) == [3, 2]


def test_a_line_of_json() -> None:
    first, second, third, _ = map(json.loads, written("jsonl", PREDICTIONS).splitlines())
    assert first == {
        "image": "a.jpg",
        "labels": ["=dog", 'a "b"; ü'],
        "probabilities": {"=dog": 0.75, 'a "b"; ü': 0.5, "cat": 0.25},
    }
    assert list(first["probabilities"]) == ["=dog", 'a "b"; ü', "cat"]
    assert second == {"image": "broken.png", "error": "is not an image"}
    assert third["labels"] == []


def test_numbers_are_short_and_near() -> None:
    values = np.random.default_rng(0).random(3)
    line = json.loads(written("jsonl", [prediction("a", *values)]))
    found = [line["probabilities"][name] for name in CLASSES]
    np.testing.assert_allclose(found, values, rtol=1e-8)
    assert max(len(str(p)) for p in found) <= 13


def test_what_is_nearly_certain_is_still_ranked_and_decided() -> None:
    nearly = np.array([1 - 1e-12, 1 - 1e-13, 0.3])
    assert best_first(nearly, nearly >= [1 - 1e-14, 1 - 5e-13, 0.5]) == [1]
    assert Prediction("a", nearly).ranked() == [1, 0, 2]


def test_the_largest_are_listed_and_decisions_stay() -> None:
    line = json.loads(written("jsonl", [prediction()], most=1))
    assert list(line["probabilities"]) == ["=dog"]
    assert len(line["labels"]) == 2
    row = next(csv.DictReader(io.StringIO(written("csv", [prediction()], most=1))))
    assert (row["'=dog"], row["cat"]) == ("0.75", "")
    assert row["labels"] == '\'=dog;a "b"\\; ü'


@pytest.mark.parametrize("count", [0, 1, 4])
def test_an_array_of_json_is_the_lines(count: int) -> None:
    array = json.loads(written("json", PREDICTIONS[:count]))
    assert array == [json.loads(x) for x in written("jsonl", PREDICTIONS[:count]).splitlines()]


def test_a_row_of_zeros_and_ones() -> None:
    header, *rows = csv.reader(io.StringIO(written("onehot", PREDICTIONS), newline=""))
    assert header == ["image", "cat", "'=dog", 'a "b"; ü']
    assert rows[0] == ["a.jpg", "0", "1", "1"]
    assert rows[1] == ["broken.png", "", "", ""]
    assert rows[2] == ["'=new\\nline, ü.png", "0", "0", "0"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_anywhere_is_continued_to_the_same_file(tmp_path: Path, name: str) -> None:
    whole = written(name, PREDICTIONS).encode()
    path, form = tmp_path / "out", FORMATS[name](CLASSES)
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        names = iter([p.image for p in PREDICTIONS])
        partial = read_partial(path, form, names, 1)
        rest = PREDICTIONS[partial.images :]
        assert list(names) == [p.image for p in rest]
        with open_output(path, partial.end) as stream:
            writer = RecordWriter(stream, form, resumed=partial.images > 0)
            writer.write(rest)
            writer.finish()
        assert path.read_bytes() == whole
        assert len(partial.errors) == (partial.images >= 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_something_else_is_not_continued(tmp_path: Path, name: FormatName) -> None:
    path, form = tmp_path / "out", FORMATS[name](CLASSES)
    path.write_text(written(name, PREDICTIONS), newline="")
    with pytest.raises(DataError, match="image 2 is broken"):
        read_partial(path, form, iter(["a.jpg", "other.png"]), 1)
    with pytest.raises(DataError, match="no more images"):
        read_partial(path, form, iter(["a.jpg"]), 1)
    other = FORMATS["csv" if name == "jsonl" else "jsonl"](CLASSES)
    with pytest.raises(DataError, match="cannot be continued"):
        read_partial(path, other, iter(["a.jpg"]), 1)


def test_whole_batches_are_kept(tmp_path: Path) -> None:
    path, form = tmp_path / "out", FORMATS["jsonl"](CLASSES)
    records = [written("jsonl", [one]).encode() for one in PREDICTIONS]
    path.write_bytes(b"".join(records[:3]) + b"half")
    partial = read_partial(path, form, iter([p.image for p in PREDICTIONS]), 2)
    assert (partial.images, partial.dropped) == (2, 1)
    assert partial.end == len(b"".join(records[:2]))
    assert [error.image for error in partial.errors] == ["broken.png"]


@pytest.mark.parametrize("name", ["csv", "onehot"])
def test_a_table_of_other_classes_is_not_continued(tmp_path: Path, name: FormatName) -> None:
    path = tmp_path / "out"
    path.write_text(written(name, PREDICTIONS), newline="")
    with pytest.raises(DataError, match="cannot be continued"):
        read_partial(path, FORMATS[name]([*CLASSES, "more"]), iter(["a.jpg"]), 1)


@pytest.mark.parametrize("content", [b"{}\n", b"[1]\n", b"\xff\n", b"no json\n", b"\n"])
def test_lines_that_are_no_predictions_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "out"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be continued"):
        read_partial(path, FORMATS["jsonl"](CLASSES), iter(["a.jpg"]), 1)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(MlcError, match="nowhere"), open_output(tmp_path / "nowhere/out"):
        pass
    with pytest.raises(MlcError, match="cannot be written"), open_output(tmp_path):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_a_full_disk_is_named() -> None:
    writer_form = FORMATS["jsonl"](CLASSES)
    with pytest.raises(MlcError, match="No space left"), open_output(Path("/dev/full")) as stream:
        RecordWriter(stream, writer_form).write(PREDICTIONS)


def test_columns_of_classes_never_have_the_name_of_another_column() -> None:
    names = ["a;b", "error", "labels", "two\nlines"]
    row_C = np.array([0.9, 0.8, 0.7, 0.6])
    one = Prediction("i.jpg", row_C, best_first(row_C, row_C >= 0.5))
    text = FORMATS["csv"](names).before + FORMATS["csv"](names).record(one)
    header, row = csv.reader(io.StringIO(text))
    assert header[3:] == ["class:a;b", "class:error", "class:labels", "class:two\\nlines"]
    assert len(set(header)) == len(header)
    assert row[1] == "a\\;b;error;labels;two\\nlines"
    assert len(text.splitlines()) == 2


def test_formulas_are_left_alone_if_so_wanted() -> None:
    form = FORMATS["csv"](CLASSES, guard=False)
    assert form.record(prediction("=a.jpg")).startswith('=a.jpg,"=dog;')


def test_a_line_of_json_is_safe_on_a_terminal_and_means_the_same() -> None:
    name = "\x1b[31mred\u202e\n"
    line = FORMATS["jsonl"](["a"]).record(Prediction(name, np.array([0.9])))
    assert line[:-1].isprintable()
    assert json.loads(line)["image"] == name
