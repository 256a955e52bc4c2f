"""Annotation files of other tools, a file for each format."""
