"""The frame and the charts of every HTML page."""
