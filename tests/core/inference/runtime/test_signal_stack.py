"""Signals after OpenVINO: a freed stack would end the process."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import openvino as ov
import pytest

from mlc_cli.core.exporting.client import run_client
from mlc_cli.core.exporting.ir import to_ir
from mlc_cli.core.inference.runtime.ir_file import IrEngine, cpu_name
from mlc_cli.core.inference.runtime.openvino_core import openvino_core

INTERRUPT = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted")
"""

CORES = """
import openvino as ov
from mlc_cli.core.inference.runtime.signal_stack import kept_signal_stack

def core():
    core = ov.Core()
    core.get_property("CPU", "FULL_DEVICE_NAME")
    return core

with kept_signal_stack():
    first, second = core(), core()
    del first
    del second
"""


def test_cores_of_others_leave_no_freed_stack() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CORES + INTERRUPT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def test_mlc_makes_one_core(exported: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    openvino_core()
    monkeypatch.setattr(ov, "Core", None)
    files = exported("linear", saliency=False)
    engine = IrEngine(files.xml)
    run_client(files.xml, [], engine.info.card.classes)
    to_ir(files.onnx, engine.info)
    assert cpu_name()
