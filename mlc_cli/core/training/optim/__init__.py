"""Optimisers, schedules, sharpness-aware steps, averaging and stopping."""
