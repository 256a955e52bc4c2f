"""What is refused before a training begins, and what is advised where labels are unknown."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.layers import convert_sync_batchnorm
from torch import nn

from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.system.distributed import Group
from mlc_cli.core.training.build import prepare
from mlc_cli.core.training.checks import (
    advice_on_absent,
    advice_on_schedule,
    advice_on_unknown,
    check_sync_bn,
)
from mlc_cli.core.training.optim.build import build_schedule
from mlc_cli.core.training.optim.sam import frozen_bn_statistics
from mlc_cli.errors import SettingsError
from mlc_cli.settings.train import TrainSettings


def test_synchronised_batch_normalisation_wants_gpus_and_images_everywhere(
    make_dataset: Callable[..., Path],
    tiny_settings: Callable[..., TrainSettings],
    together: Callable[..., list[Any]],
) -> None:
    settings = tiny_settings(make_dataset(), "sync_bn=true")
    prepare(settings)  # alone there is nothing to synchronise

    def work(_: Group) -> str:
        with pytest.raises(SettingsError) as caught:
            prepare(settings)
        return caught.value.message

    assert together(work) == ["sync_bn: torch has it on GPUs alone, and the device is cpu"] * 2
    with pytest.raises(SettingsError, match="on_bad_image = skip"):
        check_sync_bn(torch.device("cuda"), "skip")
    check_sync_bn(torch.device("cuda"), "error")


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_a_synchronised_model_has_the_same_weights_and_keeps_still_where_it_is_to(
    name: str,
) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=3).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    images = torch.randn(2, 3, 64, 64)
    expected = model(images)
    synchronised = convert_sync_batchnorm(model)
    layers = [m for m in synchronised.modules() if isinstance(m, nn.SyncBatchNorm)]
    assert len(layers) == sum("running_mean" in key for key in before)
    assert torch.equal(synchronised.eval()(images), expected)
    synchronised.train()
    with frozen_bn_statistics(layers):
        synchronised(images)
    assert all(torch.equal(before[k], v) for k, v in synchronised.state_dict().items())


@pytest.mark.parametrize(
    ("images", "unlisted", "unknown", "words"),
    [
        ([["1.jpg", ["a", "b"]], ["2.jpg", ["c"]]], "unknown", "ignore", "learnt as present"),
        ([["1.jpg", ["a", "b"]], ["2.jpg", ["c"]]], "unknown", "selective", ""),
        ([["1.jpg", ["a"], ["b"]], ["2.jpg", ["c"], ["a"]]], "unknown", "ignore", "33% of the"),
        ([["1.jpg", ["a"], ["b"]], ["2.jpg", ["c", "b"]]], "absent", "ignore", ""),
        ([["1.jpg", ["a"]], ["2.jpg", ["c"]]], "absent", "ignore", "exactly one label"),
        ([["1.jpg", ["a"]], ["2.jpg", []]], "absent", "ignore", ""),
        ([["1.jpg", []], ["2.jpg", []]], "unknown", "ignore", "100% of the labels are unknown"),
    ],
)
def test_the_choice_is_explained_where_labels_call_for_it(
    tmp_path: Path, images: list[Any], unlisted: str, unknown: str, words: str
) -> None:
    content = {"classes": ["a", "b", "c"], "unlisted": unlisted, "images": images}
    (tmp_path / "train.json").write_text(json.dumps(content))
    advice = advice_on_unknown(read_annotation(tmp_path / "train.json"), unknown)
    assert (words in advice) if words else not advice


def test_classes_that_no_image_shows_are_named(tmp_path: Path) -> None:
    content = {"classes": ["a", "b", "c"], "images": [["1.jpg", ["b"]], ["2.jpg", [], ["a"]]]}
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content))
    advice = advice_on_absent(read_annotation(path))
    assert advice == "no image of train.json shows 2 of the 3 classes: a, c"
    content["images"] = [["1.jpg", ["a", "b", "c"]]]
    path.write_text(json.dumps(content))
    assert not advice_on_absent(read_annotation(path))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "one_cycle"}, ""),
        ({"name": "one_cycle", "warmup_epochs": 4}, "never falls"),
        ({"name": "cosine", "warmup_epochs": 5}, "never reaches its peak"),
        ({"name": "step", "every": 4}, "never falls"),
        ({"name": "step", "every": 3}, ""),
        ({"name": "multi_step", "milestones": [9, 4]}, "never falls"),
        ({"name": "multi_step", "milestones": [9, 2]}, ""),
        ({"name": "plateau"}, ""),
        ({"name": "constant"}, ""),
    ],
)
def test_a_schedule_that_a_training_is_too_short_for_is_told(given: dict, words: str) -> None:
    settings = TrainSettings.model_validate({"data": {"root": "x"}, "schedule": given}).schedule
    advice = advice_on_schedule(build_schedule(settings, 40, 10), 40)
    assert (words in advice) if words else not advice
    assert not advice_on_schedule(build_schedule(settings, 1, 10), 0)
