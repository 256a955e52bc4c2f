"""Training: steps, epochs, the state that resumes, and what is written on the way."""
