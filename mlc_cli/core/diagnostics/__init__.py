"""What lies behind the metrics of a split: how sure they are, and where the mistakes come from."""
