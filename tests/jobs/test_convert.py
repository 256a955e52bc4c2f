"""Conversions of random data sets: there and back again, whatever the names and states."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.datasets.converting.summary import Conversion
from mlc_cli.core.datasets.formats.build import OWN, writers
from mlc_cli.errors import DataError
from mlc_cli.jobs import convert as convert_job
from mlc_cli.jobs.convert import convert
from mlc_cli.settings.convert import ConvertSettings

NAMES = [
    "cat",
    "traffic light",
    "a,b",
    "x;y",
    "ü",
    "O'Brien",
    'say "so"',
    "p|q",
    "10",
    "Cat",
    "é=1",
]
FOLDERS = ["", "a/", "a b/", "ü/x/", "images/", "it's/"]
STEMS = ["{}", "img {}", "é{}", "a,{}", "{}.v2", "x={}"]


def write_random(folder: Path, seed: int, names: Sequence[str] = NAMES) -> None:
    """Two splits of random images, which are empty files, and states of two or three kinds."""
    rng = np.random.default_rng(seed)
    classes = [str(name) for name in rng.permutation(names)[: rng.integers(1, len(names) + 1)]]
    unlisted = "unknown" if seed % 3 == 2 else "absent"
    taken = 0
    for split in ("train", "val"):
        images = []
        for _ in range(rng.integers(1, 12)):
            taken += 1
            path = (
                rng.choice(FOLDERS) + rng.choice(STEMS).format(taken) + rng.choice([".jpg", ".PNG"])
            )
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
            states = rng.integers(0, 3 if seed % 3 else 2, len(classes))
            lists = [
                [c for c, state in zip(classes, states, strict=True) if state == k] for k in (1, 2)
            ]
            images.append([path, *lists])
        content = {"classes": classes, "unlisted": unlisted, "images": images}
        (folder / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")


def states(folder: Path, split: str) -> dict[str, tuple[set[str], set[str]]]:
    """Names of the labels of each image that are present, and of those that are unknown."""
    own = read_annotation(folder / f"{split}.json")
    rows = own.targets_NC(range(len(own)))
    names = np.array(own.class_names)
    return {
        path: (set(names[row == 1].tolist()), set(names[row == -1].tolist()))
        for path, row in zip(own.paths, rows, strict=True)
    }


def run(source: Path, dest: Path, form: str, to: str = "mlc") -> Conversion:
    content = {"format": form, "source": str(source), "dest": str(dest), "to": to}
    return convert(ConvertSettings.model_validate(content | {"strict": True}))


def is_refused(data: Path, to: str) -> bool:
    """Convert in place; whether the format cannot hold it, and then left nothing."""
    try:
        run(data, data, "mlc", to)
    except DataError as error:
        if f"{to} cannot hold this data set" not in error.message:
            raise
        return not (data / "convert.json").exists()
    return False


@pytest.mark.parametrize("to", [writer.name for writer in writers() if writer.name not in OWN])
def test_there_and_back_is_the_identity_or_refused(tmp_path: Path, to: str) -> None:
    names = [name for name in NAMES if to != "csv-list" or not set(name) & set(",;|")]
    refused = []
    for seed in range(12):
        data, back = tmp_path / f"data{seed}", tmp_path / f"back{seed}"
        write_random(data, seed, names)
        before = {split: states(data, split) for split in ("train", "val")}
        refused.append(is_refused(data, to))
        if not refused[-1]:
            result = run(data, back, to)
            assert result.files, (seed, result.dropped.lines())
            assert {split: states(back, split) for split in before} == before
    assert not all(refused)


def test_a_conversion_to_the_same_format_is_the_identity(tmp_path: Path) -> None:
    for seed in range(12):
        data, back = tmp_path / f"data{seed}", tmp_path / f"back{seed}"
        write_random(data, seed)
        assert run(data, back, "mlc").files
        for split in ("train", "val"):
            assert states(back, split) == states(data, split)


def test_a_destination_that_changes_meanwhile_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_random(tmp_path / "source", 1)
    dest = tmp_path / "dest"

    def slow(*arguments: object) -> object:
        dest.mkdir()
        (dest / "val.json").write_text('{"classes": ["another"], "images": []}')
        return make_plan(*arguments)

    make_plan = convert_job._plan
    monkeypatch.setattr(convert_job, "_plan", slow)
    with pytest.raises(DataError, match="another command has just changed it"):
        run(tmp_path / "source", dest, "mlc")
    assert [path.name for path in dest.iterdir()] == ["val.json"]


def test_images_of_other_splits_are_not_divided_anew(tmp_path: Path) -> None:
    rows = [
        {"file_name": f"{split}/{n}.jpg", "labels": ["cat"]}
        for split in ("train", "val")
        for n in range(4)
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    content = {
        "format": "auto",
        "source": str(tmp_path / "metadata.jsonl"),
        "images": {"check": False},
    }

    def paths(dest: str, **more: object) -> dict[str, set[str]]:
        convert(ConvertSettings.model_validate(content | {"dest": str(tmp_path / dest)} | more))
        files = [tmp_path / dest / f"{split}.json" for split in ("train", "val")]
        return {
            own.stem: {path.split("/")[-2] for path in read_annotation(own).paths} for own in files
        }

    assert paths("kept") == {"train": {"train"}, "val": {"val"}}
    assert paths("anew", split="0.5,0.5")["train"] == {"train", "val"}
