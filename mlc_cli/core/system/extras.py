"""Libraries that only some users need, and that are installed by name."""

from importlib import import_module
from types import ModuleType

from mlc_cli.errors import MlcError


def import_extra(name: str, extra: str) -> ModuleType:
    """Import a module that an extra of this package brings.

    Raises:
        MlcError: It is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise
        raise MlcError(
            f"{error.name} is not installed", f"Install it with: pip install 'mlc-cli[{extra}]'"
        ) from None
