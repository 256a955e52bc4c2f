"""One file for each command: flags to settings, settings to a job, results to the screen."""
