"""From a foreign data set to ours: samples to arrays, splits, copies of images."""
