"""Starting weights from an address."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch

from tests.web import Web


@pytest.fixture
def start(mlc, make_dataset, tiny, tmp_path, monkeypatch) -> Callable[..., object]:
    """Train for no epoch but a warm start of the head, with more flags."""
    make_dataset(16, 8)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # is put back
    flags = ["--data", "data", "--epochs", "0", "--set", "warm_start.epochs=1", *tiny]
    return lambda *more: mlc("train", *flags, *more)


@pytest.fixture
def weights(web: Web) -> tuple[str, str]:
    """Address and checksum of weights, behind a page that asks to confirm."""
    buffer = io.BytesIO()
    torch.save(timm.create_model("test_resnet").state_dict(), buffer)
    web.put("/download", buffer.getvalue())
    page = '<html><form action="/download"><input name="confirm" value="t"></form></html>'
    url = web.at("/uc", lambda handler: handler.send_text(page))
    return f"{url}?export=download&id=1N0", hashlib.sha256(buffer.getvalue()).hexdigest()


def test_a_published_file_is_trusted_once_and_demanded_from_then_on(
    start, weights, web: Web, tmp_path: Path
) -> None:
    url, checksum = weights
    refused = start("--weights", url)
    assert refused.code == 1
    assert "--trust-download" in refused.err
    assert web.seen == []
    outcome = start("--weights", url, "--trust-download")
    assert outcome.code == 0, outcome.err
    assert "tensors loaded" in outcome.err
    trusted = json.loads((tmp_path / "cache/mlc/trusted.json").read_text())
    assert trusted == {url: f"sha256:{checksum}"}
    web.seen.clear()
    assert start("--weights", url, "--offline").code == 0
    assert web.seen == []
    assert f"weights: {url}" in (tmp_path / "runs/train-1/settings.yaml").read_text()


@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_a_checksum_that_is_right_needs_no_trust(start, weights, change) -> None:
    url, checksum = weights
    assert start("--weights", url, "--set", f"model.weights_sha256={change(checksum)}").code == 0


def test_a_checksum_that_is_wrong_is_one_line(start, weights, tmp_path: Path) -> None:
    outcome = start("--weights", weights[0], "--set", f"model.weights_sha256={'0' * 64}")
    assert outcome.code == 1
    assert "has another checksum" in outcome.err
    assert not (tmp_path / "runs").exists()


def test_offline_fetches_neither_from_an_address_nor_from_the_hub(start, weights, web) -> None:
    outcome = start("--weights", weights[0], "--offline", "--trust-download")
    assert outcome.code == 1
    assert "--offline forbids" in outcome.err
    assert web.seen == []
    outcome = start("--set", "model.pretrained=true", "--offline")
    assert outcome.code == 1
    assert "the hub is not reachable" in outcome.err


def test_of_several_processes_one_fetches(
    start_mlc, weights, web: Web, make_dataset, tiny, tmp_path, monkeypatch
) -> None:
    make_dataset(16, 8)
    monkeypatch.chdir(tmp_path)
    flags = ["--data", "data", "--epochs", "0", "--set", "warm_start.epochs=1", *tiny]
    outcomes = start_mlc("train", *flags, "--weights", weights[0], "--trust-download").results()
    assert [outcome.code for outcome in outcomes] == [0, 0], outcomes[0].err
    assert [path.partition("?")[0] for path, _ in web.seen] == ["/uc", "/download"]
