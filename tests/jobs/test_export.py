"""`mlc export`, and the commands that run what it writes."""

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from model_api.models import Model

from mlc_cli.core.datasets.rules import BoundRules, Rules
from mlc_cli.core.exporting.client import run_client
from mlc_cli.core.exporting.onnx_graph import write_onnx
from mlc_cli.core.inference.open import open_model
from mlc_cli.core.inference.runtime.openvino_core import openvino_core
from mlc_cli.core.models.build import build_model
from mlc_cli.core.runs.checkpoint import read_card, read_state, save_checkpoint
from mlc_cli.errors import MlcError
from mlc_cli.jobs import export as job
from mlc_cli.settings.model import ModelSettings

Mlc = Callable[..., Any]
FILES = ["model.onnx", "model.xml", "model-fp16.xml", "model-int8.xml"]
CLASSES = ["blue", "green", "red"]
THRESHOLDS = np.array([0.7, 0.2, 0.55])
BEST = Path("runs/train-1/best.safetensors")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def export(mlc: Mlc, *arguments: str | Path) -> Any:
    return mlc("export", "--set", "workers=0", *arguments)


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def probabilities(folder: Path) -> np.ndarray:
    with np.load(folder / "scores.npz", allow_pickle=False) as scores:
        return scores["probabilities"]


def test_the_files_are_there_and_equal_the_checkpoint(exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == {
        *FILES, "model.bin", "model-fp16.bin", "model-int8.bin", "export.json", "export.yaml",
    }  # fmt: skip
    content = read(exported / "export.json")
    assert content["passed"] is True
    assert content["check"]["images"] == 24
    assert content["check"]["source"] == "data/val.json"
    assert content["check"]["mean_ap"] > 0.7, "the model has learnt something"
    files = {file["name"]: file for file in content["files"]}
    assert list(files) == FILES
    assert [file["precision"] for file in files.values()] == ["fp32", "fp32", "fp16", "int8"]
    for name in FILES[:2]:
        assert files[name]["difference"]["logit"] < 1e-3
        assert files[name]["difference"]["decisions"] == 1
    for name, file in files.items():
        assert file["faults"] == []
        assert file["rate"] > 0
        assert abs(file["mean_ap"] - content["check"]["mean_ap"]) < 0.01
        assert open_model(exported / name, "cpu", "fp32").warning == ""
    for name in FILES[1:3]:
        assert files[name]["client"]["images"] == files[name]["client"]["same_labels"] == 24
        assert files[name]["default_arithmetic"] in ("f32", "bf16", "f16")
    sizes = [sum((exported / name).with_suffix(s).stat().st_size for s in (".xml", ".bin"))
             for name in FILES[1:]]  # fmt: skip
    assert [files[name]["bytes"] for name in FILES[1:]] == sizes
    weights = [(exported / name).with_suffix(".bin").stat().st_size for name in FILES[1:]]
    assert weights[0] > 1.5 * weights[1] > 1.5 * 1.3 * weights[2]


@pytest.mark.parametrize(("name", "limit"), [*zip(FILES, (1e-5, 1e-5, 0.01, 0.3), strict=True)])
def test_eval_takes_a_file_like_its_checkpoint(
    exported: Path, mlc: Mlc, name: str, limit: float
) -> None:
    of_checkpoint = mlc("eval", "--set", "workers=0", "--json")
    outcome = mlc("eval", "--set", "workers=0", "--json", "--checkpoint", exported / name)
    assert outcome.code == 0, outcome.err
    assert "warning" not in outcome.err
    expected, found = json.loads(of_checkpoint.out), json.loads(outcome.out)
    assert [row["threshold"] for row in found["per_class"]] == [0.7, 0.2, 0.55]
    folder = exported / name.replace(".", "-")
    np.testing.assert_allclose(probabilities(folder), probabilities(BEST.parent), atol=limit)
    assert found["mAP"] == pytest.approx(expected["mAP"], abs=1e-6 if limit < 0.1 else 0.01)
    if limit < 0.01:
        assert found["at_thresholds"] == expected["at_thresholds"]


@pytest.mark.parametrize("name", FILES[:2])
def test_predict_takes_a_file_like_its_checkpoint(exported: Path, mlc: Mlc, name: str) -> None:
    of_checkpoint = mlc("predict", "data/images/val")
    outcome = mlc("predict", "data/images/val", "--checkpoint", exported / name)
    assert outcome.code == 0, outcome.err
    rows = zip(of_checkpoint.out.splitlines(), outcome.out.splitlines(), strict=True)
    for expected, found in ((json.loads(a), json.loads(b)) for a, b in rows):
        assert found["labels"] == expected["labels"]
        assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)


def test_thresholds_of_an_exported_file_stay_beside_it(exported: Path, mlc: Mlc) -> None:
    before = (exported / "model.xml").read_bytes()
    outcome = mlc("thresholds", "--set", "workers=0", "--checkpoint", exported / "model.xml")
    assert outcome.code == 0, outcome.err
    assert (exported / "model-xml/thresholds.npy").is_file()
    assert (exported / "model.xml").read_bytes() == before


@pytest.mark.parametrize("name", FILES[:2])
def test_data_of_other_classes_is_refused(exported: Path, mlc: Mlc, name: str) -> None:
    path = Path("data/val.json")
    path.write_text(path.read_text().replace('"green"', '"grey"'))
    outcome = mlc("eval", "--data", "data", "--checkpoint", exported / name)
    assert outcome.code == 1
    assert "grey" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--device", "GPU"), 2, "OpenVINO finds CPU"),
        (("--explain", "--draw", "drawn"), 2, "--explain needs a checkpoint"),
        (("--checkpoint", "none.onnx"), 1, "none.onnx: there is no such model"),
        (("--checkpoint", "none.xml"), 1, "NAME.xml and NAME.bin"),
        (("--checkpoint", "runs/train-1/export/export.json"), 1, "not a safetensors file"),
    ],
)
def test_what_cannot_be_run_is_said(
    exported: Path, mlc: Mlc, arguments: tuple[str, ...], code: int, words: str
) -> None:
    outcome = mlc("predict", "data/images/val", "--checkpoint", exported / "model.xml", *arguments)
    assert outcome.code == code
    assert words in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("suffix", [".xml", ".bin", ".onnx"])
def test_a_damaged_file_is_said(exported: Path, mlc: Mlc, suffix: str) -> None:
    path = (exported / "model.onnx").with_suffix(suffix)
    path.write_bytes(path.read_bytes()[:1000])
    model = exported / ("model.onnx" if suffix == ".onnx" else "model.xml")
    outcome = mlc("eval", "--checkpoint", model)
    assert outcome.code == 1
    assert f"{model}: is damaged" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.usefixtures("exported")
def test_a_file_that_differs_is_marked_and_the_exit_code_tells(
    mlc: Mlc, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(path: Path, classifier: Any, info: Any, **options: Any) -> None:
        changed = deepcopy(classifier)
        with torch.no_grad():
            changed.head.linear.bias[1] += 0.01
        write_onnx(path, changed, info, **options)

    monkeypatch.setattr(job, "write_onnx", wrong)
    outcome = export(mlc, "--ir", "--output", "other", "--json")
    assert outcome.code == 3
    assert "a logit differs by 0.01, more than 0.001" in outcome.err
    content = json.loads(outcome.out)
    assert content == read(Path("other/export.json"))
    assert content["passed"] is False
    for file in content["files"]:
        assert file["difference"]["logit"] == pytest.approx(0.01, abs=1e-4)
        assert any("a logit differs" in fault for fault in file["faults"])
        path = Path("other") / file["name"]
        assert open_model(path, "cpu", "fp32").engine.info.parity == "failed"
        evaluated = mlc("eval", "--set", "workers=0", "--checkpoint", path)
        assert evaluated.code == 0, evaluated.err
        assert "warning: " in evaluated.err
        assert "differs from its checkpoint" in evaluated.err
        chosen = mlc("thresholds", "--set", "workers=0", "--checkpoint", path)
        assert f"warning: {path} differs from its checkpoint" in chosen.err


def test_without_the_check_nothing_but_the_checkpoint_is_needed(exported: Path, mlc: Mlc) -> None:
    before = content_of(exported)
    shutil.move("data", "gone")
    asks = export(mlc, "--data", "data")
    assert asks.code == 1
    assert "--no-check" in asks.err
    assert content_of(exported) == before
    outcome = export(mlc, "--no-check")
    assert outcome.code == 0, outcome.err
    assert "nothing was compared" in outcome.err
    assert "from an earlier export, not of this one: model-fp16.xml, model-int8.xml, model.xml" in (
        " ".join(outcome.err.split())
    )
    content = read(exported / "export.json")
    assert content["passed"] is content["check"] is None
    assert [file["name"] for file in content["files"]] == ["model.onnx"]
    assert open_model(exported / "model.onnx", "cpu", "fp32").engine.info.parity == "unchecked"
    shutil.move("gone", "data")
    evaluated = mlc("eval", "--set", "workers=0", "--checkpoint", exported / "model.onnx")
    assert "was never compared with its checkpoint" in evaluated.err


@pytest.mark.parametrize(
    ("fault", "code"),
    [(KeyboardInterrupt(), 130), (MlcError("no way"), 1), (OSError(28, "disk full"), 1)],
)
def test_an_export_that_fails_leaves_an_earlier_one_as_it_was(
    exported: Path, mlc: Mlc, monkeypatch: pytest.MonkeyPatch, fault: BaseException, code: int
) -> None:
    def copied(path: Path, *_: Any, **__: Any) -> None:
        shutil.copy(exported / "model.onnx", path)

    def fails(*_: Any) -> None:
        assert list(exported.glob(".export.*/model.xml")), "there is something to clean up"
        raise fault

    before = content_of(exported)
    monkeypatch.setattr(job, "write_onnx", copied)
    monkeypatch.setattr(job, "check_files", fails)
    outcome = export(mlc, "--ir")
    assert outcome.code == code
    assert str(getattr(fault, "strerror", fault)) in outcome.err
    assert "Traceback" not in outcome.err
    assert "Errno" not in outcome.err
    assert content_of(exported) == before


@pytest.mark.usefixtures("exported")
def test_folded_thresholds_make_a_stock_client_decide_as_mlc(mlc: Mlc) -> None:
    outcome = export(mlc, "--ir", "--fold-thresholds", "--saliency", "--output", "folded")
    assert outcome.code == 0, outcome.err
    model = Model.create_model("folded/model.xml")
    predicted = mlc("predict", "data/images/val").out.splitlines()
    assert len(predicted) == 24
    at_half = 0
    for record in map(json.loads, predicted):
        result = model(cv2.imread(record["image"]))
        found = {label.name for label in result.top_labels}
        distances = np.abs(np.array([record["probabilities"][c] for c in CLASSES]) - THRESHOLDS)
        clear = {c for c, distance in zip(CLASSES, distances, strict=True) if distance > 0.01}
        assert found & clear == set(record["labels"]) & clear
        assert result.saliency_map.dtype == np.uint8
        assert result.saliency_map.shape[:2] == (1, 3)
        half = {c for c, p in record["probabilities"].items() if p >= 0.5}
        at_half += half != set(record["labels"])
    assert at_half, "the thresholds matter"
    for name in FILES[:2]:
        assert mlc("eval", "--set", "workers=0", "--checkpoint", f"folded/{name}").code == 0
        assert mlc("eval", "--set", "workers=0").code == 0
        np.testing.assert_allclose(
            probabilities(Path("folded") / name.replace(".", "-")),
            probabilities(BEST.parent),
            atol=1e-5,
        )
    assert read(Path("folded/export.json"))["fold_thresholds"] is True


def clear_of(values_N: np.ndarray) -> float:
    """A threshold in the middle of the widest gap of the inner scores."""
    inner = np.sort(values_N)[len(values_N) // 4 : -(len(values_N) // 4)]
    k = int(np.argmax(np.diff(inner)))
    return float((inner[k] + inner[k + 1]) / 2)


@pytest.mark.usefixtures("exported")
def test_folded_rules_make_a_stock_client_decide_as_mlc_on_200_of_200(mlc: Mlc) -> None:
    rng, folder = np.random.default_rng(0), Path("made")
    folder.mkdir()
    for n in range(200):
        blobs = rng.integers(0, 256, (4, 4, 3), np.uint8)
        cv2.imwrite(str(folder / f"{n:03}.png"), cv2.resize(blobs, (32, 32)))
    found = [json.loads(line)["probabilities"] for line in mlc("predict", folder).out.splitlines()]
    scores_NC = np.array([[one[name] for name in CLASSES] for one in found])
    card, state = read_card(BEST), read_state(BEST)
    rules = Rules({"red": ["green"]}, [["blue", "green"]])
    thresholds = [clear_of(scores_N) for scores_N in scores_NC.T]
    save_checkpoint(BEST, state, replace(card, thresholds=thresholds, rules=rules))
    reached_NC = scores_NC >= thresholds
    assert BoundRules(rules, CLASSES).breaks(reached_NC.astype(np.int8)).sum() > 20
    outcome = export(mlc, "--ir", "--fold-thresholds", "--fold-rules", "--output", "folded")
    assert outcome.code == 0, outcome.err
    client = run_client(Path("folded/model.xml"), sorted(folder.iterdir()), CLASSES)
    predicted = [json.loads(line) for line in mlc("predict", folder).out.splitlines()]
    expected = [set(record["labels"]) for record in predicted]
    for row_C, labels in zip(client.decided_NC, expected, strict=True):
        assert {CLASSES[c] for c in np.flatnonzero(row_C)} == labels
    assert len({frozenset(labels) for labels in expected}) >= 3
    assert sum(len(labels) for labels in expected) < reached_NC.sum()


@pytest.mark.usefixtures("exported")
def test_what_does_not_go_together_is_refused(mlc: Mlc) -> None:
    card = replace(read_card(BEST), thresholds=None)
    save_checkpoint(BEST, read_state(BEST), card)
    for arguments, words in (
        (("--fold-thresholds",), "mlc thresholds"),
        (("--precision", "int8", "--no-check"), "--no-check"),
        (("--no-onnx",), "nothing to write"),
        (("--precision", "int4"), "int4"),
    ):
        outcome = export(mlc, *arguments)
        assert outcome.code == 2, arguments
        assert words in outcome.err


def test_an_exported_file_is_not_exported_again(exported: Path, mlc: Mlc) -> None:
    outcome = export(mlc, "--checkpoint", exported / "model.onnx")
    assert outcome.code == 1
    assert "is exported already" in outcome.err


@pytest.mark.usefixtures("exported")
def test_one_class_is_exported_without_the_client_and_that_is_said(mlc: Mlc) -> None:
    settings = ModelSettings(backbone="test_resnet", pretrained=False)
    state = build_model(settings, ["red"], (32, 32)).classifier.state_dict()
    card = replace(read_card(BEST), classes=["red"], thresholds=None, model=settings.model_dump())
    save_checkpoint(Path("one.safetensors"), state, card)
    content = read(Path("data/val.json"))
    content["classes"] = ["red"]
    content["images"] = [
        [path, [label for label in labels if label == "red"]] for path, labels in content["images"]
    ]
    Path("data/val.json").write_text(json.dumps(content))
    outcome = export(
        mlc, "--ir", "--data", "data", "--checkpoint", "one.safetensors", "--output", "one"
    )
    assert outcome.code == 0, outcome.err
    assert "client of OpenVINO Model API fails on models with one class" in outcome.err
    assert [file["client"] for file in read(Path("one/export.json"))["files"]] == [None, None]
    images = np.zeros((3, 3, 32, 32), np.uint8)
    assert openvino_core().compile_model("one/model.xml", "CPU")(images)["logits"].shape == (3, 1)


@pytest.mark.usefixtures("exported")
def test_images_that_cannot_be_read_stop_it_or_are_left_out(
    exported: Path, mlc: Mlc, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copied(path: Path, *_: Any, **__: Any) -> None:
        shutil.copy(exported / "model.onnx", path)

    monkeypatch.setattr(job, "write_onnx", copied)
    Path("data/images/val/003.png").write_bytes(b"no image")
    stopped = export(mlc, "--data", "data", "--output", "a")
    assert stopped.code == 1
    assert "003.png" in stopped.err
    skipped = export(mlc, "--data", "data", "--ir", "--output", "b", "--set", "on_bad_image=skip")
    assert skipped.code == 0, skipped.err
    assert read(Path("b/export.json"))["check"]["images"] == 23
    for path in Path("data/images/val").iterdir():
        path.write_bytes(b"no image")
    nothing = export(mlc, "--data", "data", "--output", "c", "--set", "on_bad_image=skip")
    assert nothing.code == 1
    assert "Traceback" not in nothing.err


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize("images", [1, 3, 1000])
def test_int8_is_calibrated_on_as_many_training_images_as_the_setting_says(
    mlc: Mlc, monkeypatch: pytest.MonkeyPatch, images: int
) -> None:
    seen: list[int] = []

    class Counting:
        def __init__(self, *_: Any) -> None:
            pass

        def __call__(self, _: Any, calibration: list[Any], validation: list[Any]) -> Any:
            seen.extend((len(calibration), len(validation)))
            raise MlcError("enough is known")

    monkeypatch.setattr(job, "Quantiser", Counting)
    flags = ("--precision", "int8", "--set", f"int8.calibration_images={images}")
    outcome = export(mlc, *flags, "--output", "int8")
    assert "enough is known" in outcome.err
    training = len(read(Path("data/train.json"))["images"])
    assert seen == [min(images, training), 24]
