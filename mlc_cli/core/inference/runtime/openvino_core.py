"""The one OpenVINO core of the process; why one: `signal_stack`."""

from functools import cache

import openvino as ov

from mlc_cli.core.system.cores import shares_cores, usable_cores


@cache
def openvino_core() -> ov.Core:
    """Made at the first call; it lives as long as the process.

    By default OpenVINO binds its threads to cores: each of several processes to the same.
    """
    core = ov.Core()
    if shares_cores():
        own = {"INFERENCE_NUM_THREADS": usable_cores(), "ENABLE_CPU_PINNING": False}
        core.set_property("CPU", own)
    return core
