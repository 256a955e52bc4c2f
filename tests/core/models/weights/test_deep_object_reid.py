from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlc_cli.core.models.build import BuiltModel, build_model
from mlc_cli.core.models.heads.graph import LabelGraph
from mlc_cli.core.models.weights.files import read_weights
from mlc_cli.core.models.weights.recognise import recognise
from mlc_cli.errors import WeightsError
from mlc_cli.settings.model import ModelSettings

Start = Callable[..., BuiltModel]
Make = Callable[..., Any]
DECODER = {"name": "ml_decoder", "dim": 16, "heads": 8, "ffn_dim": 24, "scale": 17}
CHANNELS = 256  # of test_efficientnet


def names(count: int) -> list[str]:
    return [f"class {number:03}" for number in range(count)]


def content(state: dict[str, Tensor], classes: list[str], **more: object) -> dict[str, object]:
    """What a training left; the order of the map is not that of the indexes."""
    classes_map = {name: index for index, name in reversed(list(enumerate(classes)))}
    counts = {"num_classes": len(classes), "epoch": 1, "initial_lr": 0.007}
    return {"state_dict": state, "classes_map": classes_map, **counts, **more}


def below(prefix: str, model: nn.Module) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in model.state_dict().items()}


@torch.no_grad()
def logits(built: BuiltModel) -> tuple[Tensor, Tensor]:
    """Images and what the model says of them, in float64."""
    images = torch.randn(2, 3, 64, 64, dtype=torch.double, generator=torch.Generator())
    return images, built.classifier.eval().double()(images).double()


@torch.no_grad()
def features(backbone: nn.Module, images: Tensor) -> Tensor:
    return backbone.double().forward_features(images)


@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("classes", [1, 3, 130])
@pytest.mark.parametrize("wrapper", ["", "module.", "nncf_module.", "nncf_module.module."])
def test_ml_decoder_gives_the_logits_that_it_gave(
    start: Start,
    random_backbone: Make,
    old_decoder: Make,
    cosine: bool,
    classes: int,
    wrapper: str,
) -> None:
    backbone, decoder = random_backbone("test_efficientnet"), old_decoder(CHANNELS, classes)
    state = below("backbone.model.", backbone) | decoder.named("decoder.")
    state = {wrapper + name: value for name, value in state.items()}
    head = {**DECODER, "cosine": cosine}
    built = start(content(state, names(classes)), names(classes), "test_efficientnet", head)
    images, given = logits(built)
    expected = 17 * decoder(features(backbone, images), cosine=cosine)
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)
    report = built.report
    assert report.head
    assert report.loaded == len(backbone.state_dict()) + 21
    assert (report.missing, report.unused, report.mismatched) == ((), (), ())
    assert report.origin == "a checkpoint of deep-object-reid, mld_"
    assert report.notes == (
        "not in the file, so as the settings say: scale 17,"
        f" {'cosine' if cosine else 'linear'} ML-Decoder of 8 attention heads,"
        " mean and std of the images" + ", similarity as it is (amb_t 1)" * cosine,
    )


@pytest.mark.parametrize("pool", ["avg", "max", "avgmax"])
@pytest.mark.parametrize("kind", ["cosine", "linear"])
@pytest.mark.parametrize("classes", [3, CHANNELS])
def test_plain_model_gives_the_logits_that_it_gave(
    start: Start, random_backbone: Make, kind: str, pool: str, classes: int
) -> None:
    backbone = random_backbone("test_efficientnet")
    state = below("model.", backbone)
    if kind == "cosine":
        weight = state["model.classifier.weight"] = torch.randn(CHANNELS, classes)
        state["model.act2.weight"] = torch.tensor([0.25])
    else:
        weight = state["model.classifier.weight"] = torch.randn(classes, CHANNELS) / 16
        state["model.classifier.bias"] = torch.randn(classes)
    head = {"name": kind, "scale": 17, "pool": pool}
    built = start(content(state, names(classes)), names(classes), "test_efficientnet", head)
    images, given = logits(built)
    pooled = pool_by_hand(features(backbone, images), pool)
    if kind == "cosine":
        expected = F.normalize(pooled, dim=1) @ F.normalize(weight.double(), dim=0)
    else:
        expected = pooled @ weight.double().T + state["model.classifier.bias"].double()
    torch.testing.assert_close(given, 17 * expected, atol=1e-5, rtol=1e-5)
    assert built.report.head
    assert built.report.unused == (("model.act2.weight",) if kind == "cosine" else ())
    assert f"pooling {pool}" in built.report.notes[0]


def pool_by_hand(map_NDHW: Tensor, pool: str) -> Tensor:
    mean, most = map_NDHW.flatten(2).mean(2), map_NDHW.flatten(2).max(2).values
    return {"avg": mean, "max": most, "avgmax": mean + most}[pool]


def graph_state(kind: str, classes: int, *, cosine: bool) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(classes)
    width, hidden = 7, 5
    together = torch.rand(classes, classes, generator=generator)
    weights = (together > 0.5).float() * 0.2
    shapes = {"gc1": (width, hidden), "gc2": (hidden, CHANNELS)}
    attention = {"gc1": hidden, "gc2": CHANNELS}
    state = {
        "inp": torch.randn(classes, width, generator=generator),
        "A": weights.fill_diagonal_(1),
        **{f"{k}.weight": torch.randn(v, generator=generator) / 2 for k, v in shapes.items()},
    }
    if kind == "gat":
        state |= {
            f"{k}.a": torch.randn(2 * v, 1, generator=generator) / 2 for k, v in attention.items()
        }
    shape = (CHANNELS, classes) if cosine else (classes, CHANNELS)
    state["head.weight"] = torch.randn(shape, generator=generator) / 16
    if not cosine:
        state["head.bias"] = torch.randn(classes, generator=generator)
    return state


def channel_weights(state: dict[str, Tensor], kind: str) -> Tensor:
    """Sigmoid of the maximum over the labels of two graph layers, node by node."""
    p = {name: value.double() for name, value in state.items()}
    root = p["A"].sum(1) ** -0.5
    links = torch.diag(root) @ p["A"].T @ torch.diag(root)
    nodes = p["inp"]
    for layer in ("gc1", "gc2"):
        nodes = nodes @ p[f"{layer}.weight"]
        if kind == "gcn":
            nodes = F.leaky_relu(links @ nodes, 0.2)
            continue
        rows = []
        for node, row in enumerate(links):
            near = [other for other in range(len(links)) if row[other] > 0]
            pairs = torch.stack([torch.cat([nodes[node], nodes[other]]) for other in near])
            shares = F.leaky_relu(pairs @ p[f"{layer}.a"][:, 0], 0.2).softmax(0)
            rows.append(F.leaky_relu(F.elu(shares @ nodes[near]), 0.2))
        nodes = torch.stack(rows)
    return nodes.max(0).values.sigmoid()


@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("kind", ["gcn", "gat"])
@pytest.mark.parametrize("classes", [1, 6])
@pytest.mark.parametrize("folded", [False, True])
def test_graph_model_gives_the_logits_that_it_gave(
    start_graph: Start,
    random_backbone: Make,
    kind: str,
    cosine: bool,
    classes: int,
    folded: bool,
) -> None:
    backbone = random_backbone("test_efficientnet")
    state = graph_state(kind, classes, cosine=cosine)
    unused = {"backbone.model.classifier.weight": torch.zeros(classes, CHANNELS)}
    built = start_graph(
        content(below("backbone.model.", backbone) | state | unused, names(classes)),
        names(classes),
        {"name": "graph", "layer": kind, "hidden": 5, "cosine": cosine, "scale": 17},
    )
    images, given = logits(built)
    if folded:
        given = built.classifier.folded().eval()(images).double()
    weighted = features(backbone, images) * channel_weights(state, kind)[:, None, None]
    pooled, weight = weighted.mean((2, 3)), state["head.weight"].double()
    if cosine:
        expected = F.normalize(pooled, dim=1) @ F.normalize(weight, dim=0)
    else:
        expected = pooled @ weight.T + state["head.bias"].double()
    torch.testing.assert_close(given, 17 * expected, atol=1e-5, rtol=1e-5)
    assert built.report.head
    assert built.report.unused == ("backbone.model.classifier.weight",)
    assert "the graph of labels is that of the file" in built.report.notes


@pytest.fixture
def start_graph(start: Start) -> Start:
    """Start a model whose graph is of other images: without links, its vectors of another width."""

    def build(content: object, classes: list[str], head: dict[str, object]) -> BuiltModel:
        graph = LabelGraph(torch.ones(len(classes), 3), torch.eye(len(classes)))
        return start(content, classes, "test_efficientnet", head, graph=graph)

    return build


def test_stored_graph_of_voc_becomes_its_known_links(tmp_path: Path) -> None:
    """Five labels of VOC, four of which are linked to `person` alone, and one to another."""
    weights = np.eye(20)
    for label in (1, 10, 12, 13):
        weights[label, 14] = 0.0625
    weights[10, 8] = 0.25
    state = graph_state("gcn", 20, cosine=True) | {"A": torch.tensor(weights, dtype=torch.float32)}
    torch.save(content(state, names(20)), tmp_path / "x.pth")
    links = recognise(read_weights(tmp_path / "x.pth")).state["weights.links_CC"]
    assert float(links[14, 1]) == pytest.approx(0.0606339, abs=1e-6)
    assert float(links[14, 10]) == pytest.approx(0.0545545, abs=1e-6)
    assert float(links[1, 1]) == pytest.approx(0.9411765, abs=1e-6)
    assert float(links[10, 10]) == pytest.approx(0.7619049, abs=1e-6)
    assert links[1, 14] == 0


OTHER = [["a", "b", "c"], ["class 000", "class 002", "other"], names(4)]


@pytest.mark.parametrize("theirs", OTHER)
def test_changed_classes_are_an_error(
    start: Start, random_backbone: Make, old_decoder: Make, theirs: list[str]
) -> None:
    state = below("backbone.model.", random_backbone("test_efficientnet"))
    state |= old_decoder(CHANNELS, len(theirs)).named("decoder.")
    with pytest.raises(WeightsError, match=f"its {len(theirs)} classes are not the 3") as caught:
        start(content(state, theirs), names(3), "test_efficientnet", DECODER)
    assert "reset_head" in caught.value.hint


@pytest.mark.parametrize("theirs", OTHER)
def test_changed_classes_keep_the_new_head_when_asked_for(
    start: Start, random_backbone: Make, old_decoder: Make, theirs: list[str]
) -> None:
    backbone, decoder = random_backbone("test_efficientnet"), old_decoder(CHANNELS, len(theirs))
    state = below("backbone.model.", backbone) | decoder.named("decoder.")
    built = start(
        content(state, theirs), names(3), "test_efficientnet", DECODER,
        on_class_change="reset_head",
    )  # fmt: skip
    report, own = built.report, built.classifier.state_dict()
    assert not report.head
    assert all(torch.equal(own[name], value) for name, value in below(
        "backbone.model.", backbone).items())  # fmt: skip
    assert set(report.unused) == set(decoder.named("decoder."))
    assert set(report.missing) == {name for name in own if name.startswith("head.")}
    assert "its classes are not those of the data set" in report.notes[0]


def test_classes_that_are_numbers_are_compared_as_numbers(
    start: Start, random_backbone: Make, old_decoder: Make
) -> None:
    state = below("backbone.model.", random_backbone("test_efficientnet"))
    state |= old_decoder(CHANNELS, 12).named("decoder.")
    classes = list(range(12))
    built = start({**content(state, names(12)), "classes_map": {n: n for n in classes}},
                  classes, "test_efficientnet", DECODER)  # fmt: skip
    assert built.report.head


@pytest.mark.parametrize(
    "classes_map", [None, {}, {"a": 0, "b": 2, "c": 3}, {"a": 0, "b": 0, "c": 0}, {"a": [0]}, 3]
)
def test_without_names_the_head_is_not_taken(
    start: Start, random_backbone: Make, old_decoder: Make, classes_map: object
) -> None:
    state = below("backbone.model.", random_backbone("test_efficientnet"))
    state |= old_decoder(CHANNELS, 3).named("decoder.")
    unnamed = {**content(state, names(3)), "classes_map": classes_map}
    same = start(unnamed, ["x", "y", "z"], "test_efficientnet", DECODER).report
    assert not same.head
    assert "the file does not name its classes" in same.notes[0]
    more = start(unnamed, names(4), "test_efficientnet", DECODER).report
    assert not more.head
    assert "it has 3 classes, the data set has 4" in more.notes[0]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ({"name": "linear"}, "that of the settings is linear"),
        ({"name": "cosine"}, "that of the settings is cosine"),
        ({**DECODER, "heads": 4}, "that of the settings is linear ML-Decoder of 4 attention heads"),
        ({**DECODER, "dim": 32}, "embed.weight: file (16, 256), model (32, 256)"),
        ({**DECODER, "groups": 2}, "queries: file (3, 16), model (2, 16)"),
        ({**DECODER, "bias": False}, "class_bias is not in the model"),
    ],
)
def test_head_of_another_make_is_not_taken_and_the_report_says_why(
    start: Start, random_backbone: Make, old_decoder: Make, head: dict[str, object], reason: str
) -> None:
    backbone, decoder = random_backbone("test_efficientnet"), old_decoder(CHANNELS, 3)
    state = below("backbone.model.", backbone) | decoder.named("decoder.")
    report = start(content(state, names(3)), names(3), "test_efficientnet", head).report
    assert not report.head
    assert report.loaded == len(backbone.state_dict())
    assert reason in report.notes[0]
    assert set(decoder.named("decoder.")) <= set(report.unused)
    if "file (" in reason:
        assert f"head.{reason}" in report.mismatched


def test_pretraining_with_a_plain_model_gives_a_decoder_its_backbone(
    start: Start, random_backbone: Make
) -> None:
    backbone = random_backbone("test_efficientnet")
    state = below("model.", backbone)
    state |= {"model.classifier.weight": torch.zeros(CHANNELS, 601)}
    report = start(content(state, names(601)), names(3), "test_efficientnet", DECODER).report
    assert report.loaded == len(backbone.state_dict())
    assert report.unused == ("model.classifier.weight",)
    assert "it is cosine, that of the settings is linear ML-Decoder" in report.notes[0]


@pytest.mark.parametrize("name", ["gc1.bias", "gc_weights", "head.scale", "Abc"])
def test_tensors_of_a_graph_without_a_place_are_listed(
    start_graph: Start, random_backbone: Make, name: str
) -> None:
    state = below("backbone.model.", random_backbone("test_efficientnet"))
    state |= graph_state("gcn", 3, cosine=True) | {name: torch.zeros(5)}
    head = {"name": "graph", "hidden": 5, "cosine": True}
    report = start_graph(content(state, names(3)), names(3), head).report
    assert report.head
    assert report.unused == (name,)


def test_part_of_a_backbone_does_not_make_a_whole_model(
    start: Start, random_backbone: Make, old_decoder: Make
) -> None:
    state = below("backbone.model.", random_backbone("test_efficientnet"))
    state |= old_decoder(CHANNELS, 3).named("decoder.")
    whole = start(content(state, names(3)), names(3), "test_efficientnet", DECODER).report
    assert whole.whole
    del state["backbone.model.conv_stem.weight"]
    part = start(content(state, names(3)), names(3), "test_efficientnet", DECODER).report
    assert part.missing == ("conv_stem.weight",)
    assert part.head
    assert not part.whole


def test_tensors_of_the_decoder_without_a_place_are_listed(
    start: Start, random_backbone: Make, old_decoder: Make
) -> None:
    state = below("backbone.model.", random_backbone("test_efficientnet"))
    state |= old_decoder(CHANNELS, 3).named("decoder.")
    state["decoder.other"] = torch.zeros(2, 2)
    report = start(content(state, names(3)), names(3), "test_efficientnet", DECODER).report
    assert report.unused == ("decoder.other",)


def test_decoder_of_several_layers_is_refused_by_name(
    start: Start, random_backbone: Make, old_decoder: Make
) -> None:
    state = below("backbone.model.", random_backbone("test_efficientnet"))
    state |= old_decoder(CHANNELS, 3).named("decoder.")
    state["decoder.layers.1.linear1.weight"] = torch.zeros(2, 2)
    report = start(content(state, names(3)), names(3), "test_efficientnet", DECODER).report
    assert not report.head
    assert "it is an ML-Decoder of several layers" in report.notes[0]


def test_checkpoint_of_another_backbone_is_refused_and_changes_nothing(
    start: Start, random_backbone: Make, old_decoder: Make
) -> None:
    state = below("backbone.model.", random_backbone("test_resnet"))
    state |= old_decoder(CHANNELS, 3).named("decoder.")
    with pytest.raises(WeightsError, match="tensors of the backbone are in it"):
        start(content(state, names(3)), names(3), "test_efficientnet", DECODER)


EFFNET = "tf_efficientnetv2_s"


@pytest.mark.parametrize(
    ("backbone", "head", "dead", "known"),
    [
        (EFFNET, {"name": "cosine"}, 1, 20_203_089),
        (EFFNET, {"name": "ml_decoder", "cosine": True}, 1, 26_707_557),
        (EFFNET, {"name": "graph", "cosine": True}, 1 + 1280 * 20, 22_257_489),
        ("tresnet_v2_l", {"name": "ml_decoder", "cosine": True}, 2049 * 20, 51_286_696),
    ],
)
def test_models_have_as_many_parameters_as_they_had(
    backbone: str, head: dict[str, object], dead: int, known: int
) -> None:
    """The old counts for 20 classes hold parts that did nothing, and the graph itself."""
    settings = ModelSettings.model_validate(
        {"backbone": backbone, "pretrained": False, "head": head}
    )
    graph = LabelGraph(torch.zeros(20, 300), torch.eye(20))
    model = build_model(settings, names(20), (448, 448), graph).classifier
    count = sum(parameter.numel() for parameter in model.parameters())
    data = 20 * 300 + 20 * 20 if head["name"] == "graph" else 0
    assert count + dead + data == known
