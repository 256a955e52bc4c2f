"""ML-Decoder at 9,605 classes against timm's: forward, and forward with backward."""

import torch
from timing import alternate, show
from timm.layers.ml_decoder import MLDecoder as TimmMLDecoder

from mlc_cli.core.models.heads.ml_decoder import MLDecoder

CLASSES = 9_605
CHANNELS = 1_280


def main() -> None:
    theirs = TimmMLDecoder(CLASSES, initial_num_features=CHANNELS)
    # Its nn.TransformerDecoder does not run on current torch; the one layer inside does.
    theirs.decoder = theirs.decoder.layers[0]
    ours = MLDecoder(CHANNELS, CLASSES)
    rows = []
    for images, side in ((1, 7), (8, 7), (32, 7), (32, 14)):
        maps = torch.randn(images, CHANNELS, side, side)
        for title, training in (("forward", False), ("training", True)):
            ours.train(training)
            theirs.train(training)

            def run(head: torch.nn.Module, maps: torch.Tensor = maps, training: bool = training):
                with torch.set_grad_enabled(training):
                    logits = head(maps)
                if training:
                    logits.sum().backward()

            mine, other = alternate([lambda: run(ours), lambda: run(theirs)], 3)
            rows.append(
                (title, images, f"{side}x{side}", f"{mine:.3f}", f"{other:.3f}",
                 f"{other / mine:.1f}")
            )  # fmt: skip
    show(
        f"ML-Decoder, {CLASSES} classes (seconds)",
        ("", "images", "map", "mlc", "timm", "ratio"),
        rows,
    )


if __name__ == "__main__":
    main()
