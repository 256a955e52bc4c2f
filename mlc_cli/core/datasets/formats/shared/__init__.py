"""What several formats share: opening files, finding images, names of splits."""
