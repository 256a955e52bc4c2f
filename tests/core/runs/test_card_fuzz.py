"""Damaged cards: refused with a message, never a traceback; mutated before the checksum is made."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.runs.card import ModelCard, card_to_json
from mlc_cli.core.runs.checkpoint import read_card, save_checkpoint
from mlc_cli.core.system.checksum import OPEN, seal
from mlc_cli.errors import CheckpointError

CARD = ModelCard(
    ["a", "b", "c"], {"backbone": "x"}, (32, 32), (0.5,) * 3, (0.5,) * 3, 1.0,
    metrics={"val_mAP": 0.5}, thresholds=[0.1, 0.2, 0.3], data={"root": "d"},
)  # fmt: skip
VALUES = [None, True, -1, 0, 10**400, 1e308, "", "x", [], [[]], {}, [1, 2, 3], ["b", "a"], "\ud800"]


def of_format_6() -> dict[str, Any]:
    """The card as the last version wrote it, so that the schema alone stands for it."""
    content = json.loads(card_to_json(CARD))
    del content["digest"]
    return {**content, "format": 6}


def write(path: Path, text: str) -> Path:
    save_file({"a": torch.zeros(2)}, str(path), {"mlc": text})
    if OPEN in text:
        seal(path)
    return path


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", ["c", "b", "a"]),
        ("classes", ["a", "a", "b"]),
        ("classes", []),
        ("classes", [1, "b", "c"]),
        ("classes", ["a", "b"]),
        ("thresholds", [0.1, 0.2, 1.5]),
        ("thresholds", [0.1, 0.2]),
        ("input_size", [0, 32]),
        ("input_size", [32, 10**9]),
        ("mean", [0.5, 0.5]),
        ("std", [0.0, 0.5, 0.5]),
        ("scale", "1"),
        ("epoch", True),
        ("more", 1),
    ],
)
def test_a_value_that_cannot_be_is_refused(tmp_path: Path, key: str, value: object) -> None:
    content = {**of_format_6(), key: value}
    with pytest.raises(CheckpointError, match="damaged or incomplete"):
        read_card(write(tmp_path / "x.safetensors", json.dumps(content)))


def test_mutated_cards_are_read_or_refused(tmp_path: Path) -> None:
    rng = random.Random(0)
    path = tmp_path / "x.safetensors"
    refused = 0
    for _ in range(600):
        content = of_format_6()
        key = rng.choice([key for key in content if key != "checksum"])
        if isinstance(content[key], list) and rng.random() < 0.5:
            content[key][rng.randrange(len(content[key]))] = rng.choice(VALUES)
        else:
            content[key] = rng.choice(VALUES)
        text = json.dumps(content)
        if rng.random() < 0.3:
            place = rng.randrange(len(text))
            text = text[:place] + chr(rng.randrange(32, 127)) + text[place + 1 :]
        try:
            read_card(write(path, text))
        except CheckpointError:
            refused += 1
    assert refused > 450


@pytest.mark.parametrize(
    "change", [{"thresholds": [0.1, 0.2, 0.4]}, {"digest": None}, {"digest": "0" * 64}]
)
def test_a_card_that_was_changed_since_it_was_written_is_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    content = json.loads(card_to_json(CARD))
    assert read_card(write(tmp_path / "same.safetensors", json.dumps(content, indent=1))) == CARD
    with pytest.raises(CheckpointError, match="it is not as it was written"):
        read_card(write(tmp_path / "x.safetensors", json.dumps({**content, **change})))


def test_flipped_bits_of_a_checkpoint_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {"a": torch.arange(20.0)}, CARD)
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            read_card(path)


def test_a_checkpoint_of_the_last_version_loads_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = {**of_format_6(), "format": 1}
    for later in ("checksum", "resize", "interpolation", "decode", "last_norm"):
        del content[later]
    assert CARD.geometry == Geometry(CARD.input_size, "squash", "linear", "full")
    path = tmp_path / "old.safetensors"
    save_file({"a": torch.zeros(2)}, str(path), {"mlc": json.dumps(content)})
    for _ in range(2):
        assert read_card(path) == replace(CARD, last_norm=False)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: is of an earlier version, without a checksum to tell damage by"
    ]
