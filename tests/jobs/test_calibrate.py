import json
from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.evaluation.scores import read_scores
from mlc_cli.core.runs.checkpoint import read_card


@pytest.fixture
def run(mlc, make_dataset, tiny, tmp_path: Path) -> Path:
    outcome = mlc(
        "train", "--data", make_dataset(train=32, val=24), *tiny,
        "--epochs", "2", "--output", tmp_path / "runs",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    return (tmp_path / "runs" / "latest").resolve()


def decisions(mlc, run: Path, *model: object) -> tuple[list[list[str]], np.ndarray]:
    data = Path(read_card(run / "best.safetensors").data["root"])
    outcome = mlc("predict", str(data), "--run", run, *model)
    assert outcome.code == 0, outcome.err
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    probabilities = [[v for _, v in sorted(one["probabilities"].items())] for one in lines]
    return [sorted(one["labels"]) for one in lines], np.array(probabilities)


def test_probabilities_change_and_decisions_stay_in_every_file(mlc, run: Path) -> None:
    before = json.loads(mlc("eval", "--run", run, "--json").out)
    raw = read_scores(run / "scores.npz").probabilities_NC
    labels, _ = decisions(mlc, run)
    outcome = mlc("calibrate", "--run", run, "--method", "platt")
    assert outcome.code == 0, outcome.err
    written = json.loads((run / "calibration.json").read_text())
    card = read_card(run / "best.safetensors")
    assert card.calibration == [(row["scale"], row["bias"]) for row in written["classes"]]
    after = json.loads(mlc("eval", "--run", run, "--json").out)
    assert after["mAP"] == pytest.approx(before["mAP"], abs=1e-9)
    scale_C, bias_C = np.array(card.calibration).T
    expected = 1 / (1 + np.exp(-(scale_C * np.log(raw / (1 - raw)) + bias_C)))
    found = read_scores(run / "scores.npz").probabilities_NC
    assert found == pytest.approx(expected, abs=1e-5)
    same, probabilities = decisions(mlc, run)
    assert same == labels
    exported = mlc("export", "--run", run, "--ir", "--no-check")
    assert exported.code == 0, exported.err
    for name in ("model.onnx", "model.xml"):
        file_labels, file_probabilities = decisions(mlc, run, "--checkpoint", run / "export" / name)
        assert file_labels == labels
        assert file_probabilities == pytest.approx(probabilities, abs=1e-4)


def test_a_second_calibration_comes_on_top_of_the_first(mlc, run: Path) -> None:
    assert mlc("calibrate", "--run", run, "--method", "temperature").code == 0
    first = read_card(run / "best.safetensors").calibration
    assert mlc("calibrate", "--run", run, "--method", "temperature").code == 0
    second = read_card(run / "best.safetensors").calibration
    assert np.array(second) == pytest.approx(np.array(first), rel=1e-2)


def test_exported_files_are_not_calibrated(mlc, run: Path) -> None:
    assert mlc("export", "--run", run, "--no-check").code == 0
    outcome = mlc("calibrate", "--checkpoint", run / "export/model.onnx")
    assert outcome.code == 1
    assert "Calibrate the checkpoint" in outcome.err


@pytest.mark.parametrize("known", [0, 9])
def test_images_of_which_nothing_is_known_do_not_count(mlc, run: Path, known: int) -> None:
    data = Path(read_card(run / "best.safetensors").data["root"])
    content = json.loads((data / "val.json").read_text())
    classes = content["classes"]
    content["images"][known:] = [[path, [], classes] for path, *_ in content["images"][known:]]
    (data / "val.json").write_text(json.dumps(content))
    outcome = mlc("calibrate", "--run", run, "--data", str(data))
    assert outcome.code == 1
    assert f"{known} images with known labels are too few" in outcome.err


@pytest.mark.parametrize("kept", ["present", "absent"])
def test_labels_of_one_state_tell_nothing(mlc, run: Path, kept: str) -> None:
    card = read_card(run / "best.safetensors")
    val = Path(card.data["root"], "val.json")
    content = json.loads(val.read_text())
    if kept == "present":
        content["unlisted"] = "unknown"
    else:
        content["images"] = [[path, []] for path, *_ in content["images"]]
    val.write_text(json.dumps(content))
    outcome = mlc("calibrate", "--run", run, "--data", val.parent)
    assert outcome.code == 1
    assert f"all known labels are {kept}" in outcome.err
    assert read_card(run / "best.safetensors").calibration is None
