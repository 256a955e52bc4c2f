"""Settings of `mlc export`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mlc_cli.settings.base import Count, NotNegative, Probability, Settings
from mlc_cli.settings.scoring import ModelChoiceSettings, SplitChoiceSettings

IrPrecision = Literal["fp32", "fp16", "int8"]


def _parts(value: Any) -> Any:
    """Read `fp32,int8` as a list; a list may have such parts."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        return value
    return [name for part in parts for name in part.split(",") if name]


class Int8Settings(Settings):
    """Quantisation with NNCF."""

    max_drop: Probability = 0.01
    """Largest loss of mAP on the compared images. Operations go back to floating point, those that
    matter most first, until it holds."""
    max_restored: Count = 20
    """Most operations that may go back."""
    calibration_images: Count = 300
    """Images of the training split that ranges of activations are taken from."""
    activations: Literal["symmetric", "mixed"] = "mixed"
    """Symmetric ranges are fastest; `mixed` takes asymmetric ones for activations, which suits
    swish, GELU and the like."""


class ToleranceSettings(Settings):
    """How far an exported file may be from its checkpoint."""

    logit: NotNegative | None = None
    """Largest difference of a logit."""
    probability: NotNegative | None = None
    """Largest difference of a probability."""
    mean_ap: NotNegative | None = None
    """Largest difference of mAP."""


class ParitySettings(Settings):
    """The comparison of the files with their checkpoint, on images of the split."""

    images: Count = 1000
    """Images, spread evenly over the split; all of them if it has fewer."""
    client_images: Annotated[int, Field(ge=0)] = 200
    """Images of these that go through the stock client, from the file on; 0 leaves it out."""
    fp32: ToleranceSettings = ToleranceSettings(logit=1e-3, probability=1e-4, mean_ap=1e-4)
    fp16: ToleranceSettings = ToleranceSettings(probability=0.02, mean_ap=1e-3)
    client: ToleranceSettings = ToleranceSettings(probability=0.01)
    """A client reads and resizes pictures by itself, one off in a few values. Its decisions may
    differ where a probability is as near to the threshold. INT8 makes more of such a difference
    than this, so that the client is only reported there."""


class ExportSettings(ModelChoiceSettings, SplitChoiceSettings):
    """One export."""

    onnx: bool = True
    """Write `model.onnx`: normalised RGB in, logits out."""
    ir: bool = False
    """Write OpenVINO IR: BGR in 0..255 in, logits out."""
    precision: Annotated[tuple[IrPrecision, ...], Field(min_length=1), BeforeValidator(_parts)] = (
        "fp32",
    )
    """Arithmetic of the IR, several with commas: a file each, `model.xml`, `model-fp16.xml`,
    `model-int8.xml`."""
    fold_thresholds: bool = False
    """Subtract the logits of the thresholds in the graph, so that a client with one threshold of
    0.5 decides as mlc does. The scores that it reports move with them."""
    fold_rules: bool = False
    """Let the logits obey the label rules: where they reach the thresholds, labels keep the rules,
    as those of mlc do. Clients that decide at 0.5 need `fold_thresholds`, too."""
    embed_resize: bool = False
    """Put the resize into the graph: bytes of pictures of any size in, N×H×W×3, RGB in ONNX, BGR in
    IR. Whoever runs the file then shrinks pictures as mlc does, `area` included."""
    opset: Annotated[int, Field(ge=17, le=20)] = 18
    """Operator set of the ONNX file: 17 is read by ONNX Runtime from 1.12, 18 from 1.14, 19 from
    1.15, 20 from 1.17. torch can write few models in 17."""
    saliency: bool = False
    """Add an output `saliency_map`: where each class has its evidence, uint8 N×C×h×w."""
    check: bool = True
    """Compare the files with the checkpoint on real images."""
    int8: Int8Settings = Int8Settings()
    parity: ParitySettings = ParitySettings()
    output: str | None = None
    """Folder for the files; by default `export` beside the checkpoint."""

    @model_validator(mode="after")
    def _something_to_write(self) -> "ExportSettings":
        if not (self.onnx or self.ir):
            raise ValueError("onnx and ir are both off: there is nothing to write")
        if not self.ir and self.precision != ("fp32",):
            raise ValueError("precision is that of the IR, and ir is off")
        return self
