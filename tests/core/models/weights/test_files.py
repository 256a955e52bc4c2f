from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from mlc_cli.core.models.weights.files import read_weights
from mlc_cli.errors import WeightsError


class Code:
    """Unpickling it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], object], tuple[Path]]:
        return Path.touch, (self.path,)


def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1), "x": Code(tmp_path / "ran")}, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=r"file\.pth: asks for .*Path") as caught:
        read_weights(tmp_path / "file.pth")
    assert "code" in caught.value.hint
    assert "torch.load" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def training_state(anneal: Callable[[OneCycleLR], object]) -> dict[str, object]:
    """What trainings of old kept: schedulers with a function among their values."""
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    scheduler = OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
    return {
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": {**scheduler.state_dict(), "anneal_func": anneal(scheduler)},
        "classes_map": {"a": 0, "b": 1},
    }


@pytest.mark.parametrize(
    "anneal",
    [lambda _: OneCycleLR._annealing_cos, lambda scheduler: scheduler.get_last_lr],
    ids=["a function of a class", "a function of an object, which drags in all of the optimiser"],
)
@pytest.mark.parametrize("name", ["file.pth", "file.pth.tar", "file.pth.tar-1", "file"])
def test_functions_in_the_state_of_an_old_scheduler_do_no_harm(
    tmp_path: Path, name: str, anneal: Callable[[OneCycleLR], object]
) -> None:
    state = training_state(anneal)
    torch.save(state, tmp_path / name)
    allowed = set(torch.serialization.get_safe_globals())
    file = read_weights(tmp_path / name)
    assert file.tensors.keys() == {"weight", "bias"}
    assert torch.equal(file.tensors["weight"], state["state_dict"]["weight"])
    assert file.extras["classes_map"] == {"a": 0, "b": 1}
    assert set(torch.serialization.get_safe_globals()) == allowed


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(2), 3, {}, {"epoch": 1}])
def test_file_without_named_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=r"file\.pth: holds"):
        read_weights(tmp_path / "file.pth")


@pytest.mark.parametrize("name", ["file.pth", "file.safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"not weights", b"some words\n" * 9, b"PK\x03\x04 half a zip"]
)
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
    path = tmp_path / f"file{suffix}"
    state = nn.Linear(100, 100).state_dict()
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(WeightsError):
        read_weights(path)
