"""Settings of `mlc choose`."""

from typing import Annotated

from pydantic import Field

from mlc_cli.settings.base import Count, Positive, Settings
from mlc_cli.settings.data import DataSettings
from mlc_cli.settings.download import DownloadSettings


class ChooseSettings(Settings):
    """What is tried on which data, and what is wanted of it."""

    data: DataSettings
    preset: str = "finetune"
    """Training preset that the result extends; its head, warm start and geometry are used."""
    backbones: tuple[str, ...] = ()
    """Names of the table, also with * and ?, by default all; `+NAME` adds another model of timm."""
    sizes: tuple[Annotated[int, Field(ge=16, le=2048)], ...] = (160, 224, 288)
    """Heights and widths in pixels."""
    weights_dir: str | None = None
    """Folder with weights, NAME.safetensors or NAME.pth by timm's name; what is not there comes
    from timm's hub."""
    minutes: Positive | None = None
    """Time for everything; what does not fit into it is named and not tried."""
    latency: Annotated[str, Field(pattern=r"^\d+(\.\d+)?(ms)?$")] | None = None
    """Longest time for one image on this machine, in milliseconds, as in `10ms`."""
    max_mb: Positive | None = None
    """Largest model, in megabytes of fp32 weights."""
    restricted: bool = False
    """Also try weights whose licence restricts their use, or is not known."""
    images: Count = 10_000
    """Most training images that are looked at; as many validation images at most."""
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Parts of the training images: each is scored by heads that have not seen it."""
    seconds: Positive = 2.0
    """Time for measuring the speed of each."""
    int8: bool = True
    """Also measure how fast those that are left in the end are as INT8, which needs NNCF."""
    batch_size: Count = 64
    """Images a batch."""
    device: str = "auto"
    """Where features are computed: `auto`, `cpu`, `cuda` or `cuda:N`. Speed is that of OpenVINO on
    the CPU."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the images, of the folds and of the heads."""
    output: str = "chosen"
    """Folder for the result: `choose.json`, `choose.html`, `chosen.yaml`."""
    download: DownloadSettings = DownloadSettings()

    @property
    def latency_ms(self) -> float | None:
        """`latency` as a number."""
        return float(self.latency.removesuffix("ms")) if self.latency else None
