"""The table of backbones against timm."""

import pytest
import timm
import torch
from timm.models import get_pretrained_cfg

from mlc_cli.errors import SettingsError
from mlc_cli.settings.backbones import known_backbones, pick_backbones

TABLE = known_backbones()


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry.name)
def test_licence_and_size_are_as_timm_says(entry: object) -> None:
    config = get_pretrained_cfg(entry.name)  # type: ignore[attr-defined]
    assert config.has_weights
    assert config.license == entry.licence  # type: ignore[attr-defined]
    with torch.device("meta"):
        model = timm.create_model(entry.name)  # type: ignore[attr-defined]
    count = sum(p.numel() for p in model.parameters()) / 1e6
    assert count == pytest.approx(entry.mparams, abs=0.011)  # type: ignore[attr-defined]


def test_the_table_is_of_every_size() -> None:
    assert len(TABLE) >= 40
    work = [entry.gmacs or 0 for entry in TABLE]
    assert work == sorted(work)
    assert work[0] < 0.2
    assert work[-1] > 10
    assert {entry.restricted for entry in TABLE} == {False, True}


def test_patterns_limit_and_a_plus_adds() -> None:
    names = [e.name for e in pick_backbones(["hgnetv2_b?", "tf_efficientnet_lite0", "+resnet26"])]
    assert names[-1] == "resnet26"
    assert "tf_efficientnet_lite0.in1k" in names
    assert all(n.startswith(("hgnetv2_b", "tf_efficientnet_lite0")) for n in names[:-1])
    assert len(pick_backbones(["+resnet26"])) == len(TABLE) + 1


def test_a_pattern_that_fits_nothing_is_told_the_nearest() -> None:
    with pytest.raises(SettingsError, match="hgnetv2_b9") as caught:
        pick_backbones(["hgnetv2_b9"])
    assert "+hgnetv2_b9" in caught.value.hint
