"""What a training leaves on disk: checkpoints and run folders."""
