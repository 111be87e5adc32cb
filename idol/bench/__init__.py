"""What the model costs: the command `idol-bench`."""
