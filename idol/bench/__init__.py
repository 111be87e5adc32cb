"""What the model costs, and how far annotators are from the truth: the command `idol-bench`."""
