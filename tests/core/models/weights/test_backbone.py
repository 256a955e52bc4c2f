from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from mlc_cli.core.models.weights.backbone import load_backbone
from mlc_cli.core.models.weights.files import read_weights
from mlc_cli.errors import WeightsError


def timm_model(name: str = "test_resnet", seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return timm.create_model(name, num_classes=0, global_pool="")


def equal(first: nn.Module, second: nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


def write(path: Path, state: dict[str, torch.Tensor]) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "module.",
        "backbone.",
        "backbone.model.",
        "module.backbone.",
        "model.backbone.",
        "model.",
    ],
)
def test_weights_are_found_below_the_prefix_of_a_wrapper(
    tmp_path: Path, suffix: str, prefix: str
) -> None:
    source, target = timm_model(seed=1), timm_model()
    state = {prefix + name: value for name, value in source.state_dict().items()}
    report = load_backbone(target, read_weights(write(tmp_path / f"file{suffix}", state)))
    assert equal(source, target)
    assert report.loaded == len(state)
    assert (report.missing, report.unused, report.mismatched) == ((), (), ())


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_weights_are_found_inside_a_training_state(tmp_path: Path, key: str) -> None:
    source, target = timm_model(seed=1), timm_model()
    torch.save({key: source.state_dict(), "epoch": 3}, tmp_path / "file.pth")
    load_backbone(target, read_weights(tmp_path / "file.pth"))
    assert equal(source, target)


def test_what_does_not_fit_is_listed(tmp_path: Path) -> None:
    target = timm_model()
    state = timm_model(seed=1).state_dict()
    first, second = [name for name in state if name.endswith(".weight")][:2]
    shape = tuple(state[second].shape)
    before = target.state_dict()[first].clone()
    del state[first]
    state[second] = torch.zeros(7)
    state["fc.weight"] = torch.zeros(10, 4)
    report = load_backbone(target, read_weights(write(tmp_path / "file.pth", state)))
    assert report.missing == (first,)
    assert report.unused == ("fc.weight",)
    assert report.mismatched == (f"{second}: file (7,), model {shape}",)
    assert report.loaded == len(target.state_dict()) - 2
    assert torch.equal(target.state_dict()[first], before)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    target = timm_model()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    state = timm_model("test_efficientnet").state_dict()
    with pytest.raises(WeightsError, match="tensors of the backbone are in it") as caught:
        load_backbone(target, read_weights(write(tmp_path / "file.pth", state)))
    assert "another architecture" in caught.value.hint
    assert all(torch.equal(before[name], value) for name, value in target.state_dict().items())
