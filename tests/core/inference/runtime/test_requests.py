"""Requests side by side: every output, in order, whatever happens on the way."""

from collections.abc import Iterator

import numpy as np
import openvino as ov
import pytest
from openvino import opset13

from mlc_cli.core.inference.runtime.openvino_core import openvino_core
from mlc_cli.core.inference.runtime.requests import Requests


@pytest.fixture(scope="module")
def compiled() -> ov.CompiledModel:
    """Doubles what it gets, two requests at a time."""
    data = opset13.parameter([-1, 3], np.float32)
    data.output(0).set_names({"data"})
    doubled = opset13.multiply(data, opset13.constant(np.float32(2)))
    doubled.output(0).set_names({"doubled"})
    model = ov.Model([doubled], [data])
    return openvino_core().compile_model(
        model, "CPU", {"PERFORMANCE_HINT_NUM_REQUESTS": 2, "PERFORMANCE_HINT": "THROUGHPUT"}
    )


def inputs(count: int) -> Iterator[dict[str, np.ndarray]]:
    for number in range(count):
        yield {"data": np.full((1 + number % 3, 3), number, np.float32)}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_outputs_come_in_the_order_of_the_inputs(compiled: ov.CompiledModel, count: int) -> None:
    requests = Requests(compiled)
    for _ in range(2):
        found = [values.copy() for values in requests.run(inputs(count), "doubled")]
        assert [values.shape[0] for values in found] == [1 + n % 3 for n in range(count)]
        assert [values[0, 0] for values in found] == [2.0 * n for n in range(count)]


def test_a_run_that_is_given_up_leaves_the_requests_free(compiled: ov.CompiledModel) -> None:
    requests = Requests(compiled)
    for _ in range(5):
        run = requests.run(inputs(20), "doubled")
        assert next(run)[0, 0] == 0
        run.close()
    assert len(list(requests.run(inputs(20), "doubled"))) == 20


@pytest.mark.parametrize("bad", [np.zeros((1, 4), np.float32), np.zeros((1, 3, 3), np.float32)])
def test_an_input_that_does_not_fit_is_an_error_and_the_next_run_goes_on(
    compiled: ov.CompiledModel, bad: np.ndarray
) -> None:
    requests = Requests(compiled)
    for _ in range(5):
        with pytest.raises(RuntimeError):
            list(requests.run([*inputs(3), {"data": bad}, *inputs(3)], "doubled"))
    assert len(list(requests.run(inputs(7), "doubled"))) == 7
