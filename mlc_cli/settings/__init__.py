"""Settings: what a command may be told, checked before anything heavy is imported."""
