"""The one OpenVINO core of the process; why one: `signal_stack`."""

from functools import cache

import openvino as ov


@cache
def openvino_core() -> ov.Core:
    """Made at the first call; it lives as long as the process."""
    return ov.Core()
