"""From a feature map to logits."""
