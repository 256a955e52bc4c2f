"""What tests read of run folders."""

import json
from pathlib import Path
from typing import Any

import torch

from mlc_cli.core.runs.checkpoint import read_state


def weights(run: Path | str, name: str = "last.safetensors") -> torch.Tensor:
    """All that a checkpoint of a run holds, as one vector."""
    return torch.cat([value.flatten() for value in read_state(Path(run, name)).values()])


def rows(run: Path | str) -> list[dict[str, Any]]:
    """Lines of the metrics of a run."""
    return [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()]
