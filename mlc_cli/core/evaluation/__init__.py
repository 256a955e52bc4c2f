"""Metrics, decision thresholds, and where the mistakes of a model come from.

Probabilities and other scores, N×C, are finite; targets are int8: 1 present, 0 absent, -1 unknown.
"""
