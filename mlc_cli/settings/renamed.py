"""Settings that had another name in an earlier version."""

from collections.abc import Mapping
from typing import Any

RENAMED = {
    "parity.fp32.map": "parity.fp32.mean_ap",
    "parity.fp16.map": "parity.fp16.mean_ap",
    "parity.client.map": "parity.client.mean_ap",
}
"""Old and new dotted keys. Files with the old ones are still read; flags are told the new one."""


def modernised(content: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a file under the names that they have today."""
    result = dict(content)
    for old, new in RENAMED.items():
        *parents, last = old.split(".")
        section: Any = result
        for parent in parents:
            inner = section.get(parent) if isinstance(section, dict) else None
            if isinstance(inner, dict):
                section[parent] = inner = dict(inner)
            section = inner
        if isinstance(section, dict) and last in section:
            section.setdefault(new.rpartition(".")[2], section.pop(last))
    return result
