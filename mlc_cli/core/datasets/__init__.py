"""Labelled data sets: annotation files, formats of other tools, conversion, inspection."""
