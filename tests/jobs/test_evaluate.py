"""`mlc eval` over checkpoints of trainings."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc_cli.core.datasets.columns import write_columns
from mlc_cli.core.evaluation import metrics, scores

Mlc = Callable[..., Any]


def evaluate(mlc: Mlc, *arguments: str | Path) -> Any:
    return mlc("eval", "--set", "workers=0", *arguments)


def files_of(folder: Path, suffix: str = "") -> tuple[object, str, list[np.ndarray]]:
    with np.load(folder / f"scores{suffix}.npz", allow_pickle=False) as scores:
        arrays = [scores[name] for name in sorted(scores.files)]
    content = json.loads((folder / f"eval{suffix}.json").read_text())
    return content, (folder / f"per_class{suffix}.csv").read_text(), arrays


def test_the_evaluation_of_a_run_is_repeated_exactly(run: Path, mlc: Mlc) -> None:
    before = files_of(run)
    for name in ("eval.json", "per_class.csv", "scores.npz"):
        (run / name).unlink()
    outcome = evaluate(mlc)
    assert outcome.code == 0, outcome.err
    after = files_of(run)
    assert before[:2] == after[:2]
    for first, second in zip(before[2], after[2], strict=True):
        np.testing.assert_array_equal(first, second)


def test_scores_in_files_say_what_those_in_memory_say(
    run: Path, mlc: Mlc, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("data/images/val/003.png").write_bytes(b"not an image")
    found = []
    for _ in range(2):
        flags = [f"--set={own}" for own in ("workers=0", "on_bad_image=skip", "batch_size=5")]
        made = [mlc(name, *flags) for name in ("thresholds", "eval")]
        assert [one.code for one in made] == [0, 0], made
        found.append([*files_of(run), json.loads((run / "thresholds.json").read_text())])
        monkeypatch.setattr(scores, "MAPPED_BYTES", 0)
        monkeypatch.setattr(metrics, "BLOCK_CELLS", 12)
    assert len(found[0][2][-1]) < 12
    np.testing.assert_equal(found[0], found[1])


def test_the_best_checkpoint_alone_is_enough(run: Path, mlc: Mlc, tmp_path: Path) -> None:
    content, table, arrays = files_of(run)
    alone = tmp_path / "far away/kopie ü.safetensors"
    alone.parent.mkdir()
    shutil.copy(run / "best.safetensors", alone)
    shutil.rmtree("runs")
    shutil.move("data", "moved")
    lost = evaluate(mlc, "--checkpoint", alone)
    assert lost.code == 1
    assert "--data" in lost.err
    outcome = evaluate(mlc, "--checkpoint", alone, "--data", "moved", "--json")
    assert outcome.code == 0, outcome.err
    found, found_table, found_arrays = files_of(alone.parent)
    assert json.loads(outcome.out) == found
    assert isinstance(content, dict)
    assert isinstance(found, dict)
    places = {"checkpoint", "data"}
    assert {k: v for k, v in found.items() if k not in places} == {
        k: v for k, v in content.items() if k not in places
    }
    assert found_table == table
    for first, second in zip(arrays, found_arrays, strict=True):
        np.testing.assert_array_equal(first, second)


def test_other_splits_are_written_beside_the_validation_split(run: Path, mlc: Mlc) -> None:
    before = files_of(run)
    assert evaluate(mlc, "--split", "test").code == 0
    shutil.copy("data/val.json", "data/own-split.json")
    assert evaluate(mlc, "--split", "own-split.json").code == 0
    content, _, _ = files_of(run, "-test")
    assert isinstance(content, dict)
    assert content["data"].endswith("test.json")
    assert files_of(run, "-own-split")[1] == before[1]
    after = files_of(run)
    assert before[:2] == after[:2]


@pytest.mark.usefixtures("run")
def test_a_batch_size_changes_no_metric(mlc: Mlc) -> None:
    first = json.loads(evaluate(mlc, "--json").out)
    second = json.loads(evaluate(mlc, "--json", "--set", "batch_size=5").out)
    assert second["mAP"] == pytest.approx(first["mAP"], abs=1e-6)


@pytest.mark.usefixtures("run")
def test_thresholds_of_a_file_decide(mlc: Mlc, tmp_path: Path) -> None:
    path = tmp_path / "t.npy"
    np.save(path, np.array([0.0, 1.0, 0.5]))
    outcome = evaluate(mlc, "--thresholds", path, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert [row["threshold"] for row in found["per_class"]] == [0.0, 1.0, 0.5]
    assert found["per_class"][0]["recall"] == 1
    assert found["per_class"][1]["recall"] == 0
    assert found["per_class"][1]["precision"] is None
    assert set(found["at_thresholds"]) == set(found["at_0.5"])


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    "content",
    [
        np.array([0.5, 0.5]),
        np.array([0.5] * 4),
        np.array([[0.5, 0.5, 0.5]]),
        np.array(0.5),
        np.array([0.5, np.nan, 0.5]),
        np.array([0.5, np.inf, 0.5]),
        np.array(["a", "b", "c"]),
        b"",
        b"not an array",
        b"PK\x03\x04 nor an archive",
        "npz",
        None,
    ],
    ids=str,
)
def test_thresholds_that_do_not_fit_are_refused(mlc: Mlc, tmp_path: Path, content: object) -> None:
    path = tmp_path / "t.npy"
    match content:
        case np.ndarray():
            np.save(path, content)
        case bytes():
            path.write_bytes(content)
        case "npz":
            with path.open("wb") as stream:
                np.savez(stream, a=np.array([0.5, 0.5, 0.5]))
    outcome = evaluate(mlc, "--thresholds", path)
    assert outcome.code == 2
    assert f"--thresholds {path}" in outcome.err.replace("\n", " ")
    assert "Traceback" not in outcome.err


@pytest.mark.usefixtures("run")
def test_objects_in_a_thresholds_file_are_never_opened(mlc: Mlc, tmp_path: Path) -> None:
    path = tmp_path / "t.npy"
    np.save(path, np.array([0.5, None, 0.5], dtype=object), allow_pickle=True)
    assert evaluate(mlc, "--thresholds", path).code == 2


@pytest.mark.usefixtures("run")
def test_data_of_other_classes_is_refused(mlc: Mlc) -> None:
    path = Path("data/val.json")
    content = json.loads(path.read_text())
    content["classes"].append("yellow")
    path.write_text(json.dumps(content))
    outcome = evaluate(mlc)
    assert outcome.code == 1
    assert "yellow" in outcome.err


def test_a_gate_decides_the_exit_code_after_everything_is_written(run: Path, mlc: Mlc) -> None:
    (run / "eval.json").unlink()
    missed = evaluate(mlc, "--min-map", "1.0")
    reached = json.loads((run / "eval.json").read_text())["mAP"]
    assert missed.code == (0 if reached == 1 else 3)
    assert evaluate(mlc, "--min-map", "0").code == 0


@pytest.mark.usefixtures("run")
def test_a_split_without_positives_has_no_map_and_misses_any_gate(mlc: Mlc) -> None:
    path = Path("data/val.json")
    content = json.loads(path.read_text())
    content["images"] = [[name, []] for name, *_ in content["images"]]
    path.write_text(json.dumps(content))
    outcome = evaluate(mlc, "--data", "data", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["mAP"] is None
    assert evaluate(mlc, "--data", "data", "--min-map", "0").code == 3


def test_a_run_without_an_evaluated_epoch_says_how_to_go_on(run: Path, mlc: Mlc) -> None:
    (run / "best.safetensors").unlink()
    outcome = evaluate(mlc)
    assert outcome.code == 1
    assert "mlc train --resume" in outcome.err


def test_results_go_where_they_are_wanted(run: Path, mlc: Mlc) -> None:
    assert evaluate(mlc, "--output", "elsewhere/deep").code == 0
    assert files_of(Path("elsewhere/deep"))[1] == files_of(run)[1]
    Path("file").write_text("")
    outcome = evaluate(mlc, "--output", "file/below")
    assert outcome.code == 1
    assert "cannot be made" in outcome.err


@pytest.mark.usefixtures("run")
def test_the_settings_beside_the_results_repeat_them(mlc: Mlc) -> None:
    assert evaluate(mlc, "--split", "test", "--output", "first").code == 0
    assert mlc("eval", "--config", "first/eval-test.yaml", "--output", "second").code == 0
    first, second = (files_of(Path(folder), "-test") for folder in ("first", "second"))
    assert first[:2] == second[:2]


def test_slices_are_told_and_the_worst_can_be_a_gate(run: Path, mlc: Mlc) -> None:
    paths = [entry[0] for entry in json.loads(Path("data/val.json").read_text())["images"]]
    sites = {path: {"site": "Ulm" if n % 3 else "Bonn"} for n, path in enumerate(paths)}
    write_columns(Path("data/val.json"), "", sites)
    arguments = ("--slices", "site", "--slices", "folder", "--report")
    outcome = evaluate(mlc, *arguments, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)["slices"]
    assert json.loads((run / "eval.json").read_text())["slices"] == found
    assert {one["value"]: one["images"] for one in found if one["by"] == "site"} == {
        name: sum(row["site"] == name for row in sites.values()) for name in ("Ulm", "Bonn")
    }
    whole = json.loads((run / "eval.json").read_text())["mAP"]
    (folder,) = (one for one in found if one["by"] == "folder")
    assert folder["metrics"]["mAP"]["value"] == whole
    html = (run / "report.html").read_text()
    assert "Groups of images" in html
    assert all(f"<td>{name} (few)</td>" in html for name in ("Ulm", "Bonn"))
    shown = evaluate(mlc, *arguments)
    assert "Bonn" in shown.out
    few = evaluate(mlc, *arguments, "--min-slice-map", "0")
    assert (few.code, "judge" in few.err) == ((3, True) if len(paths) < 20 else (0, False))


def test_a_gate_for_slices_names_the_worst(run: Path, mlc: Mlc) -> None:
    content = json.loads(Path("data/val.json").read_text())
    folder = Path("data/many")
    folder.mkdir()
    images = []
    for n in range(44):
        path, *labels = content["images"][n % len(content["images"])]
        (folder / f"{n // 22}").mkdir(exist_ok=True)
        shutil.copy(Path("data") / path, folder / f"{n // 22}/{n}.png")
        images.append([f"{n // 22}/{n}.png", *labels])
    (folder / "val.json").write_text(json.dumps({**content, "images": images}))
    arguments = ("--data", "data/many", "--slices", "folder", "--min-slice-map")
    outcome = evaluate(mlc, *arguments, "0", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)["slices"]
    values = [one["metrics"]["mAP"]["value"] for one in found]
    assert values == sorted(values)
    assert evaluate(mlc, *arguments, str(values[0])).code == 0
    missed = evaluate(mlc, *arguments, str(np.nextafter(values[0], 1)))
    assert missed.code == 3
    assert f"of the 22 images of folder {found[0]['value']} is below --min-slice-map" in missed.err
    assert (run / "eval.json").exists()


def test_a_gate_needs_slices(mlc: Mlc) -> None:
    outcome = evaluate(mlc, "--min-slice-map", "0.5")
    assert outcome.code == 2
    assert "name some with --slices" in outcome.err
    assert "got" not in outcome.err
