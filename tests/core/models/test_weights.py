import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from mlc_cli.core.checkpoint import ModelCard, save_checkpoint
from mlc_cli.core.models.backbone import Backbone
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.heads.pooled import CosineHead, LinearHead
from mlc_cli.core.models.weights import (
    fetch,
    is_checkpoint,
    load_backbone,
    load_checkpoint,
    read_weights,
)
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
    report = load_backbone(target, write(tmp_path / f"file{suffix}", state))
    assert equal(source, target)
    assert report.loaded == len(state)
    assert (report.missing, report.unused, report.mismatched) == ((), (), ())


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_weights_are_found_inside_a_training_state(tmp_path: Path, key: str) -> None:
    source, target = timm_model(seed=1), timm_model()
    torch.save({key: source.state_dict(), "epoch": 3}, tmp_path / "file.pth")
    load_backbone(target, tmp_path / "file.pth")
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
    report = load_backbone(target, write(tmp_path / "file.pth", state))
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
        load_backbone(target, write(tmp_path / "file.pth", state))
    assert "another architecture" in caught.value.hint
    assert all(torch.equal(before[name], value) for name, value in target.state_dict().items())


class Code:
    """Unpickling it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], object], tuple[Path]]:
        return Path.touch, (self.path,)


def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1), "x": Code(tmp_path / "ran")}, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match="cannot be read as plain tensors") as caught:
        read_weights(tmp_path / "file.pth")
    assert "code" in caught.value.hint
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(2), 3, {}, {"epoch": 1}])
def test_file_without_named_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=r"file\.pth: holds"):
        read_weights(tmp_path / "file.pth")


@pytest.mark.parametrize("name", ["file.pth", "file.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 half a zip"])
def test_damaged_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["file.pth", "file.safetensors", "."])
def test_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match="there is no such file of weights"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_cut_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"file{suffix}", timm_model().state_dict())
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(WeightsError):
        read_weights(path)


def classifier(classes: int, seed: int, *, cosine: bool = False) -> Classifier:
    torch.manual_seed(seed)
    backbone = Backbone(timm_model(seed=seed))
    kind = CosineHead if cosine else LinearHead
    head = kind(backbone.channels, classes, pool="avg", dropout=0.0, scale=1.0)
    return Classifier(backbone, head)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    card = ModelCard(
        classes=["a", "b"],
        model={"backbone": "test_resnet", "head": {"name": "linear"}},
        input_size=(32, 32),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        scale=1.0,
    )
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, classifier(2, seed=1).state_dict(), card)
    return path


def test_checkpoint_is_told_from_other_weights(tmp_path: Path, checkpoint: Path) -> None:
    assert is_checkpoint(checkpoint)
    assert not is_checkpoint(write(tmp_path / "x.safetensors", {"a": torch.zeros(1)}))
    assert not is_checkpoint(write(tmp_path / "x.pth", {"a": torch.zeros(1)}))
    assert not is_checkpoint(tmp_path / "missing.safetensors")


def test_checkpoint_is_loaded_with_its_head(checkpoint: Path) -> None:
    target = classifier(2, seed=0)
    report = load_checkpoint(target, checkpoint, ["a", "b"], reset_head=False)
    assert equal(classifier(2, seed=1), target)
    assert (report.missing, report.unused, report.mismatched) == ((), (), ())


@pytest.mark.parametrize("classes", [["a", "b", "c"], ["a", "z"]])
def test_changed_classes_are_an_error(checkpoint: Path, classes: list[str]) -> None:
    target = classifier(len(classes), seed=0)
    with pytest.raises(WeightsError, match="its 2 classes are not the") as caught:
        load_checkpoint(target, checkpoint, classes, reset_head=False)
    assert "reset_head" in caught.value.hint
    assert equal(classifier(len(classes), seed=0), target)


@pytest.mark.parametrize("classes", [["a", "b", "c"], ["a", "z"]])
@pytest.mark.parametrize("cosine", [False, True])
def test_head_is_left_new_when_asked_for(
    checkpoint: Path, classes: list[str], cosine: bool
) -> None:
    target = classifier(len(classes), seed=0, cosine=cosine)
    report = load_checkpoint(target, checkpoint, classes, reset_head=True)
    assert equal(classifier(2, seed=1).backbone, target.backbone)
    assert equal(classifier(len(classes), seed=0, cosine=cosine).head, target.head)
    assert set(report.unused) == {"head.linear.weight", "head.linear.bias"}
    assert set(report.missing) == {f"head.{name}" for name in target.head.state_dict()}


def test_same_classes_keep_the_head_even_if_a_reset_is_allowed(checkpoint: Path) -> None:
    target = classifier(2, seed=0)
    load_checkpoint(target, checkpoint, ["a", "b"], reset_head=True)
    assert equal(classifier(2, seed=1), target)


def test_checkpoint_of_another_model_is_refused(checkpoint: Path) -> None:
    target = classifier(2, seed=0, cosine=True)
    with pytest.raises(WeightsError, match="is for another model") as caught:
        load_checkpoint(target, checkpoint, ["a", "b"], reset_head=False)
    assert "backbone test_resnet and head linear" in caught.value.hint


CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requests += 1
        if self.path == "/garbage.pth":
            self.wfile.write(b"no HTTP at all\r\n\r\n")
            return
        if self.path != "/file.pth":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A server on this machine; downloads go to a folder of the test."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests = 0
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def url(server: ThreadingHTTPServer, name: str = "file.pth") -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


def downloads(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "hub").rglob("*") if path.is_file()]


@pytest.mark.parametrize("checksum", [SHA256, SHA256.upper()])
def test_url_is_downloaded_once(server: ThreadingHTTPServer, tmp_path: Path, checksum: str) -> None:
    path = fetch(url(server), checksum)
    assert path.read_bytes() == CONTENT
    assert path.suffix == ".pth"
    assert fetch(url(server), checksum) == path
    assert server.requests == 1
    assert downloads(tmp_path) == [path]


def test_url_without_checksum_is_refused_before_any_download(server: ThreadingHTTPServer) -> None:
    with pytest.raises(WeightsError, match="needs its checksum") as caught:
        fetch(url(server), None)
    assert "weights_sha256" in caught.value.hint
    assert server.requests == 0


def test_wrong_checksum_is_an_error_and_leaves_no_file(
    server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="has another checksum"):
        fetch(url(server), "0" * 64)
    assert downloads(tmp_path) == []


@pytest.mark.parametrize("name", ["missing.pth", "garbage.pth"])
def test_failed_download_is_an_error_and_leaves_no_file(
    server: ThreadingHTTPServer, tmp_path: Path, name: str
) -> None:
    with pytest.raises(WeightsError, match="cannot be fetched"):
        fetch(url(server, name), SHA256)
    assert downloads(tmp_path) == []


def test_path_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch("a folder/file.pth", None) == Path("a folder/file.pth")
    assert fetch("~/file.pth", None) == tmp_path / "file.pth"
