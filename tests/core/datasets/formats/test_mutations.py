"""Tables that are written in another way and mean the same are read the same."""

import csv
import io
import random

import pytest

from mlc_cli.core.datasets.formats.csv_list import csv_list_reader
from mlc_cli.core.datasets.formats.csv_onehot import csv_onehot_reader
from mlc_cli.core.datasets.formats.shared.states import StateRule

ONEHOT = [["image", "cat", "dog", "split"], *(
    [f"p{n}.jpg", str(n % 2), str(n % 3 // 2), "val" if n > 6 else "train"] for n in range(9)
)]  # fmt: skip
LISTED = [["image", "labels", "split"], *(
    [f"p{n}.jpg", "|".join(["cat"] * (n % 2) + ["dog"] * (n % 3 // 2)), "val" if n > 6 else "train"]
    for n in range(9)
)]  # fmt: skip
FLAGS = [("0", "1"), ("0.0", "1.0"), ("False", "True"), ("no", "Yes"), ("N", "Y"), ("-1", "1")]
LISTS = ["|", ";", "python", "tuple", "json", "numpy"]


def write(rows, random, flags=None, lists=None) -> bytes:
    """One of the ways to write a table: order, quotes, separators, mark, ends of lines, case."""
    head, *body = [list(row) for row in rows]
    if flags:
        body = [[row[0], *(flags[int(cell)] for cell in row[1:3]), row[3]] for row in body]
    if lists:
        body = [[row[0], listed(row[1], lists), row[2]] for row in body]
    order = random.sample(range(len(head)), len(head))
    if random.random() < 0.5:
        head[-1] = random.choice(["phase", "Set Id", "fold", "subset"])
    out = io.StringIO()
    writer = csv.writer(
        out,
        delimiter=random.choice([",", "\t"] if lists == ";" else [",", ";", "\t"]),
        quoting=random.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        lineterminator=random.choice(["\n", "\r\n"]),
    )
    writer.writerows([row[column] for column in order] for row in [head, *body])
    return random.choice([b"", b"\xef\xbb\xbf"]) + out.getvalue().encode()


def listed(cell: str, how: str) -> str:
    names = cell.split("|") if cell else []
    if how in "|;":
        return how.join(names)
    quoted = [f"'{name}'" for name in names]
    if how == "tuple":
        return f"({', '.join(quoted)}{',' * (len(names) == 1)})"
    if how == "json":
        return "[" + ", ".join(f'"{name}"' for name in names) + "]"
    return f"[{(' ' if how == 'numpy' else ', ').join(quoted)}]"


@pytest.mark.parametrize("seed", range(24))
def test_a_table_of_flags_written_in_another_way(put, read_all, seed: int) -> None:
    whole = read_all(csv_onehot_reader(), put("a.csv", write(ONEHOT, random.Random(0)))).states
    content = write(ONEHOT, random.Random(seed), flags=FLAGS[seed % len(FLAGS)])
    assert read_all(csv_onehot_reader(), put("b.csv", content)).states == whole
    assert len(whole) == 9


@pytest.mark.parametrize("seed", range(24))
def test_a_table_of_lists_written_in_another_way(put, read_all, seed: int) -> None:
    whole = read_all(csv_list_reader(), put("a.csv", write(LISTED, random.Random(0)))).states
    content = write(LISTED, random.Random(seed), lists=LISTS[seed % len(LISTS)])
    assert read_all(csv_list_reader(), put("b.csv", content)).states == whole
    assert {split for split, _ in whole} == {"train", "val"}


@pytest.mark.parametrize(
    ("counts", "minus_one"),
    [({1: 3, -1: 4}, "absent"), ({1: 3, -1: 4, 0: 1}, "unknown"), ({1: 3, None: 2}, "unknown")],
)
def test_what_minus_one_means_is_decided_from_what_occurs(counts, minus_one) -> None:
    states = StateRule().decide(counts)
    assert (states[1], states[0], states[-1]) == ("present", "absent", minus_one)
