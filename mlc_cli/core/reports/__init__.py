"""What is written down for people and programs to read."""
