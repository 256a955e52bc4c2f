"""From preset, file, flags and assignments to one settings object."""

from pathlib import Path

import pytest

from mlc_cli.errors import SettingsError
from mlc_cli.settings.augment import (
    ColourSettings,
    CropSettings,
)
from mlc_cli.settings.evaluate import EvalSettings
from mlc_cli.settings.fields import settings_of
from mlc_cli.settings.loss import AamSettings, AslSettings, BceSettings
from mlc_cli.settings.resolve import as_yaml, gather, validate
from mlc_cli.settings.train import TrainSettings


def resolve(*assignments: str, **layers) -> TrainSettings:
    flags = {"data.root": "x", **layers.pop("flags", {})}
    content = gather(TrainSettings, "train", flags=flags, assignments=list(assignments), **layers)
    return validate(TrainSettings, content)


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of presets in place of the shipped ones."""
    folder = tmp_path / "presets"
    (folder / "train").mkdir(parents=True)
    monkeypatch.setattr("mlc_cli.settings.presets.presets_root", lambda: folder)
    return folder / "train"


def test_each_layer_wins_over_those_below(presets: Path, tmp_path: Path) -> None:
    (presets / "base.yaml").write_text("epochs: 1\nbatch_size: 1\neval_every: 1\nseed: 1\n")
    config = tmp_path / "mine.yaml"
    config.write_text("batch_size: 2\neval_every: 2\nseed: 2\n")
    flags = {"eval_every": 3, "seed": 3, "batch_size": None}
    settings = resolve("seed=4", preset="base", config=config, flags=flags)
    found = (settings.epochs, settings.batch_size, settings.eval_every, settings.seed)
    assert found == (1, 2, 3, 4)


def test_a_file_may_extend_a_preset_and_stand_over_another(presets: Path, tmp_path: Path) -> None:
    (presets / "low.yaml").write_text("epochs: 1\nbatch_size: 1\nseed: 1\n")
    (presets / "high.yaml").write_text("batch_size: 2\nseed: 2\n")
    config = tmp_path / "mine.yaml"
    config.write_text("extends: low\nseed: 3\n")
    settings = resolve(preset="high", config=config)
    assert (settings.epochs, settings.batch_size, settings.seed) == (1, 2, 3)


def test_the_last_assignment_wins() -> None:
    assert resolve("epochs=1", "epochs=2").epochs == 2


def test_another_loss_over_a_preset_brings_its_own_defaults(presets: Path) -> None:
    (presets / "a.yaml").write_text("loss: {name: aam, clip: 0.3, reduction: sum}\n")
    assert resolve("loss.name=asl", preset="a").loss == AslSettings()
    assert resolve("loss.name=bce", preset="a").loss == BceSettings()
    assert resolve("loss.name=aam", preset="a").loss == AamSettings(clip=0.3, reduction="sum")
    assert resolve("loss.clip=0.2", preset="a").loss == AamSettings(clip=0.2, reduction="sum")


def test_order_of_assignments_to_a_section_does_not_matter() -> None:
    given = ["loss.gamma_neg=2", "loss.name=asl"]
    assert resolve(*given).loss == resolve(*reversed(given)).loss == AslSettings(gamma_neg=2)


def test_a_setting_of_the_default_kind_needs_no_name() -> None:
    assert resolve("loss.label_smoothing=0.1").loss == BceSettings(label_smoothing=0.1)
    assert resolve("optim.lr=0.5").optim.lr == 0.5
    assert resolve("schedule.pct_start=0.5").schedule.name == "one_cycle"


def test_a_part_is_turned_on_by_a_setting_of_it_and_off_by_null(presets: Path) -> None:
    (presets / "a.yaml").write_text("ema: {decay: 0.5}\naugment: {cutout: {p: 1}}\n")
    assert resolve("early_stop.patience=2").early_stop.patience == 2
    assert resolve("optim.sam={}").optim.sam.rho == 0.05
    off = resolve("ema=null", "augment.cutout=null", preset="a")
    assert off.ema is None
    assert off.augment.cutout is None


def test_the_environment_never_leaks_into_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    before, before_eval = resolve(), EvalSettings()
    for key in (one.key for model in (TrainSettings, EvalSettings) for one in settings_of(model)):
        name = key.replace(".", "_")
        for variable in (name.upper(), f"MLC_{name.upper()}", f"MLC_{key.replace('.', '__')}"):
            monkeypatch.setenv(variable, "7")
    assert resolve() == before
    assert EvalSettings() == before_eval


@pytest.mark.parametrize(
    "assignments",
    [
        (),
        ("name='1e4'", "data.root='5e-4'", "data.train=on", "data.val='010'", "data.test=12:30"),
        ("data.root='été 日本/a: b #c'", 'output="it\'s"', "model.backbone='null'"),
        ("model.head.name=ml_decoder", "loss.name=aam", "optim.name=sgd", "optim.sam={}"),
        ("schedule.name=plateau", "augment.mix.name=cutmix", "augment.cutout.fill=[1, 2, 3]"),
        ("optim.lr=1e-7", "data.input_size=[32, 64]", "ema={}", "warm_start={}", "early_stop={}"),
    ],
)
def test_printed_settings_are_read_back_the_same(assignments: tuple[str, ...], tmp_path) -> None:
    settings = resolve(*assignments)
    path = tmp_path / "settings.yaml"
    path.write_text(as_yaml(settings), encoding="utf-8")
    again = validate(TrainSettings, gather(TrainSettings, "train", config=path))
    assert again == settings
    assert as_yaml(again) == as_yaml(settings)


@pytest.mark.parametrize("value", ["5", "[base]", "{a: b}", "true"])
def test_extends_must_be_one_name(presets: Path, tmp_path: Path, value: str) -> None:
    (presets / "base.yaml").write_text("epochs: 1\n")
    config = tmp_path / "mine.yaml"
    config.write_text(f"extends: {value}\n")
    with pytest.raises(SettingsError, match="extends: expected the name of one preset"):
        resolve(config=config)


@pytest.mark.parametrize("given", ["64x96", "64,96", "[64, 96]"])
def test_sizes_are_read_height_first(given: str) -> None:
    assert resolve(f"data.input_size={given}").data.input_size == (64, 96)


def test_a_level_replaces_the_augmentation_of_the_preset_and_lies_below_what_is_set() -> None:
    content = gather(
        TrainSettings,
        "train",
        preset="effnetv2s-coco",
        assignments=["augment.level=aerial", "augment.flip=0.25", "augment.colour.hue=0.1"],
    )
    augment = validate(TrainSettings, {**content, "data": {"root": "x"}}).augment
    assert augment.level == "aerial"
    assert augment.rand_augment is None  # of the preset
    assert augment.cutout is None
    assert (augment.flip, augment.flip_vertical, augment.quarter_turns) == (0.25, 0.5, 0.75)
    assert augment.colour == ColourSettings(hue=0.1)
    assert augment.crop == CropSettings(scale_min=0.5, ratio_max=1.33)


def test_an_unknown_level_is_a_fault() -> None:
    content = gather(TrainSettings, "train", assignments=["augment.level=wild", "data.root=x"])
    with pytest.raises(SettingsError, match=r"augment\.level"):
        validate(TrainSettings, content)
