"""The core of OpenVINO in a process that has the machine to itself, or shares it."""

import json
import os
import subprocess
import sys

import pytest

from mlc_cli.core.system.cores import usable_cores

LOOK = """
import json, openvino as ov, openvino.opset13 as ops
from mlc_cli.core.inference.runtime.openvino_core import openvino_core
from mlc_cli.core.system.cores import take_cores
take_cores({cores})
image = ops.parameter([1, 3], ov.Type.f32)
made = openvino_core().compile_model(ov.Model([ops.relu(image)], [image]), "CPU")
asked = "INFERENCE_NUM_THREADS", "ENABLE_CPU_PINNING"
print(json.dumps([made.get_property(key) for key in asked]))
"""


@pytest.mark.skipif(usable_cores() == 1, reason="one core cannot be shared out")
def test_processes_that_share_a_machine_do_not_bind_their_threads_to_the_same_cores() -> None:
    def look(cores: int, **environment: str) -> list[int | bool]:
        code = LOOK.format(cores=cores)
        made = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(made.stdout)

    assert look(1) == [1, False]
    two = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
    shared = look(0, **two, MASTER_ADDR="127.0.0.1", MASTER_PORT="1")
    assert shared == [usable_cores() // 2, False]
