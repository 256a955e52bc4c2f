import pytest
import torch

from mlc_cli.core.system.precision import autocast, pick_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_named_precision_is_taken_as_it_is(name: str) -> None:
    assert pick_precision(name, CPU) == name


def test_auto_precision_of_the_cpu_is_full() -> None:
    assert pick_precision("auto", CPU) == "fp32"


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_products_run_in_the_precision(precision: str, dtype: torch.dtype) -> None:
    with autocast(CPU, precision):
        assert (torch.ones(4, 4) @ torch.ones(4, 4)).dtype == dtype
