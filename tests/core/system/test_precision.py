import pytest
import torch

from mlc_cli.core.system.precision import allow_tf32, autocast, pick_precision
from mlc_cli.errors import UsageError

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_named_precision_is_taken_as_it_is(name: str) -> None:
    assert pick_precision(name, CPU) == name


def test_another_precision_is_refused() -> None:
    with pytest.raises(UsageError, match=r"precision: expected auto, .*, got 'int8'"):
        pick_precision("int8", CPU)


def test_auto_precision_of_the_cpu_is_full() -> None:
    assert pick_precision("auto", CPU) == "fp32"


@pytest.mark.parametrize(("has_bf16", "taken"), [(True, "bf16"), (False, "fp16")])
def test_auto_precision_of_a_gpu_is_none_that_torch_would_emulate(
    monkeypatch: pytest.MonkeyPatch, has_bf16: bool, taken: str
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return has_bf16 or including_emulation

    monkeypatch.setattr("torch.cuda.is_bf16_supported", supported)
    assert pick_precision("auto", torch.device("cuda:0")) == taken


@pytest.mark.parametrize(("on", "kind"), [(True, "high"), (False, "highest")])
def test_tf32_is_for_products_and_convolutions_alike(
    monkeypatch: pytest.MonkeyPatch, on: bool, kind: str
) -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    try:
        allow_tf32(on=on)
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == (kind, on)
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_products_run_in_the_precision(precision: str, dtype: torch.dtype) -> None:
    with autocast(CPU, precision):
        assert (torch.ones(4, 4) @ torch.ones(4, 4)).dtype == dtype
