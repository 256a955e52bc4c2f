"""Steps that several processes make together against those of one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlc_cli.core.loading.dataset import Batch
from mlc_cli.core.system.distributed import ALONE, Group
from mlc_cli.core.training.build import prepare
from mlc_cli.core.training.events import Tick
from mlc_cli.core.training.loop import train
from mlc_cli.core.training.optim.ema import Ema
from mlc_cli.core.training.optim.sam import Sam
from mlc_cli.core.training.parallel import Together, broadcast_module
from mlc_cli.core.training.step import Step
from mlc_cli.settings.optim import AdamWSettings, OptimSettings, SgdSettings
from mlc_cli.settings.train import TrainSettings
from tests.core.training.test_step import BnModel, make_batch, make_model, make_state, make_step

Processes = Callable[..., list[Any]]


class Net(nn.Module):
    """Without batch normalisation, with a layer that nothing depends on, channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=2)
        self.norm = nn.GroupNorm(2, 6)
        self.second = nn.Conv2d(6, 8, 3)
        self.unused = nn.Linear(4, 4)
        self.head = nn.Linear(8, 3)
        self.double()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        features = self.second(self.norm(self.first(images)).relu()).mean((2, 3))
        logits: Tensor = self.head(features)
        return logits


def in_float64(images_NHWC: Tensor) -> Tensor:
    return images_NHWC.permute(0, 3, 1, 2).double() / 255


def share_of(batch: Batch, group: Group, seed: int) -> Batch:
    """What a process has of a batch: any part, none too."""
    images = len(batch.indices_N)
    cuts = np.sort(np.random.default_rng(seed).integers(0, images + 1, group.size - 1))
    start, end = [0, *cuts, images][group.rank : group.rank + 2]
    return Batch(batch.images_NHWC[start:end], batch.targets_NC[start:end],
                 batch.indices_N[start:end], [])  # fmt: skip


def shared(
    step: Step, model: nn.Module, optimizer: torch.optim.Optimizer, group: Group, **extra: bool
) -> Step:
    if group.size == 1:
        return step
    together = Together(model, model, optimizer, (9, 9), **extra)
    return replace(step, forward=together.model, together=together, rank=group.rank)


SMALL = {"weight_decay": 0.1, "lr": 0.02}
CASES: dict[str, tuple[OptimSettings, dict[str, Any]]] = {
    "sgd, sam": (SgdSettings(**SMALL), {"sam": Sam(0.1, False), "clip_norm": 0.5}),
    "adamw, adaptive sam": (AdamWSettings(**SMALL), {"sam": Sam(0.5, True)}),
    "adamw": (AdamWSettings(**SMALL), {"clip_norm": 0.1}),
}


def twenty_steps(name: str, group: Group) -> tuple[Tensor, list[float], int]:
    """Weights and averaged weights, losses, and how often this process had no image at all."""
    settings, parts = CASES[name]
    model = make_model(Net)
    state = make_state(model, settings)
    state.ema = Ema(model, 0.9)
    step = make_step(model, normalise=in_float64, **parts)
    step = shared(step, model, state.optimizer, group)
    losses, empty = [], 0
    for number in range(20):
        whole = [make_batch(7, number), make_batch(4, number + 100)]
        own = [share_of(batch, group, 2 * number + part) for part, batch in enumerate(whole)]
        empty += not any(len(batch.indices_N) for batch in own)
        losses.append(step(state, own, number, 11).item())
    values = [*model.state_dict().values(), *state.ema.model.state_dict().values()]
    return torch.cat([value.flatten() for value in values]), losses, empty


@pytest.mark.parametrize("size", [2, 3])
def test_twenty_steps_of_uneven_shares_are_those_of_one_process(
    together: Processes, size: int
) -> None:
    made = together(lambda group: [twenty_steps(name, group) for name in CASES], size)
    assert sum(of_process[0][2] for of_process in made) > 0, "a process without an image"
    for number, name in enumerate(CASES):
        weights, losses, _ = twenty_steps(name, ALONE)
        start = torch.cat([v.flatten() for v in make_model(Net).state_dict().values()])
        assert (weights[: len(start)] - start).norm() > 0.1
        for of_process in made:
            assert torch.equal(of_process[number][0], made[0][number][0])
            torch.testing.assert_close(of_process[number][0], weights, rtol=0, atol=1e-10)
            assert of_process[number][1] == pytest.approx(losses, abs=1e-10)


def test_sam_of_each_process_moves_along_its_own_gradient(together: Processes) -> None:
    """Their second gradients, taken each at its own worst point, are added up."""
    sam = Sam(0.5, False, per_process=True)
    batch = make_batch(8)
    settings = SgdSettings(lr=0.1, momentum=0.0, weight_decay=0.0)

    def work(group: Group) -> Tensor:
        model = make_model(Net)
        state = make_state(model, settings)
        step = make_step(model, normalise=in_float64, sam=sam)
        own = share_of(batch, group, 3)
        shared(step, model, state.optimizer, group)(state, [own], 0, 8)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    parts = [share_of(batch, Group(rank, 2), 3) for rank in range(2)]
    assert all(len(part.indices_N) for part in parts)
    start = torch.cat([p.detach().flatten() for p in make_model(Net).parameters()])
    expected = start.clone()
    for part in parts:
        model = make_model(Net)
        make_step(model, normalise=in_float64, sam=replace(sam, per_process=False))(
            make_state(model, settings), [part], 0, 8
        )
        expected += torch.cat([p.detach().flatten() for p in model.parameters()]) - start
    for weights in together(work):
        torch.testing.assert_close(weights, expected, rtol=0, atol=1e-12)


def test_torch_refuses_a_first_pass_without_exchange_in_a_static_graph(
    together: Processes,
) -> None:
    """Why graphs with such passes are not said to be static."""

    def work(group: Group) -> str:
        model = make_model(Net)
        state = make_state(model)
        step = make_step(model, normalise=in_float64)
        step = shared(step, model, state.optimizer, group, static=True)
        with pytest.raises(RuntimeError) as caught:
            step(state, [make_batch(4), make_batch(4)], 0, 16)
        return str(caught.value)

    assert all("expect_autograd_hooks_" in said for said in together(work))


class TwoNorms(BnModel):
    """Of two layers of batch normalisation one stands still."""

    def __init__(self) -> None:
        super().__init__()
        self.layers.append(nn.BatchNorm2d(4))
        self.layers[3].running_mean.fill_(0.1)  # type: ignore[union-attr, operator]

    def train(self, mode: bool = True) -> "TwoNorms":
        super().train(mode)
        self.layers[3].eval()
        return self


def statistics(model: nn.Module) -> list[Tensor]:
    return [b.clone() for name, b in model.named_buffers() if "running" in name]


def test_moving_statistics_become_their_means_and_others_stay(together: Processes) -> None:
    batch = make_batch(12)

    def work(group: Group) -> list[Tensor]:
        model = make_model(TwoNorms)
        state = make_state(model)
        step = make_step(model, sam=Sam(0.1, False))
        own = share_of(batch, group, 5)
        shared(step, model, state.optimizer, group)(state, [own], 0, 12)
        return statistics(model)

    alone = []
    for rank in range(3):
        part = share_of(batch, Group(rank, 3), 5)
        assert len(part.indices_N)
        model = make_model(TwoNorms)
        make_step(model)(make_state(model), [part], 0)
        alone.append(statistics(model))
    for found in together(work, 3):
        for number, (one, *others) in enumerate(zip(found, *alone, strict=True)):
            if number < 2:
                torch.testing.assert_close(one, torch.stack(others).mean(0))
            else:
                assert torch.equal(one, others[0])


@pytest.mark.parametrize(("extra", "passes"), [((), 2), (("optim.sam.per_process=true",), 1)])
def test_a_step_sends_its_gradients_and_one_small_message(
    make_dataset: Callable[..., Path],
    tiny_settings: Callable[..., TrainSettings],
    together: Processes,
    extra: tuple[str, ...],
    passes: int,
) -> None:
    data = make_dataset(40, 8)
    settings = tiny_settings(data, "epochs=1", "batch_size=4", "optim.sam.rho=0.05", *extra)

    def work(_: Group) -> tuple[dict[str, int], int]:
        training = prepare(settings)
        profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])

        def tick(tick: Tick) -> None:
            if tick.phase == "train" and tick.done == 3:
                profiler.start()
            if tick.phase == "train" and tick.done == 7:
                profiler.stop()

        list(train(training.plan, training.state, tick))
        messages = {e.key: e.count for e in profiler.key_averages() if e.key.startswith("gloo")}
        exchange = training.plan.step.together
        assert exchange
        assert exchange.model.static_graph == (passes == 2)
        sizes = exchange.model._get_ddp_logging_data()["rebuilt_bucket_sizes"]
        return messages, len(sizes.split(","))

    for messages, buckets in together(work):
        assert messages == {"gloo:all_reduce": 4 * (passes * buckets + 1)}


def test_a_model_is_handed_round(together: Processes) -> None:
    def work(group: Group) -> Tensor:
        torch.manual_seed(group.rank)
        model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        nn.init.constant_(model[1].running_mean, group.rank)
        broadcast_module(model)
        return torch.cat([v.double().flatten() for v in model.state_dict().values()])

    first, second = together(work)
    assert torch.equal(first, second)
