"""`mlc train --cross-validate` from the command line to the run folder."""

import json
import shutil
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

import mlc_cli
from mlc_cli.core.evaluation.scores import read_scores
from mlc_cli.core.runs.checkpoint import read_card, read_state
from mlc_cli.core.training.events import EpochReport, Tick
from mlc_cli.errors import Interrupted
from mlc_cli.jobs.train import run_settings, train
from mlc_cli.settings.train import TrainSettings
from tests.launch import Command

Mlc = Callable[..., Any]
RUN = Path("runs/train-1")
FULL = (
    "epochs=3",
    "ema.decay=0.9",
    "warm_start.epochs=1",
    "model.head.dropout=0.3",
    "optim.lr=3e-3",
)


@pytest.fixture(scope="module")
def validated_once(
    tmp_path_factory: pytest.TempPathFactory, dataset_at: Callable[..., Path], tiny: list[str]
) -> tuple[Path, str]:
    """A folder with data and a cross-validated run, and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("validated")
    dataset_at(folder / "data", 24, 12)
    settings = [argument for setting in FULL for argument in ("--set", setting)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code, _, err = Command(
            "train", "--data", "data", "--device", "cpu", *tiny, *settings, "--cross-validate", "3"
        ).ended(300)
    assert code == 0, err
    return folder, err


@pytest.fixture
def validated(
    validated_once: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """That run in the working folder; what was said."""
    shutil.copytree(validated_once[0], tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return validated_once[1]


@pytest.fixture
def arguments(training: Callable[..., list[str]]) -> list[str]:
    """Arguments of a cross-validation, in the working folder."""
    return [*training(24, 12, *FULL), "--cross-validate", "3"]


def images(file: Path) -> dict[str, list[str]]:
    return dict(json.loads(file.read_text())["images"])


def same_weights(one: Path, other: Path) -> bool:
    first, second = read_state(one), read_state(other)
    return all(torch.equal(first[name], second[name]) for name in first)


def test_every_image_is_scored_by_a_model_that_has_not_seen_it(validated: str) -> None:
    assert "val.json is learnt from, too: its 12 images are in the folds" in validated
    assert "val    none: all is learnt" in validated
    assert "best out-of-fold mAP 0." in validated
    everything = images(Path("data/train.json")) | images(Path("data/val.json"))
    assert images(RUN / "folds/images.json") == everything
    saved, maps, seen = read_scores(RUN / "folds/scores.npz"), [], set()
    assert saved.paths == list(everything)
    for fold in range(3):
        folder = RUN / "folds" / str(fold)
        own = images(folder / "val.json")
        assert set(own) | set(images(folder / "train.json")) == set(everything)
        assert not set(own) & (seen | set(images(folder / "train.json")))
        seen |= set(own)
        model = mlc_cli.load(folder / "best.safetensors", device="cpu")
        made = model.predict([Path("data", path) for path in own])
        said = [[one.probabilities[name] for name in saved.classes] for one in made]
        rows = [saved.paths.index(path) for path in own]
        np.testing.assert_allclose(saved.probabilities_NC[rows], said, atol=1e-6)
        targets = [[c in labels for c in saved.classes] for labels in own.values()]
        maps.append(float(average_precision_score(targets, said, average="macro")))
    assert seen == set(everything)
    evaluation = json.loads((RUN / "eval.json").read_text())
    pooled = average_precision_score(saved.targets_NC, saved.probabilities_NC, average="macro")
    assert evaluation["mAP"] == pytest.approx(pooled)
    found = evaluation["cross_validation"]
    assert found["mAP"] == pytest.approx(maps)
    assert found["mean"] == pytest.approx(np.mean(maps))
    assert found["standard_deviation"] == pytest.approx(np.std(maps, ddof=1))


def test_the_checkpoint_has_learnt_from_all_for_the_median_best_epoch(
    arguments: list[str], mlc: Mlc
) -> None:
    assert mlc(*arguments, "--set", "ema=null").code == 0
    epochs = [read_card(RUN / f"folds/{fold}/best.safetensors").epoch for fold in range(3)]
    median = statistics.median(epochs)
    assert read_card(RUN / "best.safetensors").epoch == median
    rows = [json.loads(line) for line in (RUN / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(median + 1))
    # a training on the same images that looks at others takes the same steps
    plain = [a for a in arguments if a not in ("--cross-validate", "3")]
    (Path("data") / "all.json").write_text(
        (RUN / "folds/images.json").read_text().replace("../../../data", "."))  # fmt: skip
    files = ["--set", "data.train=all.json", "--set", "data.val=test.json", "--set", "ema=null"]
    assert mlc(*plain, *files, "--set", "name=plain", "--set", "eval_every=1").code == 0
    if median == 3:
        assert same_weights(RUN / "best.safetensors", Path("runs/plain-1/last.safetensors"))
    else:
        lines = Path("runs/plain-1/metrics.jsonl").read_text().splitlines()
        losses = [json.loads(line)["train/loss"] for line in lines]
        assert [row["train/loss"] for row in rows] == losses[: median + 1]


@pytest.mark.usefixtures("validated")
def test_thresholds_and_what_is_asked_of_val_are_of_the_scores_out_of_fold(mlc: Mlc) -> None:
    stored = read_card(RUN / "best.safetensors").thresholds
    by_scores = mlc("thresholds", "--scores", RUN / "folds/scores.npz", "--output", "out", "--json")
    assert by_scores.code == 0, by_scores.err
    assert [row["threshold"] for row in json.loads(by_scores.out)["classes"]] == stored
    val = mlc("eval", "--report")
    assert "out of fold: mAP" in val.err
    assert "3 folds" in (RUN / "report.html").read_text()
    assert mlc("calibrate", "--method", "temperature").code == 0
    after = mlc("eval", "--json")
    card = read_card(RUN / "best.safetensors")
    assert card.calibration is not None
    scale, bias = card.calibration[0]
    before = read_scores(RUN / "folds/scores.npz").probabilities_NC
    logits = scale * np.log(before / (1 - before)) + bias
    np.testing.assert_allclose(
        read_scores(RUN / "scores.npz").probabilities_NC, 1 / (1 + np.exp(-logits)))  # fmt: skip
    assert json.loads(after.out)["images"] == 36
    assert json.loads(mlc("eval", "--json", "--split", "test").out)["images"] == 12
    assert json.loads(mlc("eval", "--json", "--data", "data").out)["images"] == 12
    shutil.copy(RUN / "best.safetensors", "moved.safetensors")
    away = mlc("eval", "--checkpoint", "moved.safetensors")
    assert (away.code, "scores of its folds are not beside it" in away.err) == (1, True)
    exported = mlc("export")
    assert exported.code == 0, exported.err
    file = mlc("eval", "--json", "--checkpoint", RUN / "export/model.onnx")
    assert json.loads(file.out)["images"] == 36
    refused = mlc("eval", "--tta", "flip")
    assert refused.code == 2
    assert "leave out --tta" in refused.err


def test_a_cross_validation_goes_on_where_it_was_stopped(
    make_dataset: Callable[..., Path], tiny_settings: Callable[..., TrainSettings]
) -> None:
    data = make_dataset(24, 12)
    settings = tiny_settings(data, *FULL, "data.cross_validate=3", "save_minutes=0.0001")
    whole, stopped = Path(settings.output, "train-1"), Path(settings.output, "train-2")
    heard: list[Tick] = []
    list(train(settings, on_tick=heard.append))
    for moment in (2, len(heard) // 2, len(heard) // 3):  # in a warm start, and later on
        left = iter(range(moment))

        def strike(_: Tick, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Interrupted("now")

        resume = stopped if stopped.exists() else None
        own = run_settings(stopped) if resume else settings
        with pytest.raises(Interrupted):
            list(train(own, resume=resume, on_tick=strike))
    done = [path.stat().st_mtime_ns for path in stopped.glob("folds/*/best.safetensors")]
    list(train(run_settings(stopped), resume=stopped))
    again = [path.stat().st_mtime_ns for path in stopped.glob("folds/*/best.safetensors")]
    assert again[: len(done)] == done
    for name in ("best.safetensors", "folds/0/best.safetensors", "folds/2/best.safetensors"):
        assert same_weights(whole / name, stopped / name), name
    assert read_card(whole / "best.safetensors").thresholds == read_card(
        stopped / "best.safetensors").thresholds  # fmt: skip


def test_data_that_change_meanwhile_are_named(
    make_dataset: Callable[..., Path], tiny_settings: Callable[..., TrainSettings], mlc: Mlc
) -> None:
    data = make_dataset(24, 12)
    settings = tiny_settings(data, "epochs=1", "data.cross_validate=2")
    events = train(settings)
    while not isinstance(next(events), EpochReport):
        pass
    events.close()  # type: ignore[attr-defined]
    run = Path(settings.output, "train-1")
    file = data / "val.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "images": content["images"][:-1]}))
    refused = mlc("train", "--resume", run)
    assert refused.code == 1
    assert "val.json changed since the folds were made" in refused.err
    went_on = mlc("train", "--resume", run, "--accept-changed-data")
    assert went_on.code == 0, went_on.err
    assert "made of other data" in went_on.err


def test_a_data_set_without_val_needs_none_and_time_is_refused(
    arguments: list[str], mlc: Mlc
) -> None:
    Path("data/val.json").unlink()
    shutil.rmtree("data/images/val")
    outcome = mlc(*arguments, "--epochs", "1")
    assert outcome.code == 0, outcome.err
    assert "there is no val.json, and none is needed" in outcome.err
    assert len(read_scores(RUN / "scores.npz").paths) == 24
    named = mlc(*arguments, "--set", "data.val=other.json")
    assert (named.code, "other.json: there is no such annotation" in named.err) == (1, True)
    late = mlc(*arguments, "--minutes", "1")
    assert (late.code, "not with minutes" in late.err) == (2, True)
    many = mlc(*arguments, "--cross-validate", "30")
    assert (many.code, "too few for 30 folds" in many.err) == (1, True)


def test_two_processes_cross_validate_together(arguments: list[str], start_mlc: Mlc) -> None:
    first, second = start_mlc(*arguments, "--epochs", "1").results()
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "2 processes" in first.err
    assert first.err.count("fold 3 of 3") == 1
    assert len(read_scores(RUN / "scores.npz").paths) == 36
    assert read_card(RUN / "best.safetensors").thresholds is not None
