"""Starting weights of every origin, with a word on every tensor that does not fit."""
