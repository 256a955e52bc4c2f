"""Using a model, trained or exported: scores of a split, predictions, heat maps."""
