"""A graph head from training to prediction, as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.mark.parametrize("layer", ["gcn", "gat"])
def test_it_is_trained_evaluated_and_exported(
    mlc, make_dataset, tiny: list[str], tmp_path: Path, layer: str, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = make_dataset(24, 12)
    np.savez(tmp_path / "vectors.npz", red=[1.0, 0], green=[0, 1.0], blue=[1.0, 1])
    graph = ["name=graph", f"layer={layer}", "threshold=0.1", "cosine=true", "scale=7"]
    head = [part for setting in graph for part in ("--set", f"model.head.{setting}")]
    trained = mlc(
        "train", "--data", data, *tiny, *head, "--epochs", "2", "--set", "loss.name=aam",
        "--set", "model.head.vectors=vectors.npz",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    assert "links among 3 labels" in trained.out + trained.err
    trained_map = json.loads(Path("runs/latest/eval.json").read_text())["mAP"]

    (tmp_path / "vectors.npz").unlink()  # the checkpoint is enough
    evaluated = mlc("eval", "--json")
    assert evaluated.code == 0, evaluated.err
    assert json.loads(evaluated.out)["mAP"] == pytest.approx(trained_map)
    exported = mlc("export", "--onnx", "--ir", "--json")
    assert exported.code == 0, exported.err
    explained = mlc("predict", data / "images", "--explain", "--gallery", tmp_path / "g.html")
    assert explained.code == 0, explained.err


def test_a_graph_without_links_is_said(mlc, make_dataset, tiny: list[str], tmp_path: Path) -> None:
    done = mlc(
        "train", "--data", make_dataset(), *tiny, "--epochs", "1", "--output", tmp_path / "runs",
        "--set", "model.head.name=graph", "--set", "model.head.threshold=1",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "warning: a graph without links" in done.out + done.err


def test_labels_that_a_file_of_vectors_lacks_are_named_before_anything_else(
    mlc, make_dataset, tiny: list[str], tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("red 1 0\ngreen 0 1\n")
    done = mlc(
        "train", "--data", make_dataset(), *tiny, "--output", tmp_path / "runs",
        "--set", "model.head.name=graph", "--set", f"model.head.vectors={tmp_path}/words.txt",
    )  # fmt: skip
    assert done.code == 1
    assert "lacks vectors of 1 labels:\n  blue" in done.err
    assert not (tmp_path / "runs").exists()
