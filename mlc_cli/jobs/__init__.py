"""One function for each command, settings in and results out: the Python API."""
