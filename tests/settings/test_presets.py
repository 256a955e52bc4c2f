"""Presets: chains of them, and those that are shipped."""

from pathlib import Path

import pytest

from mlc_cli.errors import SettingsError
from mlc_cli.settings.presets import load_card, load_preset, preset_names, presets_root
from mlc_cli.settings.resolve import as_yaml, gather, validate
from mlc_cli.settings.train import TrainSettings
from mlc_cli.settings.yaml_io import read_yaml

FILES = sorted(presets_root().glob("*/*.yaml"))
SHIPPED = preset_names("train")


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of presets in place of the shipped ones."""
    (tmp_path / "train").mkdir()
    monkeypatch.setattr("mlc_cli.settings.presets.presets_root", lambda: tmp_path)
    return tmp_path / "train"


def test_a_chain_is_laid_over_from_the_far_end(presets: Path) -> None:
    (presets / "a.yaml").write_text("epochs: 1\nseed: 1\nloss: {name: asl, clip: 0.2}\n")
    (presets / "b.yaml").write_text("extends: a\nseed: 2\nloss: {gamma_neg: 3}\n")
    (presets / "c.yaml").write_text("extends: b\nbatch_size: 3\n")
    assert load_preset("train", "c") == {
        "epochs": 1,
        "seed": 2,
        "batch_size": 3,
        "loss": {"name": "asl", "clip": 0.2, "gamma_neg": 3},
    }


def test_another_kind_in_a_chain_replaces_the_section(presets: Path) -> None:
    (presets / "a.yaml").write_text("loss: {name: asl, clip: 0.2}\n")
    (presets / "b.yaml").write_text("extends: a\nloss: {name: bce}\n")
    assert load_preset("train", "b") == {"loss": {"name": "bce"}}


def test_a_card_is_not_inherited(presets: Path) -> None:
    (presets / "a.yaml").write_text("about: {summary: s, hardware: h, time: t}\n")
    (presets / "b.yaml").write_text("extends: a\n")
    assert load_card("train", "a").summary == "s"
    with pytest.raises(SettingsError, match="summary: missing"):
        load_card("train", "b")


@pytest.mark.parametrize(
    ("chain", "shown"),
    [({"a": "a"}, "a > a"), ({"a": "b", "b": "a"}, "a > b > a")],
)
def test_a_cycle_is_named(presets: Path, chain: dict[str, str], shown: str) -> None:
    for name, parent in chain.items():
        (presets / f"{name}.yaml").write_text(f"extends: {parent}\n")
    with pytest.raises(SettingsError, match=shown):
        load_preset("train", "a")


def test_an_unknown_parent_is_named(presets: Path) -> None:
    (presets / "coco.yaml").write_text("epochs: 1\n")
    (presets / "voc.yaml").write_text("extends: cocoo\n")
    with pytest.raises(SettingsError, match=r"no preset 'cocoo'.*did you mean 'coco'"):
        load_preset("train", "voc")


def test_an_unknown_name_gets_the_nearest_and_the_list() -> None:
    with pytest.raises(SettingsError) as caught:
        load_preset("train", "quikstart")
    assert "did you mean 'quickstart'?" in caught.value.message
    for name in SHIPPED:
        assert name in caught.value.hint


@pytest.mark.parametrize("name", ["../train/quickstart", "/etc/passwd", "quickstart.yaml", ""])
def test_a_path_is_no_preset(name: str) -> None:
    with pytest.raises(SettingsError, match="no preset"):
        load_preset("train", name)


def test_presets_are_shipped_and_all_belong_to_a_command() -> None:
    folders = {path.parent.name for path in FILES}
    assert folders == {"train", "dataset-download"}
    for folder in folders:
        names = [path.stem for path in FILES if path.parent.name == folder]
        assert names == preset_names(folder)
        assert len(names) >= 5


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_preset_is_valid_and_readable_after_printing(name: str, tmp_path: Path) -> None:
    content = gather(TrainSettings, "train", preset=name)
    content["data"].setdefault("root", "x")
    settings = validate(TrainSettings, content)
    path = tmp_path / "settings.yaml"
    path.write_text(as_yaml(settings), encoding="utf-8")
    assert validate(TrainSettings, read_yaml(path)) == settings


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_preset_has_a_complete_card(name: str) -> None:
    card = load_card("train", name)
    for text in (card.summary, card.hardware, card.time):
        assert text.strip()
        assert "\n" not in text
    if card.published:
        assert "arXiv" in (card.published_on or "")
        assert card.gmacs is not None
        assert card.mparams is not None
    assert (card.measured is None) == (card.measured_on is None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_header_of_a_shipped_preset_gives_its_command(path: Path) -> None:
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")]
    command = {"train": "train --preset", "dataset-download": "dataset-download"}[path.parent.name]
    assert any(f"mlc {command} {path.stem}" in line for line in comments)


@pytest.mark.parametrize("name", [name for name in SHIPPED if "-" in name])
def test_the_recipe_of_the_paper(name: str) -> None:
    settings = validate(TrainSettings, gather(TrainSettings, "train", preset=name))
    optim, schedule = settings.optim, settings.schedule
    assert (optim.name, optim.momentum, optim.weight_decay) == ("sgd", 0.9, 5e-4)
    assert optim.sam.rho == 0.05
    assert optim.lr in {0.007, 0.005}
    assert (schedule.pct_start, schedule.div, schedule.final_div) == (0.2, 100, 1000)
    assert (settings.epochs, settings.batch_size) == (60, 84)
    assert settings.ema.decay in {0.9997, 0.9993}
    assert (settings.loss.name, settings.loss.margin, settings.loss.k) == ("aam", 0, 0.7)
    assert settings.loss.reduction == "sum"
    assert settings.model.head.scale in {23, 17}
    assert settings.data.input_size == (448, 448)
    mean, std = ((0, 0, 0), (1, 1, 1)) if "mobilenet" in name else ((0.5,) * 3, (0.5,) * 3)
    assert (settings.model.mean, settings.model.std) == (mean, std)
    assert settings.augment.rand_augment.name == "pair"
    assert (settings.augment.cutout.factor, settings.augment.cutout.p) == (0.4, 0.5)
