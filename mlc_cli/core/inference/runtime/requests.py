"""Several OpenVINO requests at a time, without callbacks into Python.

`ov.AsyncInferQueue` calls back from threads of the model. Such a thread wants the interpreter lock
once more after `wait_all` has returned; a model that is given up just then waits for the thread
while it holds the lock, and both wait for ever (seen in 2026.4).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray


class Requests:
    """As many requests as the device runs well side by side."""

    def __init__(self, compiled: ov.CompiledModel) -> None:
        count = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._idle = deque(compiled.create_infer_request() for _ in range(count))

    def run(
        self, inputs: Iterable[Mapping[str, NDArray[Any]]], output: str
    ) -> Iterator[NDArray[np.float32]]:
        """One output of each input, in their order; inputs are taken as requests become free.

        An output is the request's own memory: it changes when the next one is asked for.
        """
        busy: deque[ov.InferRequest] = deque()
        try:
            for arrays in inputs:
                if not self._idle:
                    yield self._finish(busy).get_tensor(output).data
                busy.append(self._idle.popleft())
                busy[-1].start_async(arrays, share_inputs=True)
            while busy:
                yield self._finish(busy).get_tensor(output).data
        finally:
            while busy:
                self._finish(busy)

    def _finish(self, busy: deque[ov.InferRequest]) -> ov.InferRequest:
        request = busy.popleft()
        self._idle.append(request)
        request.wait()
        return request
