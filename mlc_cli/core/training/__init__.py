"""Training: what is learnt from batches, step by step and epoch by epoch."""
