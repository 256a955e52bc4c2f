"""Checkpoints: the way there and back, and files that are none."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mlc_cli.core.runs.card import FORMAT, ModelCard
from mlc_cli.core.runs.checkpoint import (
    change_card,
    is_checkpoint,
    read_card,
    read_state,
    save_checkpoint,
)
from mlc_cli.errors import CheckpointError

CARD = ModelCard(
    classes=["a,b\n\"c'", "été", "日本", "🐱"],
    model={"backbone": "x", "head": {"name": "linear", "pool": None}},
    input_size=(32, 48),
    mean=(0.1, 0.2, 0.3),
    std=(0.5, 0.25, 1.0),
    scale=17.5,
    metrics={"val_mAP": 1 / 3, "other": None},
    thresholds=[0.1, 0.2, 0.30000000000000004, 1e-12],
    data={"root": "mes photos"},
    epoch=7,
    averaged=True,
    versions={"mlc": "1"},
)
STATE = {
    "half": torch.arange(6, dtype=torch.float16).reshape(2, 3),
    "double": torch.tensor([1 / 3], dtype=torch.float64),
    "count": torch.tensor(5),
    "empty": torch.zeros(0, 3),
    "not.contiguous": torch.arange(12.0).reshape(3, 4).T,
}
METADATA = {"format": 1, "classes": ["a"], "model": {}, "input_size": [8, 8]}
METADATA |= {"mean": [0, 0, 0], "std": [1, 1, 1], "scale": 1}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "best model é.safetensors"


def write(path: Path, metadata: object) -> Path:
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    save_file({"a": torch.zeros(2)}, str(path), {"mlc": text})
    return path


def test_card_and_weights_come_back_as_they_were(path: Path) -> None:
    save_checkpoint(path, STATE, CARD)
    assert read_card(path) == CARD
    assert is_checkpoint(path)
    state = read_state(path)
    assert state.keys() == STATE.keys()
    for name, value in STATE.items():
        assert state[name].dtype == value.dtype
        assert torch.equal(state[name], value)


def test_a_card_that_another_command_has_changed_is_not_changed(path: Path) -> None:
    save_checkpoint(path, STATE, CARD)
    change_card(path, CARD, epoch=8)
    assert read_card(path) == replace(CARD, epoch=8)
    with pytest.raises(CheckpointError, match="another command has changed it"):
        change_card(path, CARD, epoch=9)
    assert read_card(path).epoch == 8


def test_integer_classes_stay_integers(path: Path) -> None:
    save_checkpoint(path, STATE, replace(CARD, classes=[-1, 2, 10], thresholds=None))
    assert read_card(path).classes == [-1, 2, 10]


def test_the_least_card_has_the_defaults(path: Path) -> None:
    card = read_card(write(path, METADATA))
    assert (card.input_size, card.mean, card.std) == ((8, 8), (0, 0, 0), (1, 1, 1))
    assert (card.thresholds, card.epoch, card.averaged, card.data) == (None, 0, False, {})


def test_saving_again_replaces_the_file_and_leaves_nothing_else(path: Path) -> None:
    save_checkpoint(path, STATE, CARD)
    save_checkpoint(path, {"a": torch.ones(1)}, replace(CARD, epoch=8))
    assert read_card(path).epoch == 8
    assert list(read_state(path)) == ["a"]
    assert list(path.parent.iterdir()) == [path]


def test_a_metric_that_is_not_a_number_is_not_written(path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(path, STATE, replace(CARD, metrics={"val_mAP": float("nan")}))
    assert not path.exists()


@pytest.mark.parametrize("kept", [0, 4, 50, 300, -1])
def test_a_truncated_file_is_refused(path: Path, kept: int) -> None:
    save_checkpoint(path, STATE, CARD)
    path.write_bytes(path.read_bytes()[:kept])
    for reader in (read_card, read_state, is_checkpoint):
        with pytest.raises(CheckpointError, match="damaged or not a safetensors file") as caught:
            reader(path)
        assert path.name in caught.value.message
        assert caught.value.hint


@pytest.mark.parametrize("content", [b"some words\n" * 99, b"PK\x03\x04" * 9, b"\x00" * 64])
def test_a_file_of_another_kind_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for reader in (read_card, read_state, is_checkpoint):
        with pytest.raises(CheckpointError, match="not a safetensors file"):
            reader(path)


def test_a_missing_file_and_a_folder_are_refused(path: Path) -> None:
    for missing in (path, path.parent):
        assert not is_checkpoint(missing)
        for reader in (read_card, read_state):
            with pytest.raises(CheckpointError, match="there is no such checkpoint"):
                reader(missing)


def test_weights_of_other_origin_are_no_checkpoint(path: Path) -> None:
    save_file({"a": torch.zeros(2)}, str(path))
    assert not is_checkpoint(path)
    assert list(read_state(path)) == ["a"]
    with pytest.raises(CheckpointError, match="not a checkpoint of mlc") as caught:
        read_card(path)
    assert "--weights" in caught.value.hint


@pytest.mark.parametrize("number", [FORMAT + 1, 0, "1", None])
def test_another_format_is_refused_whatever_else_it_holds(path: Path, number: object) -> None:
    write(path, {"format": number, "input_size": 5, "future": True})
    with pytest.raises(CheckpointError, match="another version of mlc"):
        read_card(path)


@pytest.mark.parametrize("missing", list(METADATA))
def test_metadata_without_a_part_is_refused(path: Path, missing: str) -> None:
    write(path, {key: value for key, value in METADATA.items() if key != missing})
    with pytest.raises(CheckpointError, match=missing):
        read_card(path)


@pytest.mark.parametrize(
    "metadata",
    ["", "{", "[]", "5", "null", {**METADATA, "mean": None}, {**METADATA, "surprise": 1}],
    ids=str,
)
def test_damaged_metadata_is_refused(path: Path, metadata: object) -> None:
    with pytest.raises(CheckpointError, match="damaged or incomplete"):
        read_card(write(path, metadata))


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("saver", [pickle.dump, torch.save])
def test_no_code_of_a_file_is_run(path: Path, saver) -> None:
    mark = path.parent / "ran"
    with path.open("wb") as stream:
        saver(Trap(mark), stream)
    for reader in (read_card, read_state, is_checkpoint):
        with pytest.raises(CheckpointError):
            reader(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Trap(mark)))
    assert mark.exists()  # the trap works
