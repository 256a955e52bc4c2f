"""What the work runs on: cores, devices, processes and their signals."""
