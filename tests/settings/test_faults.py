"""Every fault in the words of the user: dotted key, value, what was expected, nearest key."""

import types
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from mlc_cli.errors import SettingsError
from mlc_cli.settings.evaluate import EvalSettings
from mlc_cli.settings.export import ExportSettings
from mlc_cli.settings.fields import settings_of
from mlc_cli.settings.resolve import gather, validate
from mlc_cli.settings.train import TrainSettings


def faults(*assignments: str) -> list[str]:
    """Lines of the message of wrong train settings, the first one apart."""
    content = gather(TrainSettings, "train", assignments=["data.root=x", *assignments])
    with pytest.raises(SettingsError) as caught:
        validate(TrainSettings, content)
    assert caught.value.exit_code == 2
    first, *lines = caught.value.message.splitlines()
    lines = [line for line in lines if not line.startswith("    ")]  # what settings mean
    assert first == f"{len(lines)} fault{'s' * (len(lines) > 1)} in the settings:"
    return [line.strip() for line in lines]


@pytest.mark.parametrize(
    ("assignment", "line"),
    [
        ("optm.lr=1", "optm: unknown setting, did you mean 'optim'?"),
        ("epoch=1", "epoch: unknown setting, did you mean 'epochs'?"),
        ("optim.weight_decy=1", "optim.weight_decy: unknown setting, did you mean 'weight_decay'?"),
        ("backbone=x", "backbone: unknown setting, did you mean 'model.backbone'?"),
        ("lr=1", "lr: unknown setting, did you mean 'warm_start.lr' or 'optim.lr'?"),
        ("zzzz=1", "zzzz: unknown setting"),
        ("loss.gamma_neg=2", "loss.gamma_neg: unknown setting, it goes with loss.name=asl or aam"),
        (
            "model.head.groups=9",
            "model.head.groups: unknown setting, it goes with model.head.name=ml_decoder",
        ),
        ("optim.lr=-1", "optim.lr: expected greater than 0, got -1"),
        ("optim.lr=.inf", "optim.lr: expected a finite number, got inf"),
        ("optim.lr=fast", "optim.lr: expected a valid number, got 'fast'"),
        ("optim.lr=null", "optim.lr: expected a valid number, got None"),
        ("epochs=true", "epochs: expected a valid integer, got 'True'"),
        ("epochs=1e20", "epochs: expected a valid integer, got '1e+20..., which is too large'"),
        ("optim.lr=true", "optim.lr: expected a valid number, got 'True'"),
        ("data.workers=false", "data.workers: expected a valid integer or 'auto', got 'False'"),
        ("model.mean=[true, 0, 0]", "model.mean: expected a valid number, got 'True'"),
        ("data.input_size=true", "data.input_size: expected a valid integer, got 'True'"),
        ("data.workers=x", "data.workers: expected a valid integer or 'auto', got 'x'"),
        ("data.workers=-1", "data.workers: expected greater than or equal to 0 or 'auto', got -1"),
        ("data.input_size=8", "data.input_size: expected greater than or equal to 16, got 8"),
        ("data.input_size=[32, x]", "data.input_size: expected a valid integer, got 'x'"),
        ("until=tomorrow", "until: expected another form, got 'tomorrow'"),
        ("model.mean=[0.5, 0.5]", "model.mean: too few values, got [0.5, 0.5]"),
        ("optim.betas=[0.9, 2]", "optim.betas: expected less than or equal to 1, got 2"),
        ("loss=bce", "loss: expected a section of settings, got 'bce'"),
        ("ema=true", "ema: expected a section of settings, got True"),
        ("data=null", "data: expected a section of settings, got None"),
        ("precision=fp8", "precision: expected 'auto', 'fp32', 'bf16' or 'fp16', got 'fp8'"),
        (
            "loss.name=azl",
            "loss.name: 'azl' is not one of 'bce', 'asl', 'aam', did you mean 'asl'?",
        ),
        ("loss.name=null", "loss.name: 'None' is not one of 'bce', 'asl', 'aam'"),
        (
            "augment.rand_augment.num_ops=3",
            "augment.rand_augment.name: missing, expected one of 'pair', 'torchvision'",
        ),
        ("optim.sam.rhoo=1", "optim.sam.rhoo: unknown setting, did you mean 'rho'?"),
    ],
)
def test_a_fault_says_where_what_and_how_to_repair_it(assignment: str, line: str) -> None:
    assert faults(assignment) == [line]


def test_a_value_inside_a_chosen_kind_has_a_key_without_the_kind() -> None:
    assert faults("model.head.name=ml_decoder", "model.head.groups=0") == [
        "model.head.groups: expected greater than or equal to 1, got 0"
    ]
    assert faults("augment.mix.name=cutmix", "augment.mix.alfa=1") == [
        "augment.mix.alfa: unknown setting, did you mean 'alpha'?"
    ]


def test_all_faults_are_reported_at_once() -> None:
    lines = faults("epochs=-1", "optim.lr=0", "loss.name=x", "bathc_size=3", "augment.flip=2")
    keys = {line.split(":")[0] for line in lines}
    assert keys == {"epochs", "optim.lr", "loss.name", "bathc_size", "augment.flip"}


def test_a_wrong_member_is_one_fault() -> None:
    for value, problem in (("int4", "expected 'fp32', 'fp16' or 'int8'"), ("[]", "too few values")):
        given = gather(ExportSettings, "export", assignments=[f"precision={value}"])
        with pytest.raises(SettingsError) as caught:
            validate(ExportSettings, given)
        assert caught.value.message.startswith(
            f"1 fault in the settings:\n  precision: {problem}, got"
        )


def test_a_long_value_is_cut() -> None:
    (line,) = faults(f"optim.lr=[{'1, ' * 500}1]")
    assert len(line) < 130


@pytest.mark.parametrize("assignments", [[], ["data={}"]])
def test_a_missing_data_folder_names_its_flag(assignments: list[str]) -> None:
    with pytest.raises(SettingsError, match=r"data\.root: missing, pass --data DIR"):
        validate(TrainSettings, gather(TrainSettings, "train", assignments=assignments))


def test_a_key_that_is_not_text_is_a_fault(tmp_path) -> None:
    path = tmp_path / "numbers.yaml"
    path.write_text("data: {root: x, 1: 2}\n3: 4\n")
    with pytest.raises(SettingsError) as caught:
        validate(TrainSettings, gather(TrainSettings, "train", config=path))
    assert "data.1: Keys should be strings" in caught.value.message
    assert "  3: Keys should be strings" in caught.value.message


def test_keys_of_every_kind_of_section_are_known() -> None:
    keys = {one.key for one in settings_of(TrainSettings)}
    assert len(keys) > 80
    assert {"optim.lr", "optim.sam.rho", "model.head.groups", "augment.mix.alpha"} <= keys


def annotations_of(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        yield f"{model.__name__}.{name}", field.annotation


def parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    if get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
        for argument in get_args(annotation):
            yield from parts(argument)


def models_below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for _, annotation in annotations_of(model):
        for part in parts(annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from models_below(part)


MODELS = sorted(
    {*models_below(TrainSettings), *models_below(EvalSettings)}, key=lambda model: model.__name__
)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_settings_are_frozen_closed_and_hold_nothing_that_changes(model: type[BaseModel]) -> None:
    assert model.model_config["frozen"]
    assert model.model_config["extra"] == "forbid"
    for name, annotation in annotations_of(model):
        origins = {get_origin(part) or part for part in parts(annotation)}
        assert not origins & {list, dict, set}, name


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_setting_is_explained(model: type[BaseModel]) -> None:
    sections = {"data", "augment", "model", "loss", "optim", "schedule", "ema", "early_stop"}
    sections |= {
        "warm_start",
        "sam",
        "head",
        "crop",
        "cutout",
        "rand_augment",
        "mix",
        "name",
        "download",
        "distill",
    }
    sections |= {"rotate", "perspective", "colour", "blur", "jpeg", "erase"}
    silent = [
        name
        for name, field in model.model_fields.items()
        if not field.description and name not in sections
    ]
    assert silent == []


def test_lists_of_yaml_become_tuples() -> None:
    given = ["data.root=x", "data.input_size=[32, 48]", "model.mean=[0, 0.5, 1]"]
    settings = validate(TrainSettings, gather(TrainSettings, "train", assignments=given))
    assert settings.data.input_size == (32, 48)
    assert settings.model.mean == (0, 0.5, 1)


def test_one_number_stands_for_height_and_width() -> None:
    given = ["data.root=x", "data.input_size=96"]
    settings = validate(TrainSettings, gather(TrainSettings, "train", assignments=given))
    assert settings.data.input_size == (96, 96)


@pytest.mark.parametrize("name", ["a b", "a/b", "../a", ".a", "", "-a", "é"])
def test_a_run_name_is_a_plain_folder_name(name: str) -> None:
    assert faults(f"name='{name}'")[0].startswith("name: ")


@pytest.mark.parametrize("text", ["1e1", "10", "'10'", "10.0", "010"])
def test_whole_numbers_may_be_written_in_many_ways(text: str) -> None:
    given = ["data.root=x", f"epochs={text}"]
    assert validate(TrainSettings, gather(TrainSettings, "train", assignments=given)).epochs == 10
