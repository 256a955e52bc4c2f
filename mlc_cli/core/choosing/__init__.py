"""Which backbone at which size: features of frozen backbones, heads on them, and their race."""
