"""Image files: decoding, orientation, colour, resizing."""
