"""An inspection as one page for people."""
