"""The table of backbones that `mlc choose` tries: `presets/backbones.yaml`."""

import fnmatch
from collections.abc import Sequence

import yaml

from mlc_cli.errors import SettingsError
from mlc_cli.settings.base import Count, Positive, Settings
from mlc_cli.settings.presets import presets_root
from mlc_cli.text import nearest

_FREE = ("apache-2.0", "mit", "bsd-3-clause")


class BackboneEntry(Settings):
    """What is known of a backbone before it is tried."""

    name: str
    """timm's name with the tag of its weights."""
    gmacs: Positive | None = None
    """Multiply-accumulates of one image of `pixels`, in 1e9."""
    mparams: Positive | None = None
    """Parameters with the classifier of ImageNet, in 1e6."""
    top1: Positive | None = None
    """Accuracy on ImageNet-1k, in percent."""
    pixels: Count | None = None
    """Height and width of the images that both were measured with."""
    licence: str = "unknown"
    """Of the weights."""

    @property
    def restricted(self) -> bool:
        """Whether the licence of the weights restricts what they may be used for, or is unknown."""
        return self.licence not in _FREE


def known_backbones() -> list[BackboneEntry]:
    """All of the table, in its order."""
    text = (presets_root() / "backbones.yaml").read_text(encoding="utf-8")
    return [BackboneEntry.model_validate(row) for row in yaml.safe_load(text)]


def pick_backbones(wanted: Sequence[str]) -> list[BackboneEntry]:
    """Those of the table that a pattern fits, all without any; `+NAME` adds another of timm.

    A pattern may leave out the tag of the weights.

    Raises:
        SettingsError: A pattern fits none.
    """
    table = known_backbones()
    added = [BackboneEntry(name=text[1:]) for text in wanted if text.startswith("+")]
    patterns = [text for text in wanted if not text.startswith("+")]
    names = [entry.name for entry in table]
    for pattern in patterns:
        if not any(_fits(name, pattern) for name in names):
            raise SettingsError(
                f"backbones: none of the table is called {pattern}{nearest(pattern, names)}",
                f"To add another model of timm: +{pattern}. `mlc choose --list` shows the table.",
            )
    fits = [e for e in table if not patterns or any(_fits(e.name, p) for p in patterns)]
    return [*fits, *(entry for entry in added if entry.name not in names)]


def _fits(name: str, pattern: str) -> bool:
    return bool(fnmatch.filter((name, name.partition(".")[0]), pattern))
