"""The kit of every HTML page: frame, style, script, macros, filters and charts."""
