"""The like of the paper's figures, of what the claims' runs left."""
