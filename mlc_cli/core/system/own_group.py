"""The group of this process, for those who may do without torch."""

from mlc_cli.core.system.group import SingleProcess
from mlc_cli.core.system.processes import dist_info


def own_group() -> SingleProcess:
    """The group that this process has joined, or itself alone; torch is imported for several."""
    if dist_info().size == 1:
        return SingleProcess()
    from mlc_cli.core.system.distributed import current  # noqa: PLC0415

    return current()
