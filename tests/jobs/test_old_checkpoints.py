"""Checkpoints of other systems in all commands that run a model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mlc_cli.core.runs.checkpoint import read_card, read_state

Mlc = Callable[..., Any]
LIKE = """\
data: {input_size: 32}
model:
  backbone: test_resnet
  head: {name: linear}
"""


@pytest.fixture
def old(run: Path) -> Path:
    """The best of a run as deep-object-reid would have saved it, classes in another order."""
    best = run / "best.safetensors"
    state, names = read_state(best), list(read_card(best).classes)
    order = [2, 0, 1]
    tensors = {
        f"module.model.{name.removeprefix('backbone.model.')}": value
        for name, value in state.items()
        if name.startswith("backbone.model.")
    }
    for part in ("weight", "bias"):
        tensors[f"module.model.fc.{part}"] = state[f"head.linear.{part}"][order]
    classes_map = {names[place]: position for position, place in enumerate(order)}
    path = Path("main_model.pth.tar-1")
    torch.save({"state_dict": tensors, "classes_map": classes_map, "epoch": 1}, path)
    Path("like.yaml").write_text(LIKE)
    return path


def test_all_commands_take_an_old_checkpoint(old: Path, run: Path, mlc: Mlc) -> None:
    ours = json.loads((run / "eval.json").read_text())
    how = ("--checkpoint", old, "--like", "like.yaml")
    outcome = mlc("eval", *how, "--data", "data", "--set", "workers=0", "--json")
    assert outcome.code == 0, outcome.err
    theirs = json.loads(outcome.out)
    assert theirs["mAP"] == pytest.approx(ours["mAP"], abs=1e-6)
    tables = [Path(folder, "per_class.csv").read_text() for folder in (".", run)]
    assert tables[0] == tables[1]
    assert "were put into ours by name" in outcome.err

    predicted = [mlc("predict", "data/images", *model).out.splitlines()
                 for model in (how, ("--run", run))]  # fmt: skip
    assert len(predicted[0]) == len(predicted[1]) > 20
    for first, second in zip(*predicted, strict=True):
        one, other = json.loads(first), json.loads(second)
        assert one["labels"] == other["labels"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)

    outcome = mlc("export", *how, "--data", "data", "--output", "out", "--set", "workers=0",
                  "--set", "parity.client_images=0")  # fmt: skip
    assert outcome.code == 0, outcome.err
    exported = mlc("eval", "--checkpoint", "out/model.onnx", "--data", "data", "--json",
                   "--set", "workers=0")  # fmt: skip
    assert json.loads(exported.out)["mAP"] == pytest.approx(ours["mAP"], abs=1e-6)

    outcome = mlc("train", "--data", "data", "--weights", old, "--config", "like.yaml", "--epochs",
                  "0", "--set", "data.workers=0")  # fmt: skip
    assert outcome.code == 0, outcome.err
    trained = json.loads(Path("runs/train-2/eval.json").read_text())
    assert trained["mAP"] == pytest.approx(ours["mAP"], abs=1e-6)

    before = old.read_bytes()
    outcome = mlc("thresholds", *how, "--data", "data", "--set", "workers=0")
    assert outcome.code == 0, outcome.err
    assert old.read_bytes() == before


@pytest.mark.parametrize("command", ["eval", "predict", "export"])
def test_what_is_not_known_is_refused(old: Path, mlc: Mlc, command: str) -> None:
    content = torch.load(old, weights_only=True)
    del content["classes_map"]
    torch.save(content, old)
    sources = ("data/images",) if command == "predict" else ("--data", "data")
    outcome = mlc(command, *sources, "--checkpoint", old)
    assert outcome.code == 1
    assert "does not name its classes" in outcome.err
    assert "--weight-classes" in outcome.err
    Path("names.txt").write_text("\n".join(f"n{number}" for number in range(3)))
    outcome = mlc(command, *sources, "--checkpoint", old, "--weight-classes", "names.txt")
    assert outcome.code == 1
    assert "its backbone is none of tf_efficientnetv2_s" in outcome.err
    assert "--like PRESET" in outcome.err


def test_own_checkpoints_and_exported_files_say_it_themselves(run: Path, mlc: Mlc) -> None:
    outcome = mlc("eval", "--run", run, "--like", "finetune")
    assert outcome.code == 2
    assert "says itself what --like, --weight-classes say" in outcome.err
    outcome = mlc("eval", "--checkpoint", "x.onnx", "--weight-classes", "coco")
    assert outcome.code == 2
