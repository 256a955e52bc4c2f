"""Old checkpoints as models, without settings: what the published configurations make of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mlc_cli.core.models.weights.build import load_any
from mlc_cli.errors import WeightsError

Make = Callable[..., Any]
BACKBONE = "mobilenetv3_large_100"
NAMES = ["dog", "ape", "elk", "cat", "bee"]


@pytest.mark.parametrize("origin", ["deep-object-reid", "ML_Decoder"])
def test_published_configurations_fill_what_the_file_does_not_say(
    random_backbone: Make, old_decoder: Make, tmp_path: Path, origin: str
) -> None:
    backbone, decoder = random_backbone(BACKBONE), old_decoder(960, 5, 16, 24)
    path = tmp_path / "main_model.pth.tar-1"
    old = origin == "deep-object-reid"
    prefix = "backbone.model." if old else ""
    tensors = {prefix + name: value for name, value in backbone.state_dict().items()}
    tensors |= decoder.named("decoder." if old else "head.decoder.")
    names = {"classes_map": {name: index for index, name in enumerate(NAMES)}}
    torch.save({"state_dict": tensors, **(names if old else {})}, path)
    if not old:
        (tmp_path / "names.txt").write_text("\n".join(NAMES))
    model, card, notes = load_any(path, None, None if old else str(tmp_path / "names.txt"))
    assert card.classes == sorted(NAMES)
    assert (card.model["backbone"], card.input_size) == (BACKBONE, (448, 448))
    assert (card.mean[0], card.std[0], card.scale) == ((0.5, 0.5, 23) if old else (0, 1, 1))
    assert "published configurations" in notes[0]
    images = torch.randn(1, 3, 64, 64, dtype=torch.double)
    with torch.no_grad():
        expected = decoder(backbone.double().forward_features(images), cosine=old)
        given = model.double()(images)
    expected = card.scale * expected[:, [NAMES.index(name) for name in sorted(NAMES)]]
    torch.testing.assert_close(given, expected, atol=1e-4, rtol=1e-4)


def resnet(random_backbone: Make, more: dict[str, torch.Tensor], path: Path) -> None:
    names = {"classes_map": {name: index for index, name in enumerate(NAMES)}}
    tensors = {
        f"backbone.model.{k}": v for k, v in random_backbone("test_resnet").state_dict().items()
    }
    torch.save({"state_dict": tensors | more, **names}, path)


def test_parts_and_other_heads_are_refused_by_name(
    random_backbone: Make, old_decoder: Make, tmp_path: Path
) -> None:
    path, like = tmp_path / "old.pth", tmp_path / "like.yaml"
    like.write_text(
        "data: {input_size: 64}\nmodel:\n  backbone: test_resnet\n"
        "  head: {name: ml_decoder, dim: 16, ffn_dim: 24}\n"
    )
    decoder = old_decoder(96, 5).named("decoder.")
    resnet(random_backbone, decoder, path)
    assert load_any(path, str(like))[1].input_size == (64, 64)
    resnet(random_backbone, decoder | {"decoder.gate": torch.ones(2)}, path)
    with pytest.raises(WeightsError, match=r"whole model: decoder\.gate"):
        load_any(path, str(like))
    decoder["decoder.duplicate_pooling"] = torch.ones(16, 1)
    resnet(random_backbone, decoder, path)
    with pytest.raises(WeightsError, match="a zero-shot ML-Decoder, which mlc cannot run"):
        load_any(path, str(like))
    resnet(random_backbone, {}, path)
    with pytest.raises(WeightsError, match="it has no head that is known"):
        load_any(path, str(like))
