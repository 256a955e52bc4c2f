"""From a foreign data set to ours: samples to arrays, splits, the places of images."""
