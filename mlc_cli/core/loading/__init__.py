"""From annotation and image files to batches: augmentation, sampling, reader processes."""
