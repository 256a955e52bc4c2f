"""Metrics, decision thresholds, and where the mistakes of a model come from."""
