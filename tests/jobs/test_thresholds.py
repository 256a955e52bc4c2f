import json
import re
from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.evaluation.scores import SavedScores, write_scores
from mlc_cli.core.runs.checkpoint import read_card, read_state


@pytest.fixture
def run(mlc, make_dataset, tiny, tmp_path: Path) -> Path:
    outcome = mlc(
        "train", "--data", make_dataset(train=32, val=24), *tiny,
        "--epochs", "2", "--output", tmp_path / "runs",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    return (tmp_path / "runs" / "latest").resolve()


def test_writes_files_and_stores_the_thresholds_in_the_checkpoint(mlc, run: Path) -> None:
    before = read_state(run / "best.safetensors")
    outcome = mlc("thresholds", "--run", run)
    assert outcome.code == 0, outcome.err
    thresholds_C = np.load(run / "thresholds.npy")
    assert thresholds_C.dtype == np.float64
    assert thresholds_C.shape == (3,)
    written = json.loads((run / "thresholds.json").read_text())
    assert [row["class"] for row in written["classes"]] == ["blue", "green", "red"]
    assert [row["threshold"] for row in written["classes"]] == thresholds_C.tolist()
    assert set(written["metrics"]) == {"at_0.5", "at_thresholds", "out_of_fold"}
    assert read_card(run / "best.safetensors").thresholds == thresholds_C.tolist()
    after = read_state(run / "best.safetensors")
    assert all((before[name] == after[name]).all() for name in before)


def test_eval_then_uses_them(mlc, run: Path) -> None:
    before = json.loads(mlc("eval", "--run", run, "--json").out)
    mlc("thresholds", "--run", run)
    after = json.loads(mlc("eval", "--run", run, "--json").out)
    assert "at_thresholds" not in before
    assert after["at_0.5"] == before["at_0.5"]
    assert after["at_thresholds"]["CF1"] >= after["at_0.5"]["CF1"]


def test_saved_scores_give_the_same_thresholds_and_touch_no_checkpoint(mlc, run: Path) -> None:
    stamp = (run / "best.safetensors").stat().st_mtime_ns
    saved = mlc("thresholds", "--scores", run / "scores.npz", "--json")
    assert saved.code == 0, saved.err
    assert (run / "best.safetensors").stat().st_mtime_ns == stamp
    model = mlc("thresholds", "--run", run, "--json")
    first, second = (json.loads(outcome.out)["classes"] for outcome in (saved, model))
    # The batch size differs between the two, and with it the last digits of float32.
    for one, other in zip(first, second, strict=True):
        assert one["threshold"] == pytest.approx(other["threshold"], abs=1e-5)


def test_warns_when_the_gain_does_not_hold_out_of_fold(mlc, tmp_path: Path) -> None:
    # One half is exactly right here; thresholds from a few images only come near it.
    rng = np.random.default_rng(0)
    targets = (rng.random((40, 4)) < 0.3).astype(np.int8)
    scores = (rng.random(targets.shape) * 0.5 + 0.5 * targets).astype(np.float32)
    names = [f"{number}.jpg" for number in range(40)]
    write_scores(tmp_path / "scores.npz", SavedScores(scores, targets, list("abcd"), names))
    outcome = mlc(
        "thresholds", "--scores", tmp_path / "scores.npz", "--folds", "10", "--set", "shrinkage=0"
    )
    written = json.loads((tmp_path / "thresholds.json").read_text())["metrics"]
    falls = [n for n in ("CF1", "OF1") if written["out_of_fold"][n] < written["at_0.5"][n]]
    assert falls
    for name in falls:
        assert f"out of fold the {name} is worse" in outcome.err
    for asked in (["--objective", "fbeta=2"], ["--cost", "fn=3,fp=1"]):
        outcome = mlc(
            "thresholds", "--scores", tmp_path / "scores.npz", "--set", "shrinkage=0", *asked
        )
        values = json.loads((tmp_path / "thresholds.json").read_text())["objective_value"]
        costs = "--cost" in asked
        worse = (values["out_of_fold"] > values["at_0.5"]) if costs else values["at_0.5"] == 1
        assert worse
        assert f"the {'cost of the errors' if costs else 'mean F2'} of" in outcome.err
        assert f"{values['out_of_fold']:.4f} out of fold" in outcome.out
    asked = mlc("thresholds", "--scores", tmp_path / "scores.npz", "--objective", "recall>=0.99")
    assert asked.code == 0, asked.err
    assert "warning: out of fold" not in asked.err
    assert "recall>=0.99 is an estimate" in asked.err
    assert "2 of 4 classes miss recall>=0.99: a, c" in asked.err


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "cannot be read as scores"), (b"PK\x03\x04 no", "cannot be read as scores")],
)
def test_damaged_scores_are_named(mlc, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "scores.npz").write_bytes(content)
    outcome = mlc("thresholds", "--scores", tmp_path / "scores.npz")
    assert outcome.code == 1
    assert message in outcome.err
    assert not (tmp_path / "thresholds.npy").exists()


@pytest.mark.parametrize("objective", ["f2", "precision>=2", "recall>0.5"])
def test_wrong_objective_is_a_wrong_setting(mlc, tmp_path: Path, objective: str) -> None:
    outcome = mlc("thresholds", "--scores", tmp_path / "none.npz", "--objective", objective)
    assert outcome.code == 2
    assert "objective" in outcome.err


@pytest.mark.parametrize("flag", ["jointly", "strict"])
def test_flags_of_promises_need_one(mlc, tmp_path: Path, flag: str) -> None:
    wanted = ("--scores", tmp_path / "none.npz", "--objective", "recall>=0.9")
    outcome = mlc("thresholds", *wanted, f"--{flag}")
    assert outcome.code == 2
    assert f"{flag}: is about promises, and 'recall>=0.9' has no floor" in outcome.err


def test_the_settings_beside_the_thresholds_repeat_them(mlc, run: Path) -> None:
    assert (
        mlc("thresholds", "--run", run, "--objective", "recall>=0.9", "--set", "workers=0").code
        == 0
    )
    before = (run / "thresholds.npy").read_bytes()
    outcome = mlc("thresholds", "--config", run / "thresholds.yaml", "--output", run / "again")
    assert outcome.code == 0, outcome.err
    assert (run / "again/thresholds.npy").read_bytes() == before


def test_a_promise_is_kept_in_the_checkpoint_and_bound_to_its_chain(mlc, run: Path) -> None:
    wanted = "recall>=0.6@90%"  # 5 positives without a miss promise it
    outcome = mlc("thresholds", "--run", run, "--objective", wanted, "--jointly")
    assert outcome.code == 0, outcome.err
    card = read_card(run / "best.safetensors")
    assert card.promise is not None
    assert card.promise["floors"] == [wanted]
    assert card.promise["jointly"] is True
    assert "not promised for" not in mlc("eval", "--run", run).err
    other = mlc("eval", "--run", run, "--tta", "flip")
    assert "not promised for tta flip" in other.err
    val = Path(card.data["root"], "val.json")
    content = json.loads(val.read_text())
    val.write_text(json.dumps({**content, "images": content["images"][1:]}))
    changed = mlc("eval", "--run", run, "--data", val.parent, "--tta", "flip")
    assert "23 images" in changed.err
    assert "not promised for tta flip" in changed.err
    mlc("thresholds", "--run", run, "--data", val.parent)
    assert read_card(run / "best.safetensors").promise is None


def test_what_cannot_be_promised_is_marked_and_fails_when_strict(mlc, run: Path) -> None:
    wanted = ("--run", run, "--objective", "recall>=0.99@95%")
    assert mlc("thresholds", *wanted).code == 0
    outcome = mlc("thresholds", *wanted, "--strict")
    assert outcome.code == 3
    assert "299 would do" in outcome.err  # 0.99 ** 299 < 0.05
    assert "(not promised)" in outcome.out
    assert np.load(run / "thresholds.npy").tolist() == [0, 0, 0]
    assert set(read_card(run / "best.safetensors").promise["not_promised"]) == {
        "blue", "green", "red",
    }  # fmt: skip


def test_a_band_leaves_the_rest_to_a_person(mlc, run: Path, tmp_path: Path) -> None:
    band = "precision>=0.99@95%,recall>=0.6@90%"  # the first cannot be promised on 24 images
    outcome = mlc("thresholds", "--run", run, "--band", band)
    assert outcome.code == 0, outcome.err
    assert "a person looks at" in outcome.out
    card = read_card(run / "best.safetensors")
    assert card.thresholds == [1, 1, 1]
    assert card.lower_thresholds is not None
    assert card.promise is not None
    assert card.promise["floors"] == band.split(",")
    wanted = ("predict", card.data["root"], "--run", run)
    lines = [json.loads(line) for line in mlc(*wanted).out.splitlines()]
    lower = dict(zip(["blue", "green", "red"], card.lower_thresholds, strict=True))
    for line in lines:
        between = {name for name, p in line["probabilities"].items() if p >= lower[name]}
        assert set(line["unsure"]) == between
        assert line["labels"] == []
    assert any(line["unsure"] for line in lines)
    table = mlc(*wanted, "--format", "csv").out.splitlines()
    assert table[0] == "image,labels,unsure,error,blue,green,red"
    onehot = mlc(*wanted, "--format", "onehot").out.splitlines()
    assert onehot[1].split(",")[1:] == [
        str(-(name in lines[0]["unsure"])) if name in lines[0]["unsure"] else "0" for name in lower
    ]
    pictures = mlc(*wanted, "--gallery", tmp_path / "g.html", "--draw", tmp_path / "drawn")
    assert pictures.code == 0, pictures.err
    assert re.search(r"data-unsure=.\[\d", (tmp_path / "g.html").read_text())
    assert "unsure" not in json.loads(mlc(*wanted, "--thresholds", "0.5").out.splitlines()[0])
    mlc("thresholds", "--run", run)
    assert read_card(run / "best.safetensors").lower_thresholds is None


def test_a_band_takes_the_place_of_an_objective(mlc, tmp_path: Path) -> None:
    for wrong in (
        ("--band", "recall>=0.9,recall>=0.8"),
        ("--band", "recall>=0.9,precision>=0.8", "--objective", "recall>=0.9"),
    ):
        outcome = mlc("thresholds", "--scores", tmp_path / "none.npz", *wrong)
        assert outcome.code == 2
        assert "band" in outcome.err


def test_floors_are_shown_by_slice(mlc, run: Path) -> None:
    outcome = mlc(
        "thresholds", "--run", run, "--band", "precision>=0.5,recall>=0.6", "--slices", "folder"
    )
    assert outcome.code == 0, outcome.err
    assert "recall>=0.6" in outcome.out
    content = json.loads((run / "thresholds.json").read_text())
    (one,) = content["slices"]
    assert set(one["floors"]) == {"precision>=0.5", "recall>=0.6"}
    assert one["metrics"]["CF1"]["value"] == content["metrics"]["at_thresholds"]["CF1"]
    saved = mlc("thresholds", "--scores", run / "scores.npz", "--slices", "size")
    assert saved.code == 2
    assert "--slices folder" in saved.err
    assert mlc("thresholds", "--scores", run / "scores.npz", "--slices", "folder").code == 0


WANTED = (
    ("--objective", "f1"), ("--objective", "fbeta=2"), ("--objective", "fpr<=0.1"),
    ("--objective", "precision>=0.9"), ("--objective", "recall>=0.8"),
    ("--objective", "precision>=0.9@95%"), ("--objective", "f1;recall>=0.5@90%"),
    ("--cost", "fn=5,fp=1"), ("--band", "precision>=0.9,recall>=0.9"),
)  # fmt: skip
TARGETS = {
    "no labels": np.zeros((20, 3)),
    "all labels": np.ones((20, 3)),
    "nothing known": -np.ones((20, 3)),
    "a class unknown": np.tile([[1, -1, 0], [0, -1, 1]], (10, 1)),
    "one image": np.array([[1, 0, 0]]),
    "two images": np.array([[1, 0, 0], [0, 1, 0]]),
    "one positive": np.eye(20, 3),
}


@pytest.mark.parametrize("wanted", WANTED, ids=" ".join)
@pytest.mark.parametrize("named", TARGETS)
def test_images_without_positives_or_without_knowledge_have_thresholds(
    mlc, tmp_path: Path, named: str, wanted: tuple[str, str]
) -> None:
    targets = TARGETS[named].astype(np.int8)
    scores = np.random.default_rng(0).random(targets.shape).astype(np.float32)
    names = [f"{number}.jpg" for number in range(len(targets))]
    write_scores(tmp_path / "scores.npz", SavedScores(scores, targets, list("abc"), names))
    outcome = mlc("thresholds", "--scores", tmp_path / "scores.npz", *wanted)
    assert outcome.code == 0, outcome.err
    written = json.loads((tmp_path / "thresholds.json").read_text())
    assert all(0 <= row["threshold"] <= 1 for row in written["classes"])
