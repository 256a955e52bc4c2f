"""mlc: train, evaluate, calibrate, export and run multilabel image classifiers."""

__version__ = "0.1.0"
