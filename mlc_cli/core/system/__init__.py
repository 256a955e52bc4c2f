"""What the work runs on: files, cores, devices, processes and their signals."""
