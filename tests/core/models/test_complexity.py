import pytest
import torch
from torch import nn

from mlc_cli.core.models.build import build_model
from mlc_cli.core.models.complexity import complexity
from mlc_cli.errors import SettingsError
from mlc_cli.settings.model import ModelSettings


def built(backbone: str, size: tuple[int, int], head: str = "linear", **settings: object):
    wanted = {"backbone": backbone, "pretrained": False, "head": {"name": head}, **settings}
    names = [str(number) for number in range(80)]
    return build_model(ModelSettings.model_validate(wanted), names, size).classifier


@pytest.mark.parametrize(
    ("backbone", "gmacs"),
    [("tf_efficientnetv2_s", 12.28), ("tf_efficientnetv2_l", 49.92), ("tresnet_v2_l", 36.15)],
)
def test_published_models_have_their_published_macs(backbone: str, gmacs: float) -> None:
    normalised = []
    with torch.device("meta"):
        model = built(backbone, (448, 448), "ml_decoder")
        for layer in model.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.register_forward_hook(lambda *given: normalised.append(given[-1].numel()))
        found = complexity(model, (448, 448))
    assert found.gmacs == pytest.approx(gmacs, rel=0.01)
    if backbone != "tresnet_v2_l":  # its batch norm was fused with the activation, and not counted
        assert found.gmacs + 2 * sum(normalised) / 1e9 == pytest.approx(gmacs, abs=0.006)


def test_a_convolution_is_counted_by_hand() -> None:
    model = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    found = complexity(model, (10, 20))
    assert found.gmacs * 1e9 == pytest.approx(10 * 20 * 8 * 27)
    assert found.mparams * 1e6 == pytest.approx(8 * 27)


def test_frozen_parameters_are_told_apart() -> None:
    found = complexity(built("test_resnet", (32, 32), freeze_stages=2), (32, 32))
    assert 0 < found.trained_mparams < found.mparams


@pytest.mark.parametrize("training", [True, False])
def test_model_is_left_as_it_was(training: bool) -> None:
    model = built("test_resnet", (32, 32), freeze_bn=True).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    complexity(model, (32, 32))
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_size_that_the_model_cannot_take_is_a_fault_of_the_settings() -> None:
    model = built("test_vit", (64, 100))
    with pytest.raises(SettingsError, match=r"data\.input_size: .* 64x100"):
        complexity(model, (64, 100))


def test_a_parameter_that_a_module_hands_on_is_no_obstacle() -> None:
    model = built("pit_ti_224", (224, 224))
    assert complexity(model, (224, 224)).mparams == pytest.approx(4.6, abs=0.1)
    assert all(parameter.requires_grad for parameter in model.parameters())
