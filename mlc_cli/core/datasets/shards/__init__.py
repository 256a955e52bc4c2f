"""Data sets in shards: tar files in WebDataset's layout, or Parquet, each with an index."""
