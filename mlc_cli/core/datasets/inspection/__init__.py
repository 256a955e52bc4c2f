"""What is in a labelled data set, and what is wrong with it."""
