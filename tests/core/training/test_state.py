"""Losses watched, and states saved and loaded."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mlc_cli.core.training.optim.early_stop import EarlyStop
from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.optim.schedules import Plateau
from mlc_cli.core.training.state import Best, LossMeter, Position, TrainState
from mlc_cli.errors import RunError, TrainingError

CPU = torch.device("cpu")


def make_state(seed: int = 0, *, classes: int = 2) -> TrainState:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, classes))
    return TrainState(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters(), lr=0.1),
        schedule=Plateau(0, 0.5, 0, 0.01),
        ema=Ema(model, 0.9),
        scaler=torch.amp.GradScaler("cpu", enabled=True),
        early_stop=EarlyStop(3, 0.0),
        losses=LossMeter(1),
    )


def work(state: TrainState) -> None:
    for number in range(3):
        torch.manual_seed(number)
        state.optimizer.zero_grad()
        loss = state.model(torch.randn(8, 3)).square().mean()
        loss.backward()
        state.optimizer.step()
        assert state.ema
        state.ema.update()
        state.losses.add(loss, str)
        state.schedule.observe(-number)
        assert state.early_stop
        state.early_stop.observe(0.5 - number, annealed=True)
    state.best = Best(0.5, 2, averaged=True)
    state.position = Position(1, 7, warm=True)
    state.metrics.append({"epoch": 1, "val/mAP": None})


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([value.double().flatten() for value in model.state_dict().values()])


def test_a_loaded_state_goes_on_to_the_bit(tmp_path: Path) -> None:
    first, second = make_state(0), make_state(1)
    work(first)
    first.save(tmp_path / "trainer.pt")
    second.load(tmp_path / "trainer.pt")
    assert second.position == first.position
    assert second.best == first.best
    assert second.metrics == first.metrics
    assert second.losses == first.losses
    assert second.early_stop == first.early_stop
    for state in (first, second):
        work(state)
    assert first.ema
    assert second.ema
    assert torch.equal(flat(first.model), flat(second.model))
    assert torch.equal(flat(first.ema.model), flat(second.ema.model))
    assert first.ema.steps == second.ema.steps == 6
    assert first.schedule.factor(9) == second.schedule.factor(9) < 0.5
    assert first.losses.mean == second.losses.mean
    assert [p.name for p in tmp_path.iterdir()] == ["trainer.pt"]


def test_a_state_opens_without_running_code(tmp_path: Path) -> None:
    state = make_state()
    work(state)
    state.save(tmp_path / "trainer.pt")
    content = torch.load(tmp_path / "trainer.pt", weights_only=True)
    assert content["position"] == {"epoch": 1, "batch": 7, "warm": True, "stopped": False}


def test_a_failed_save_leaves_the_last_state(tmp_path: Path) -> None:
    state = make_state()
    state.save(tmp_path / "trainer.pt")
    before = (tmp_path / "trainer.pt").read_bytes()
    state.metrics.append({"odd": lambda: None})
    with pytest.raises(AttributeError):
        state.save(tmp_path / "trainer.pt")
    assert (tmp_path / "trainer.pt").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["trainer.pt"]


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "tensor", "other model", "no ema"])
def test_a_damaged_or_foreign_state_is_refused_with_a_way_out(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "trainer.pt"
    state = make_state()
    state.save(path)
    content = path.read_bytes()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        path.write_text("not a state")
    elif damage == "tensor":
        torch.save(torch.zeros(3), path)
    elif damage == "no ema":
        state.ema = None
        state.save(path)
    other = make_state(classes=5 if damage == "other model" else 2)
    with pytest.raises(RunError, match="cannot be continued") as caught:
        other.load(path)
    assert str(path) in caught.value.message
    assert "--weights" in caught.value.hint


def test_the_mean_loss_is_that_of_all_steps() -> None:
    watch = LossMeter(10)
    assert watch.mean is None
    for value in (1.0, 2.0, 6.0):
        watch.add(torch.tensor(value), str)
    assert watch.mean is None
    watch.look()
    assert watch.mean == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_is_named_even_when_looked_at_late(value: float) -> None:
    watch = LossMeter(3)
    watch.add(torch.tensor(1.0), lambda: "batch 1")
    watch.add(torch.tensor(value), lambda: "batch 2")
    with pytest.raises(TrainingError, match="in batch 2"):
        watch.add(torch.tensor(1.0), lambda: "batch 3")


def test_no_state_is_saved_over_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    state = make_state()
    state.losses = LossMeter(100)
    state.save(tmp_path / "trainer.pt")
    before = (tmp_path / "trainer.pt").read_bytes()
    state.losses.add(torch.tensor(float("nan")), lambda: "epoch 3, batch 9")
    with pytest.raises(TrainingError, match="epoch 3, batch 9"):
        state.save(tmp_path / "trainer.pt")
    assert (tmp_path / "trainer.pt").read_bytes() == before


@pytest.mark.parametrize("where", ["tensor", "padding", "checksum"])
def test_a_flipped_bit_is_refused(tmp_path: Path, where: str) -> None:
    state, path = make_state(), tmp_path / "trainer.pt"
    state.save(path)
    weights = next(iter(state.model.parameters())).detach().numpy().tobytes()
    content = bytearray(path.read_bytes())
    place = content.index({"tensor": weights, "padding": b"ZZZZ", "checksum": b"mlc-sha"}[where])
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="checksum"):
        make_state().load(path)


def test_a_state_of_an_earlier_version_is_continued_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = make_state()
    work(state)
    torch.save(state.content(), tmp_path / "trainer.pt")
    found = make_state(1)
    found.load(tmp_path / "trainer.pt")
    assert torch.equal(flat(found.model), flat(state.model))
    assert [r.message for r in caplog.records] == [
        f"{tmp_path / 'trainer.pt'}: is of an earlier version, without a checksum to tell damage by"
    ]
