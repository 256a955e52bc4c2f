"""Multilabel losses on scaled logits."""
