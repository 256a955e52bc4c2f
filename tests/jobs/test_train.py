"""`mlc train` from the command line to the run folder."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from mlc_cli.core.runs.checkpoint import read_card, read_state
from mlc_cli.jobs.train import train
from mlc_cli.settings.train import TrainSettings
from tests.runs import rows

Mlc = Callable[..., Any]


@pytest.fixture
def work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_dataset: Callable[..., Path]
) -> Path:
    """A working folder with a data set in `data`."""
    make_dataset(24, 12)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_folder_holds_all_that_a_training_leaves(
    work: Path, mlc: Mlc, tiny: list[str]
) -> None:
    outcome = mlc("train", "--data", "data", "--epochs", "3", *tiny, "--set", "ema.decay=0.9",
                  "--set", "name=mine", "--set", "eval_every=2")  # fmt: skip
    assert outcome.code == 0, outcome.err
    run = work / "runs/mine-1"
    assert (work / "runs/latest").resolve() == run
    events = list(run.glob("events.out.tfevents*"))
    assert len(events) == 1
    assert {p.name for p in run.iterdir()} - {events[0].name} == {
        "settings.yaml", "train.log", "metrics.jsonl", "best.safetensors", "last.safetensors",
        "trainer.pt", "eval.json", "per_class.csv", "scores.npz", "run.lock",
    }  # fmt: skip
    settings = yaml.safe_load((run / "settings.yaml").read_text())
    assert settings["epochs"] == 3
    assert settings["data"]["root"] == str(Path("data").absolute())
    assert TrainSettings.model_validate(settings).model_dump(mode="json") == settings
    log = (run / "train.log").read_text()
    assert "epoch 3/3" in log
    assert "done in" in log
    assert [row["epoch"] for row in rows(run)] == [1, 2, 3]
    assert [row["val/mAP"] is None for row in rows(run)] == [True, False, False]
    assert all(isinstance(row["train/loss"], float) for row in rows(run))


def test_checkpoints_say_where_they_come_from_and_events_repeat_the_metrics(
    work: Path, mlc: Mlc, tiny: list[str]
) -> None:
    assert mlc("train", "--data", "data", "--epochs", "3", *tiny).code == 0
    run = work / "runs/train-1"
    written = rows(run)
    best, last = read_card(run / "best.safetensors"), read_card(run / "last.safetensors")
    maps = [row["val/mAP"] for row in written]
    assert last.epoch == 3
    assert last.metrics == {"val_mAP": maps[-1]}
    assert best.metrics == {"val_mAP": max(maps)}  # type: ignore[type-var]
    assert best.epoch == maps.index(max(maps)) + 1  # type: ignore[type-var]
    assert best.classes == ["blue", "green", "red"]
    assert set(best.versions) == {"mlc", "torch", "timm"}
    accumulator = EventAccumulator(str(run))
    accumulator.Reload()
    for name in ("train/loss", "train/lr", "val/mAP"):
        assert accumulator.SummaryMetadata(name).plugin_data.plugin_name == "scalars"
        events = accumulator.Tensors(name)
        assert [event.step for event in events] == [1, 2, 3]
        values = [float(make_ndarray(event.tensor_proto)) for event in events]
        assert values == [pytest.approx(row[name], rel=1e-6) for row in written]
    assert "val/mAP_ema" not in accumulator.Tags()["tensors"]


def test_scores_and_table_agree_with_the_evaluation(work: Path, mlc: Mlc, tiny: list[str]) -> None:
    assert mlc("train", "--data", "data", "--epochs", "1", *tiny).code == 0
    run = work / "runs/train-1"
    evaluation = json.loads((run / "eval.json").read_text())
    with np.load(run / "scores.npz", allow_pickle=False) as scores:
        assert scores["probabilities"].shape == scores["targets"].shape == (12, 3)
        assert scores["classes"].tolist() == ["blue", "green", "red"]
        assert scores["paths"][3] == "images/val/003.png"
    with (run / "per_class.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [row["class"] for row in table] == ["blue", "green", "red"]
    assert np.mean([float(row["AP"]) for row in table]) == pytest.approx(evaluation["mAP"])
    assert evaluation["mAP"] == read_card(run / "best.safetensors").metrics["val_mAP"]


def test_runs_are_numbered_and_never_overwritten(work: Path, mlc: Mlc, tiny: list[str]) -> None:
    for number in (1, 2):
        assert mlc("train", "--data", "data", "--epochs", "1", *tiny).code == 0
        assert (work / "runs/latest").resolve().name == f"train-{number}"
    first, second = (
        read_state(work / f"runs/train-{number}/last.safetensors") for number in (1, 2)
    )
    assert all((first[name] == second[name]).all() for name in first)


def test_the_warm_start_alone_makes_a_run(work: Path, mlc: Mlc, tiny: list[str]) -> None:
    outcome = mlc("train", "--data", "data", "--epochs", "0", *tiny,
                  "--set", "warm_start.epochs=2")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "before the first epoch" in outcome.err
    assert read_card(work / "runs/train-1/best.safetensors").epoch == 0


def test_no_epochs_and_no_warm_start_are_refused_before_a_folder_is_made(
    work: Path, mlc: Mlc, tiny: list[str]
) -> None:
    outcome = mlc("train", "--data", "data", "--epochs", "0", *tiny)
    assert outcome.code == 2
    assert "warm_start" in outcome.err
    assert not (work / "runs").exists()


def old_checkpoint(path: Path) -> Path:
    """A model of deep-object-reid for the data set: a pooled cosine head on a timm model."""
    torch.manual_seed(0)
    backbone = timm.create_model("test_resnet", num_classes=0, global_pool="")
    state = {f"module.model.{name}": value for name, value in backbone.state_dict().items()}
    state["module.model.classifier.weight"] = torch.randn(backbone.num_features, 3)
    torch.save({"state_dict": state, "classes_map": {"blue": 0, "green": 1, "red": 2}}, path)
    return path


def test_no_epochs_turn_an_old_checkpoint_into_an_evaluated_one(
    work: Path, mlc: Mlc, tiny: list[str]
) -> None:
    old = old_checkpoint(work / "main_model.pth.tar-1")
    outcome = mlc("train", "--data", "data", "--epochs", "0", *tiny, "--weights", old,
                  "--set", "model.head.name=cosine", "--set", "ema.decay=0.9")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "main_model.pth.tar-1: a checkpoint of deep-object-reid, a plain model" in outcome.err
    assert "note: not in the file, so as the settings say: scale 7, pooling avg" in outcome.err
    assert "starting weights  val mAP" in outcome.err
    run = work / "runs/train-1"
    stored = torch.load(old, weights_only=True)["state_dict"]["module.model.classifier.weight"]
    assert torch.equal(read_state(run / "best.safetensors")["head.weight"], stored.T)
    card = read_card(run / "best.safetensors")
    evaluation = json.loads((run / "eval.json").read_text())
    assert card.epoch == 0
    assert card.metrics["val_mAP"] == evaluation["mAP"]
    assert [row["train/lr"] for row in rows(run)] == [None]
    again = mlc("eval", "--run", run, "--json")
    assert json.loads(again.out)["mAP"] == evaluation["mAP"]
    assert mlc("train", "--resume", run).code == 1, "it is done"


def test_no_epochs_evaluate_a_checkpoint_as_it_is(work: Path, mlc: Mlc, tiny: list[str]) -> None:
    assert mlc("train", "--data", "data", "--epochs", "1", *tiny).code == 0
    best = work / "runs/train-1/best.safetensors"
    outcome = mlc("train", "--data", "data", "--epochs", "0", *tiny, "--weights", best)
    assert outcome.code == 0, outcome.err
    first, second = read_state(best), read_state(work / "runs/train-2/best.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    reports = [json.loads((work / f"runs/train-{n}/eval.json").read_text()) for n in (1, 2)]
    assert reports[0]["mAP"] == reports[1]["mAP"]


def test_no_epochs_are_refused_when_the_weights_bring_no_head(
    work: Path, mlc: Mlc, tiny: list[str]
) -> None:
    old = old_checkpoint(work / "old.pth")
    outcome = mlc("train", "--data", "data", "--epochs", "0", *tiny, "--weights", old)
    assert outcome.code == 2
    assert "are not of a whole model" in outcome.err
    assert "that of the settings is linear" in outcome.err
    assert not (work / "runs").exists()


def test_a_loss_that_is_not_finite_ends_with_a_message_and_the_last_complete_state(
    work: Path, mlc: Mlc, tiny: list[str]
) -> None:
    assert mlc("train", "--data", "data", "--epochs", "1", *tiny).code == 0
    run = work / "runs/train-1"
    (run / "eval.json").unlink()
    settings = yaml.safe_load((run / "settings.yaml").read_text())
    settings["epochs"], settings["optim"]["lr"] = 3, 1e38
    (run / "settings.yaml").write_text(yaml.safe_dump(settings))
    names = ("best.safetensors", "last.safetensors", "trainer.pt", "metrics.jsonl")
    before = {name: (run / name).read_bytes() for name in names}
    outcome = mlc("train", "--resume", run)
    assert outcome.code == 1
    assert "the loss is" in outcome.err
    assert "epoch 2, batch" in outcome.err
    assert "--lr" in outcome.err
    assert {name: (run / name).read_bytes() for name in names} == before
    assert not list(run.glob(".*")), "no half-written file stays"


def test_skipped_images_are_counted_in_the_log_and_the_evaluation(
    work: Path, mlc: Mlc, tiny: list[str]
) -> None:
    for split in ("train", "val"):
        (work / f"data/images/{split}/002.png").write_bytes(b"not an image")
    refused = mlc("train", "--data", "data", "--epochs", "1", *tiny)
    assert refused.code == 1
    assert "002.png" in refused.err
    outcome = mlc("train", "--data", "data", "--epochs", "1", *tiny,
                  "--set", "data.on_bad_image=skip")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "2 unreadable images" in outcome.err
    evaluation = json.loads((work / "runs/train-2/eval.json").read_text())
    assert evaluation["images"] == 11
    assert [Path(path).name for path in evaluation["unreadable_images"]] == ["002.png"]


def test_a_new_training_starts_from_the_weights_of_another(
    work: Path, mlc: Mlc, tiny: list[str]
) -> None:
    assert mlc("train", "--data", "data", "--epochs", "4", "--lr", "0.005", *tiny).code == 0
    first = json.loads((work / "runs/train-1/eval.json").read_text())["mAP"]
    outcome = mlc("train", "--data", "data", "--epochs", "1", "--lr", "1e-12", *tiny,
                  "--weights", work / "runs/train-1/best.safetensors",
                  "--set", "model.freeze_bn=true")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert json.loads((work / "runs/train-2/eval.json").read_text())["mAP"] == first


def test_the_python_interface_yields_what_happens(
    work: Path, tiny_settings: Callable[..., TrainSettings]
) -> None:
    events = list(train(tiny_settings(work / "data", "epochs=2")))
    assert [type(event).__name__ for event in events] == [
        "Started", "EpochReport", "EpochReport", "Finished",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code"), [("batch_size=1", 1), ("model.freeze_bn=true", 0), ("batch_size=2", 0)]
)
def test_a_batch_of_one_that_cannot_be_normalised_gets_a_repair_that_works(
    mlc, make_dataset, tiny, tmp_path: Path, change: str, code: int
) -> None:
    outcome = mlc(
        "train", "--data", make_dataset(4, 4), "--epochs", "1", *tiny, "--set", "batch_size=1",
        "--output", tmp_path / "runs", "--set", change,
    )  # fmt: skip
    assert outcome.code == code, outcome.err
    assert "Traceback" not in outcome.err
    if code:
        for words in ("batch of one image", "--batch-size 2", "model.freeze_bn=true"):
            assert words in outcome.err
